"""The programs in tools/ refuse what they do not know, and change nothing then."""

from __future__ import annotations

import pathlib
import runpy
import subprocess
import sys

import pytest

TOOLS = pathlib.Path(__file__).absolute().parents[1] / "tools"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("draw_architecture.py", ["--chek"]),
        ("draw_architecture.py", ["--chec"]),
        ("draw_architecture.py", ["picture.svg"]),
        ("code_figures.py", ["--chek"]),
        ("code_figures.py", ["expol_tf", "tests", "docs"]),
        ("compare_test_counts.py", ["--chek"]),
        ("compare_test_counts.py", ["logs", "labels", "more"]),
        ("bazel_environment.py", ["--chek"]),
    ],
)
def test_an_unknown_argument_is_an_error(name: str, arguments: list[str], tmp_path: pathlib.Path) -> None:
    picture = TOOLS.parent / "docs" / "architecture.svg"
    before = picture.stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, str(TOOLS / name), *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode in (1, 2) and done.stderr and "Traceback" not in done.stderr
    assert picture.stat().st_mtime_ns == before and list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_imported_counts_as_a_failure(tmp_path):
    tool = runpy.run_path(str(TOOLS / "compare_test_counts.py"))
    report = tmp_path / "test.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="" name="tests.agents.test_x"><error/></testcase>'
        '<testcase classname="tests.agents.test_y" name="test_z"/></testsuite></testsuites>'
    )
    assert tool["outcomes"](report) == {
        "tests/agents/test_x.py": {"failed": 1},
        "tests/agents/test_y.py": {"passed": 1},
    }
