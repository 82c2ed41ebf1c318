"""The code of docs/tasks.md runs, and the page lists every task of the library's own."""

from __future__ import annotations

import pathlib
import re

import gymnasium

from expol_tf.environments import register_tasks

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "tasks.md"


def test_the_page_runs_and_is_complete():
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), {})
    register_tasks()
    tasks = {task for task in gymnasium.registry if task.startswith("expol/")}
    assert tasks and set(re.findall(r"^\| `(expol/[\w-]+)`", text, re.MULTILINE)) == tasks
