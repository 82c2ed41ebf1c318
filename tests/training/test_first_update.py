"""A run that trains nothing says so."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

import expol_tf
from expol_tf.environments import load_vector
from expol_tf.training import OffPolicyRunner
from tests.training import off_policy_run
from tests.training.stand_in import Counting, StandInAgent

SHORT: dict[str, Any] = dict(eval_interval=0, num_env_steps=off_policy_run.ITERATION)
AT_START, AT_END = "WARNING: this run will train nothing", "WARNING: nothing was trained"


def trained(root: pathlib.Path) -> bool:
    return json.loads((root / "environment.json").read_text())["trained"]


@pytest.mark.parametrize("agent", ["sac", "ddpg"])
def test_fault_06_a_run_shorter_than_its_warm_up_says_so_twice_and_in_its_record(
    agent: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    off_policy_run.run(tmp_path / "run", agent, **SHORT)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].startswith(AT_START) and "warm_up_steps" in lines[0] and "48" in lines[0]
    assert lines[-1].startswith(AT_END) and "random" in lines[-1]
    assert trained(tmp_path / "run") is False
    expol_tf.load_policy(tmp_path / "run")
    assert "before its agent made any update" in caplog.text
    caplog.clear()
    # Extended beyond its warm-up, it trains.
    off_policy_run.run(tmp_path / "run", agent, **SHORT | {"num_env_steps": 3 * off_policy_run.ITERATION})
    output = capsys.readouterr().out
    assert AT_START not in output and AT_END not in output
    assert trained(tmp_path / "run") is True
    expol_tf.load_policy(tmp_path / "run")
    assert "before its agent" not in caplog.text


@pytest.mark.parametrize(
    ("num_envs", "updates_per_step", "warm_up_steps"), [(1, 1.0, 10), (3, 0.3, 10), (2, 0.1, 0), (4, 3.0, 8)]
)
def test_the_first_update_comes_when_the_runner_says(
    num_envs: int, updates_per_step: float, warm_up_steps: int
) -> None:
    agent = StandInAgent()
    runner = OffPolicyRunner(
        load_vector(Counting, num_envs, seed=0),
        agent,
        batch_size=4,
        replay_capacity=100,
        updates_per_step=updates_per_step,
        warm_up_steps=warm_up_steps,
        iteration_steps=num_envs,
        seed=0,
    )
    steps = 0
    while agent.updates.numpy() == 0:
        steps += num_envs
        assert bool(runner.iterate().metrics) == (steps >= runner.first_update_step)
    assert steps == runner.first_update_step
