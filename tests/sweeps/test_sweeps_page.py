"""What docs/sweeps.md says holds."""

from __future__ import annotations

import pathlib
import re

import pytest

from expol_tf.configuration import resources as _resources
from expol_tf.sweeps import CheckedRun, plan_sweep, read_sweep
from expol_tf.sweeps import table as sweep_table
from expol_tf.sweeps.table import RunState

PAGE = (pathlib.Path(__file__).absolute().parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
SWEEPS = sorted(path.name for path in (_resources.gin_root() / "sweeps").glob("*.gin"))


def test_the_example_is_a_sweep(tmp_path: pathlib.Path) -> None:
    (example,) = (block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "Sweep.grid" in block)
    (tmp_path / "sweep.gin").write_text(example)
    runs = plan_sweep(read_sweep(tmp_path / "sweep.gin"))
    assert len(runs) == 2 * 2 * 2 * 3
    assert {run.task for run in runs} == {"Hopper-v4", "HalfCheetah-v5"}


def test_every_sweep_is_listed_with_its_size() -> None:
    listed = dict(re.findall(r"^\| `(\w+\.gin)`.*\| (\d+) \| [\d.]+ M \|$", PAGE, re.MULTILINE))
    assert sorted(listed) == SWEEPS
    sizes = {name: len(plan_sweep(read_sweep(f"gin/sweeps/{name}"))) for name in SWEEPS}
    assert {name: int(size) for name, size in listed.items()} == sizes


def test_the_code_plans_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    planned: list = []

    def check_runs(runs: list) -> list[CheckedRun]:
        planned.extend(runs)
        return [CheckedRun(run, "", 1) for run in runs]

    class Result:
        failed = [
            RunState(CheckedRun(plan_sweep(read_sweep("gin/sweeps/on_policy.gin"))[0], "", 1), "failed")
        ]

    monkeypatch.setattr("expol_tf.sweeps.check_runs", check_runs)
    monkeypatch.setattr("expol_tf.sweeps.run_sweep", lambda runs, root, max_parallel: Result)
    exec(compile(code, "docs/sweeps.md", "exec"), {})
    assert len(planned) == 6


def test_the_columns_are_those_of_the_index(tmp_path: pathlib.Path) -> None:
    (run, *_) = plan_sweep(read_sweep("gin/sweeps/sensitivity.gin"))
    sweep_table.write_index(tmp_path, [RunState(CheckedRun(run, "", 1))])
    header = (tmp_path / "sweep.csv").read_text().splitlines()[0].split(",")
    header.remove("TrustRegion.max_kl")
    said = re.search(r"has the columns (.*?) A status", PAGE, re.DOTALL)
    assert said is not None
    names = ",".join(re.findall(r"`([\w, ]+)`", said.group(1))).replace(" ", "").split(",")
    assert [name for name in names if name not in ("grid", "draws")] == header
