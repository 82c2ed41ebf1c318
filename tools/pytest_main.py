"""The main of every Bazel test target: runs pytest on the test files given.

It fails when a file has no tests. A file whose tests are all deselected (all `slow`, or none of them matches
`--test_filter`) passes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import pytest


class DeselectedCount:
    """A pytest plugin that counts the tests left out by a marker or keyword expression."""

    def __init__(self) -> None:
        """Starts at zero."""
        self.count = 0

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Called by pytest with the tests that it leaves out."""
        self.count += len(items)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0 only if tests were found and those selected passed.

    Args:
      arguments: Test files relative to the root of the runfiles tree, which is the working directory; with
        `--slow` anywhere, their `slow` tests run instead of the others.
    """
    files = [argument for argument in arguments if argument != "--slow"]
    if not files:
        raise ValueError("pytest_main needs the test files to run as arguments; got none.")
    options = ["--rootdir=.", "--config-file=pyproject.toml", "-p", "no:cacheprovider", "--durations=5"]
    if "--slow" in arguments:
        options += ["-m", "slow"]
    # What Bazel asks of a test runner by environment variables.
    if "TEST_TMPDIR" in os.environ:
        options.append(f"--basetemp={os.path.join(os.environ['TEST_TMPDIR'], 'pytest')}")
    if "XML_OUTPUT_FILE" in os.environ:
        options.append(f"--junit-xml={os.environ['XML_OUTPUT_FILE']}")
    if "TESTBRIDGE_TEST_ONLY" in os.environ:
        options += ["-k", os.environ["TESTBRIDGE_TEST_ONLY"]]
    deselected = DeselectedCount()
    status = int(pytest.main([*options, *files], plugins=[deselected]))
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and deselected.count:
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
