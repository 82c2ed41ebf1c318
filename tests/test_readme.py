"""The README's quickstart runs as it stands."""

import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _quickstart():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return block


def test_the_quickstart_is_short():
    assert len([line for line in _quickstart().splitlines() if line.strip()]) <= 20


# tests/docs runs it in a process of its own with every change.
@pytest.mark.slow
def test_the_quickstart_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(_quickstart(), "README.md", "exec"), names)
    assert names["result"].env_step == 4096
    assert names["action"].shape == (3,) and np.all(np.abs(names["action"]) <= 1)
    assert (tmp_path / "runs" / "hopper" / "metrics.csv").exists()
