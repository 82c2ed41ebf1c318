"""The code of docs/multi_goal.md runs and says what the page says."""

from __future__ import annotations

import pathlib
import re

import numpy as np

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "multi_goal.md"


def test_the_page_s_code_runs():
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(block, str(PAGE), "exec"), names)
    towards, away = names["optimum"].log_density(names["origin"], np.array([[0.9, 0.0], [0.0, -0.9]]))[0]
    assert towards > away
