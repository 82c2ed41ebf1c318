"""Whole runs of off-policy agents: what they write, and that broken off or killed they go on bit for bit."""

from __future__ import annotations

import csv
import functools
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import expol_tf
from expol_tf.agents import Acting, SacAgent
from expol_tf.errors import ConfigurationError
from expol_tf.training import TrainingEvent
from tests.training.off_policy_run import END, ITERATION, run

TIMINGS = ("wall_time_s", "env_steps_per_s")
COLUMNS = ("critic_loss", "actor_loss", "q_mean", "entropy", "temperature")


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name not in TIMINGS} for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished run of SAC."""
    root = tmp_path_factory.mktemp("runs") / "whole"
    assert run(root, "sac").env_step == END
    return root


def test_the_columns_are_there_before_the_first_update(whole: pathlib.Path) -> None:
    table = rows(whole / "metrics.csv")
    assert [int(row["env_step"]) for row in table] == list(range(ITERATION, END + 1, ITERATION))
    # The warm-up is two iterations long.
    for i, row in enumerate(table):
        assert list(row)[5:10] == list(COLUMNS)
        assert all((row[name] == "") == (i < 2) for name in COLUMNS)
    assert all(np.isfinite(float(row[name])) for row in table[2:] for name in COLUMNS)


def test_a_run_leaves_its_policy_and_its_critic(whole: pathlib.Path) -> None:
    assert expol_tf.load_policy(whole).act(np.zeros([3, 4])).shape == (3, 1)
    critic = tf.saved_model.load(str(whole / "critic"))
    q = critic.signatures["q"]
    assert q(observation=tf.zeros([3, 4]), action=tf.zeros([3, 1]))["q"].shape == (3,)
    for name in ("config.gin", "environment.json", "evaluation.csv", "learning_curve.png"):
        assert (whole / name).stat().st_size > 0, name


class Crash(Exception):
    """What a test breaks a run off with."""


def crash_after(env_step: int) -> Any:
    def observer(event: TrainingEvent) -> None:
        if event.env_step >= env_step:
            raise Crash

    return observer


_SLOW = [pytest.param(agent, marks=pytest.mark.slow) for agent in ("sql", "s2ac")]


@pytest.mark.parametrize("agent", ["sac", "ddpg", "s2ac_amortized", *_SLOW])
def test_a_run_that_breaks_off_goes_on_as_if_it_had_not(
    agent: str, whole: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    if agent != "sac":
        whole = tmp_path / "whole"
        run(whole, agent)
    broken = tmp_path / "broken"
    with pytest.raises(Crash):
        run(broken, agent, observers=(crash_after(6 * ITERATION),))
    # The same seed gave the same run so far.
    assert len(rows(broken / "metrics.csv")) == 6
    assert rows(broken / "metrics.csv") == rows(whole / "metrics.csv")[:6]
    assert run(broken, agent).env_step == END
    assert f"resumed at env_step {4 * ITERATION}" in capsys.readouterr().out
    assert rows(broken / "metrics.csv") == rows(whole / "metrics.csv")
    assert rows(broken / "evaluation.csv") == rows(whole / "evaluation.csv")


def start(root: pathlib.Path, *device: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.off_policy_run", str(root), "sac", *device],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_for(root: pathlib.Path, num_rows: int, inside: bool, process: subprocess.Popen) -> None:
    """Returns once there are so many rows and, if asked for, a checkpoint is being written."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        written = (root / "metrics.csv").exists() and len(rows(root / "metrics.csv")) >= num_rows
        if written and (not inside or any((root / "checkpoints").glob(".temporary-*"))):
            return
        time.sleep(0.0005)
    pytest.fail(
        f"no {num_rows} rows:\n{process.communicate()[0] if process.poll() is not None else 'timeout'}"
    )


# In the warm-up, after the first update, and inside of a checkpoint's writing.
@pytest.mark.parametrize(
    "kills",
    [
        ((1, False), (3, True)),
        pytest.param(tuple((i, i % 2 == 0) for i in range(1, 7)), marks=pytest.mark.slow),
    ],
    ids=len,
)
def test_killed_runs_go_on_as_if_they_had_not_been(
    whole: pathlib.Path, tmp_path: pathlib.Path, kills: tuple
) -> None:
    root = tmp_path / "killed"
    for num_rows, inside in kills:
        process = start(root)
        wait_for(root, num_rows, inside, process)
        process.kill()
        process.communicate()
    process = start(root)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert "resumed at env_step" in output
    assert rows(root / "metrics.csv") == rows(whole / "metrics.csv")
    assert rows(root / "evaluation.csv") == rows(whole / "evaluation.csv")


def test_a_run_over_two_devices_goes_on_on_one(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "divided"
    process = start(root, "cpu:2")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert json.loads((root / "environment.json").read_text())["device"] == "CPU:0,CPU:1"
    assert run(root, "sac", num_env_steps=END + 1).env_step == END + ITERATION
    table = rows(root / "metrics.csv")
    assert len(table) == 10 and all(np.isfinite(float(row[name])) for row in table[2:] for name in COLUMNS)


def test_an_off_policy_agent_needs_no_other_part(tmp_path: pathlib.Path) -> None:
    result = expol_tf.train(
        tmp_path / "run", "InvertedPendulum-v5", agent=SacAgent, num_env_steps=1, eval_interval=0
    )
    # One environment, and an iteration of the runner's own length.
    assert result.env_step == 1000
    assert rows(tmp_path / "run" / "metrics.csv")[0]["critic_loss"] == ""


def test_an_agent_with_a_seed_of_its_own_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="Acting.seed must be left out here, .* 0; got 1"):
        expol_tf.train(
            tmp_path / "run",
            "InvertedPendulum-v5",
            agent=functools.partial(SacAgent, acting=Acting(seed=1)),
            num_env_steps=1,
        )
