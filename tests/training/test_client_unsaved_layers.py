"""A run says at its start which layer of its environments cannot save its state."""

from __future__ import annotations

import functools
import pathlib

import gymnasium
import numpy as np
import pytest

import expol_tf
from expol_tf.agents import DdpgAgent
from expol_tf.training import OffPolicyRunner


class Forgetful(gymnasium.Wrapper):
    """Keeps something that nobody saves."""


class Drift(gymnasium.Env):
    """Knows how to save nothing."""

    observation_space = gymnasium.spaces.Box(-9, 9, (3,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 0.0, False, False, {}


class SavingDrift(Drift):
    def get_state(self):
        return {}

    def set_state(self, state):
        pass


TRANSFORM = functools.partial(gymnasium.wrappers.TransformReward, func=lambda reward: 3 * reward)
CASES = {
    "the environment": (Drift, (), "Drift"),
    "a wrapper of one's own": (SavingDrift, (Forgetful,), "Forgetful"),
    "a wrapper of Gymnasium's with any function": (SavingDrift, (TRANSFORM,), "TransformReward"),
    "both": (Drift, (gymnasium.wrappers.RecordEpisodeStatistics, Forgetful), "Forgetful, Drift"),
    "nothing": (SavingDrift, (gymnasium.wrappers.RecordEpisodeStatistics,), None),
}


@pytest.mark.parametrize("case", CASES)
def test_client_07_the_note_names_the_layer(
    case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    task, wrappers, named = CASES[case]
    runner = functools.partial(
        OffPolicyRunner, iteration_steps=4, warm_up_steps=100, batch_size=4, replay_capacity=100
    )
    expol_tf.train(
        tmp_path / "run", task, agent=DdpgAgent, runner=runner, wrappers=wrappers, num_envs=1,
        num_env_steps=4, eval_interval=0,
    )  # fmt: skip
    notes = [line for line in capsys.readouterr().out.splitlines() if "cannot save its state" in line]
    if named is None:
        assert not notes
    else:
        (note,) = notes
        assert (
            f"cannot save its state: no get_state and set_state in {named}. A resumed run starts new" in note
        )
