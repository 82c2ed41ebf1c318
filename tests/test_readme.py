"""The README's quickstart runs as it stands."""

import pathlib
import re

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_the_quickstart_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(lines) <= 20
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    assert names["result"].env_step == 4096
    assert names["action"].shape == (3,) and np.all(np.abs(names["action"]) <= 1)
    assert (tmp_path / "runs" / "hopper" / "metrics.csv").exists()
