"""Compares the tests that Bazel ran with those that pytest collects, file by file, and counts the outcomes.

    compare_test_counts.py BAZEL_TESTLOGS LABELS_FILE

BAZEL_TESTLOGS is the directory of Bazel's test logs, LABELS_FILE holds the output of
`bazel query 'tests(//...)'`. The last line printed is the summary. The exit code is 0 only if the counts
agree and some test passed; that none failed is for Bazel's exit code to say.
"""

from __future__ import annotations

import collections
import pathlib
import sys
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

import pytest


class Collected:
    """A pytest plugin that counts the tests of each file."""

    def __init__(self) -> None:
        """Starts empty."""
        self.files: collections.Counter[str] = collections.Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Called by pytest with the tests that it would run."""
        self.files.update(item.nodeid.split("::")[0] for item in session.items)


def file_of(classname: str) -> str:
    """Returns the test file of a JUnit class name: `tests.agents.test_x.TestY` → `tests/agents/test_x.py`."""
    parts = classname.split(".")
    end = next(index for index, part in enumerate(parts) if part.startswith("test_"))
    return "/".join(parts[: end + 1]) + ".py"


def outcomes(xml: pathlib.Path) -> dict[str, collections.Counter[str]]:
    """Returns how many tests of each file in a JUnit report passed, failed and were skipped."""
    # A test whose teardown fails is listed twice.
    cases: dict[tuple[str, str], str] = {}
    for case in ElementTree.parse(xml).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        # A file that cannot be imported has no class name; its own stands in the name.
        name = case.get("name", "")
        key = (case.get("classname") or name, name)
        if cases.get(key) != "failed":
            cases[key] = outcome
    counts: dict[str, collections.Counter[str]] = {}
    for (classname, _), outcome in cases.items():
        counts.setdefault(file_of(classname), collections.Counter())[outcome] += 1
    return counts


def bazel_outcomes(logs: pathlib.Path, labels: Iterable[str]) -> dict[str, collections.Counter[str]]:
    """Returns the outcomes of each test file (`tests/agents/test_trpo_agent.py`) that some target ran."""
    results: dict[str, collections.Counter[str]] = {}
    for label in labels:
        xml = logs / label.strip().removeprefix("//").replace(":", "/") / "test.xml"
        if xml.exists():
            results |= outcomes(xml)
    return results


def differences(bazel: dict[str, collections.Counter[str]], collected: collections.Counter[str]) -> list[str]:
    """Returns a line for each file of which Bazel ran other tests than pytest collects."""
    ran = {file: sum(counts.values()) for file, counts in bazel.items()}
    return [
        f"{file}: Bazel ran {ran.get(file, 0)}, pytest collects {collected[file]}"
        for file in sorted({*ran, *collected})
        if ran.get(file, 0) != collected[file]
    ]


def main(arguments: Sequence[str]) -> int:
    """Prints the comparison and the summary; returns the exit code."""
    if len(arguments) != 2:
        print("usage: compare_test_counts.py BAZEL_TESTLOGS LABELS_FILE", file=sys.stderr)
        return 2
    logs, labels = map(pathlib.Path, arguments)
    plugin = Collected()
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider", "--no-summary"]
    status = pytest.main(options, plugins=[plugin])
    bazel = bazel_outcomes(logs, labels.read_text(encoding="utf-8").split())
    wrong = differences(bazel, plugin.files)
    total = sum(bazel.values(), collections.Counter())
    if status != pytest.ExitCode.OK:
        wrong.append(f"pytest could not collect the tests (exit code {int(status)}), see above")
    for line in wrong:
        print(f"counts differ: {line}")
    counts = ", ".join(f"{total[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))
    print(f"{counts} in {len(bazel)} files")
    return 1 if wrong or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
