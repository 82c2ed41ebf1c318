"""Runs over several devices train as those on one do, resume, and go on with another number of devices."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import expol_tf
from tests.training.two_devices import ITERATION, run

TIMINGS = ("wall_time_s", "env_steps_per_s")


def rows(root: pathlib.Path) -> list[dict[str, float]]:
    with (root / "metrics.csv").open(newline="") as file:
        return [
            {name: float(cell or "nan") for name, cell in row.items() if name not in TIMINGS}
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize(
    "agent",
    ["ppo", pytest.param("trpo", marks=pytest.mark.slow), pytest.param("acktr", marks=pytest.mark.slow)],
)
def test_a_run_over_two_devices(agent: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    divided, single = tmp_path / "divided", tmp_path / "single"
    command = [sys.executable, "-m", "tests.training.two_devices", str(divided), agent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"resumed at env_step {2 * ITERATION}" in done.stdout
    assert json.loads((divided / "environment.json").read_text())["device"] == "CPU:0,CPU:1"

    # From here on on one device.
    assert run(divided, agent, 5).env_step == 5 * ITERATION
    assert f"resumed at env_step {4 * ITERATION}" in capsys.readouterr().out
    run(single, agent, 5)
    expected, found = rows(single), rows(divided)
    assert len(found) == 5
    # The first iteration is collected by equal policies; what rounding does to the others grows.
    for name, value in expected[0].items():
        np.testing.assert_allclose(found[0][name], value, rtol=1e-3, atol=1e-6, err_msg=name)
    assert all(np.isfinite(row["kl"]) for row in found)
    policy = expol_tf.load_policy(divided)
    assert policy.act(np.zeros(4)).shape == (1,)
