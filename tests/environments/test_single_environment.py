"""One environment without a batch dimension, for what TF-Agents and Reverb do with those."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from tf_agents.drivers import py_driver
from tf_agents.environments import (
    batched_py_environment,
    parallel_py_environment,
    py_environment,
    tf_py_environment,
    utils,
    wrappers,
)
from tf_agents.policies import random_py_policy
from tf_agents.system import system_multiprocessing

from expol_tf.environments import GymnasiumEnvironment, SingleGymnasiumEnvironment, load, load_vector
from expol_tf.errors import ConfigurationError
from tests.environments.tasks import make_with_both_ends

load_one = functools.partial(load, make_with_both_ends, batched=False)


def actions_for(environment: py_environment.PyEnvironment, count: int) -> np.ndarray:
    spec = environment.action_spec()
    return np.random.default_rng(0).uniform(-1.2, 1.2, [count, *spec.shape]).astype(np.float32)


def test_client_03_it_is_the_batched_one_without_its_first_dimension() -> None:
    batched, single = load(make_with_both_ends, num_envs=1, seed=3), load_one(seed=3)
    assert not single.batched and single.batch_size is None
    steps = [(batched.reset(), single.reset())]
    for action in actions_for(single, 60):
        steps.append((batched.step(action[np.newaxis]), single.step(action)))
    for expected, found in steps:
        for one, other in zip(expected, found, strict=True):
            assert one.dtype == other.dtype and np.array_equal(one[0], other)
    assert {int(found.step_type) for _, found in steps} == {0, 1, 2}


def test_client_03_tf_agents_validates_it() -> None:
    utils.validate_py_environment(load_one(seed=0), episodes=3)


@pytest.mark.parametrize("task", ["Hopper-v5", "expol/GaussianBandit-v0"])
def test_client_03_other_backends(task: str) -> None:
    environment = load(task, seed=0, batched=False)
    assert environment.reset().observation.shape == environment.observation_spec().shape
    assert environment.step(np.zeros(environment.action_spec().shape, np.float32)).reward.shape == ()


def test_client_03_a_state_is_restored() -> None:
    saved, other = load("Hopper-v5", seed=0, batched=False), load("Hopper-v5", seed=1, batched=False)
    saved.reset()
    actions = actions_for(saved, 20)
    for action in actions[:10]:
        saved.step(action)
    state = saved.get_state()
    other.reset()
    other.set_state(state)
    for action in actions[10:]:
        for one, two in zip(saved.step(action), other.step(action), strict=True):
            np.testing.assert_array_equal(one, two)


def test_client_03_batched_py_environment() -> None:
    environment = batched_py_environment.BatchedPyEnvironment(
        [load_one(seed=seed) for seed in (0, 1)], multithreading=False
    )
    expected = [load_one(seed=seed) for seed in (0, 1)]
    found = environment.reset()
    np.testing.assert_array_equal(found.observation, [each.reset().observation for each in expected])
    for action in actions_for(expected[0], 30):
        found = environment.step(np.stack([action, -action]))
        pair = [each.step(sign * action) for each, sign in zip(expected, (1, -1), strict=True)]
        for name in ("observation", "reward", "discount", "step_type"):
            np.testing.assert_array_equal(getattr(found, name), [getattr(each, name) for each in pair])


def test_client_03_parallel_py_environment() -> None:
    system_multiprocessing.enable_interactive_mode()
    environment = parallel_py_environment.ParallelPyEnvironment(
        [functools.partial(load_one, seed=seed) for seed in (0, 1)]
    )
    try:
        expected = [load_one(seed=seed) for seed in (0, 1)]
        found = environment.reset()
        np.testing.assert_array_equal(found.observation, [each.reset().observation for each in expected])
        action = np.zeros([2, *expected[0].action_spec().shape], np.float32)
        assert environment.step(action).reward.shape == (2,)
    finally:
        environment.close()


def test_client_03_history_wrapper() -> None:
    environment = wrappers.HistoryWrapper(load_one(seed=0), history_length=3)
    size = load_one(seed=0).observation_spec().shape[0]
    first = environment.reset().observation
    assert first.shape == (3, size) and not first[:2].any()
    after = environment.step(np.zeros(environment.action_spec().shape, np.float32)).observation
    np.testing.assert_array_equal(after[1], first[2])


def test_client_03_tf_py_environment_and_py_driver() -> None:
    environment = tf_py_environment.TFPyEnvironment(load_one(seed=0))
    assert environment.batch_size == 1 and environment.reset().observation.shape[0] == 1
    frames: list[Any] = []
    single = load_one(seed=0)
    policy = random_py_policy.RandomPyPolicy(single.time_step_spec(), single.action_spec(), seed=0)
    py_driver.PyDriver(single, policy, [frames.append], max_steps=20).run(single.reset())
    assert len(frames) >= 20 and frames[0].reward.shape == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(num_envs=2, batched=False), "batched=False must go with num_envs=1.*got 2"),
        (dict(batched=0), "batched must be True or False; got 0"),
    ],
)
def test_client_03_what_cannot_be_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(make_with_both_ends, **arguments)


def test_client_03_one_of_several_environments_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be of one environment.*num_envs=2"):
        SingleGymnasiumEnvironment(load_vector(make_with_both_ends, num_envs=2))
    assert isinstance(load_one(), GymnasiumEnvironment)
