"""Whole runs of PPO and ACKTR: broken off and resumed they go on bit for bit."""

from __future__ import annotations

import csv
import functools
import pathlib
from typing import Any

import pytest

import expol_tf
from expol_tf.agents import AcktrAgent, Acting, ClippedUpdate, KroneckerUpdate, PpoAgent
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork, ValueNetwork
from expol_tf.optimizers import Kfac, KfacRegression, MinibatchAdam, MinibatchRegression
from expol_tf.training import OnPolicyRunner, TrainingEvent

TIMINGS = ("wall_time_s", "env_steps_per_s")
ITERATION = 128
END = 8 * ITERATION


def make_ppo(*networks: Any, **arguments: Any) -> PpoAgent:
    return PpoAgent(
        *networks,
        policy_update=ClippedUpdate(MinibatchAdam(1e-3, 2, 32, max_gradient_norm=0.5), max_kl=0.01),
        value_fit=MinibatchRegression(1e-3, 2, 32),
        acting=Acting(jit_compile=False),
        **arguments,
    )


def make_acktr(*networks: Any, **arguments: Any) -> AcktrAgent:
    # Decomposed at updates 1 and 4 of a run that breaks off after the sixth and goes on after the fourth.
    return AcktrAgent(
        *networks,
        policy_update=KroneckerUpdate(Kfac(eigen_interval=3, jit_compile=False)),
        value_fit=KfacRegression(Kfac(0.01, 0.1, 0.3, eigen_interval=7, jit_compile=False), updates=2),
        acting=Acting(jit_compile=False),
        **arguments,
    )


def train(root: pathlib.Path, agent: Any, actor_network: Any, observers: tuple = ()) -> int:
    return expol_tf.train(
        root,
        "InvertedPendulum-v5",
        agent=agent,
        actor_network=actor_network,
        value_network=functools.partial(ValueNetwork, hidden_units=(8,)),
        runner=functools.partial(OnPolicyRunner, iteration_steps=ITERATION),
        num_envs=4,
        num_env_steps=END,
        checkpoint_interval=4 * ITERATION,
        eval_interval=4 * ITERATION,
        eval_episodes=1,
        observers=observers,
    ).env_step


def rows(root: pathlib.Path) -> list[dict[str, str]]:
    with (root / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    return [{name: cell for name, cell in row.items() if name not in TIMINGS} for row in table]


class Crash(Exception):
    """What a test breaks a run off with."""


def crash_after(env_step: int) -> Any:
    def observer(event: TrainingEvent) -> None:
        if event.env_step >= env_step:
            raise Crash

    return observer


GAUSSIAN = functools.partial(GaussianActorNetwork, hidden_units=(8,))
FLOW = functools.partial(FlowActorNetwork, num_transformations=1, hidden_units=(8,))


@pytest.mark.parametrize(
    ("agent", "actor_network"),
    [
        (make_ppo, GAUSSIAN),
        (make_acktr, GAUSSIAN),
        pytest.param(make_ppo, FLOW, marks=pytest.mark.slow),
        pytest.param(make_acktr, FLOW, marks=pytest.mark.slow),
    ],
    ids=["ppo", "acktr", "ppo flow", "acktr flow"],
)
def test_a_run_that_breaks_off_goes_on_as_if_it_had_not(
    agent: Any, actor_network: Any, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(whole, agent, actor_network) == END
    with pytest.raises(Crash):
        train(broken, agent, actor_network, (crash_after(6 * ITERATION),))
    # The same seed gave the same run so far.
    assert len(rows(broken)) == 6 and rows(broken) == rows(whole)[:6]
    assert train(broken, agent, actor_network) == END
    assert f"resumed at env_step {4 * ITERATION}" in capsys.readouterr().out
    assert len(rows(whole)) == 8 and rows(broken) == rows(whole)
