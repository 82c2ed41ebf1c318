"""The code of docs/contracts.md runs, and its table names every check."""

import pathlib
import re

from expol_tf import testing

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "contracts.md"


def test_the_page_runs_and_is_complete():
    text = PAGE.read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), {})
    assert set(re.findall(r"^\| `(check_\w+)`", text, re.MULTILINE)) == {
        name for name in testing.__all__ if name.startswith("check_")
    }
