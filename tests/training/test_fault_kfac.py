"""ACKTR where the policy's output layer begins near 0: its steps keep to the divergence that it aims at."""

from __future__ import annotations

import csv
import functools
import pathlib
from typing import Any

import gymnasium
import numpy as np
import pytest

import expol_tf
from expol_tf.agents import AcktrAgent
from expol_tf.networks import GaussianActorNetwork, ValueNetwork
from expol_tf.training import OnPolicyRunner


class Identity(gymnasium.Env):
    """The state is drawn anew in each of 100 steps; an action within 0.5 of it is worth 1."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def _draw(self) -> np.ndarray:
        self._state = self.np_random.uniform(-1.0, 1.0, (1,)).astype(np.float32)
        return self._state

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._steps = 0
        return self._draw(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = float(abs(action[0] - self._state[0]) <= 0.5)
        self._steps += 1
        return self._draw(), reward, False, self._steps == 100, {}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_fault_07_sixteen_updates_learn_the_identity_and_none_goes_too_far(
    seed: int, tmp_path: pathlib.Path
) -> None:
    expol_tf.train(
        tmp_path / "run",
        Identity,
        agent=AcktrAgent,
        actor_network=GaussianActorNetwork,
        value_network=ValueNetwork,
        runner=functools.partial(OnPolicyRunner, iteration_steps=500),
        num_envs=5,
        num_env_steps=8_000,
        eval_interval=8_000,
        eval_episodes=10,
        seed=seed,
    )
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        divergences = [float(row["kl"]) for row in csv.DictReader(file)]
    with (tmp_path / "run" / "evaluation.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert len(divergences) == 16
    # With the factors and momentum of version 0.1 the largest was 0.3 to 0.8, and the return 60.
    assert max(divergences) <= 0.05
    assert float(last["return_mean"]) >= 80.0
