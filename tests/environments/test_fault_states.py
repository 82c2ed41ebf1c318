"""A state that is not that of these environments is refused by name, before it is stepped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expol_tf.environments import ArrayTaskEnv, GymnasiumEnvironment, NoisyObservation, load_vector
from expol_tf.environments.simulator_state import set_mujoco_state
from expol_tf.errors import CheckpointError, ConfigurationError
from tests.damaged_states import refuse_damaged
from tests.environments.tasks import random_actions

ENVIRONMENTS: dict[str, Callable[[], Any]] = {
    "array": lambda: load_vector("expol/MultiGoal-v0", 3, 0),
    "mujoco": lambda: load_vector("Hopper-v5", 2, 0),
    "mujoco in a loop": lambda: load_vector("InvertedPendulum-v5", 2, 0),
    "classic control": lambda: load_vector("Pendulum-v1", 2, 0),
    "another of it": lambda: load_vector("MountainCarContinuous-v0", 2, 0),
    "wrapped": lambda: load_vector("expol/GaussianBandit-v0", 2, 0, wrappers=(NoisyObservation,)),
}


@pytest.mark.parametrize("make", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_fault_13_states_of_environments(make: Callable[[], Any]) -> None:
    environment = make()
    environment.reset()
    for action in random_actions(environment.action_spec, 3, environment.num_envs):
        environment.step(action)
    optional = [name for name in environment.get_state() if name.endswith(".last_u")]
    refuse_damaged(environment, optional)


def test_fault_13_states_of_the_tf_agents_interface() -> None:
    environment = GymnasiumEnvironment(load_vector("expol/MultiGoal-v0", 2, 0))
    with pytest.raises(ConfigurationError, match="must be reset before it has a state"):
        environment.get_state()
    environment.reset()
    environment.step(np.zeros((2, 2), np.float32))
    refuse_damaged(environment)


def test_a_pendulum_that_has_not_moved_is_restored_as_such() -> None:
    """Its state lacks the last torque, which pictures show."""
    environment = load_vector("Pendulum-v1", 1, 0)
    environment.reset()
    state = environment.get_state()
    environment.step(np.ones((1, 1), np.float32))
    assert environment._envs[0].unwrapped.last_u is not None  # type: ignore[attr-defined]
    environment.set_state(state)
    assert environment._envs[0].unwrapped.last_u is None  # type: ignore[attr-defined]


def test_fault_13_a_single_task_of_arrays() -> None:
    environment: Any = load_vector("expol/MultiGoal-v0", 1, 0)._env.unwrapped  # type: ignore[attr-defined]
    assert isinstance(environment, ArrayTaskEnv)
    # Before the first reset it has none.
    assert environment.get_state() == {}
    environment.set_state({})
    for state in ({"state": np.zeros(3)}, {"other": np.zeros(2)}):
        with pytest.raises(CheckpointError, match=r"needs 'state', an array of shape \(2,\)"):
            environment.set_state(state)
    environment.reset(seed=0)
    refuse_damaged(environment)


@pytest.mark.parametrize("state", [None, 3.0, np.zeros(3), np.array(["a"])])
def test_fault_13_states_of_a_simulator(state: Any) -> None:
    task: Any = load_vector("Hopper-v5", 1, 0)._env.unwrapped  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match=r"must be an array of \d+ floating numbers .*Resume with"):
        set_mujoco_state(task.model, task.data, state)
