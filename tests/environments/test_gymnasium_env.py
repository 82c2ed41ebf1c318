"""Both interfaces against a slow reference, over both kinds of episode end."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.environments import tf_py_environment, utils

from expol_tf.environments import (
    GymnasiumEnvironment,
    NoisyObservation,
    VectorEnvironment,
    action_spec,
    load,
    load_vector,
    time_step_spec,
)
from expol_tf.errors import ConfigurationError
from tests.environments.tasks import CountingTask, SlowReference, make_with_both_ends, random_actions

# Tasks stepped in a loop, one with a wrapper outside of its time limit, and one that MuJoCo batches.
CASES = {
    "loop": ({"task": make_with_both_ends}, make_with_both_ends),
    "wrapped": (
        {"task": make_with_both_ends, "wrappers": (NoisyObservation,)},
        lambda: NoisyObservation(make_with_both_ends()),
    ),
    "Hopper": (
        {"task": "Hopper-v5", "make_kwargs": {"max_episode_steps": 21}},
        lambda: gymnasium.make("Hopper-v5", max_episode_steps=21),
    ),
    "InvertedDoublePendulum": (
        {"task": "InvertedDoublePendulum-v5", "make_kwargs": {"max_episode_steps": 9}},
        lambda: gymnasium.make("InvertedDoublePendulum-v5", max_episode_steps=9),
    ),
}
NUM_ENVS, NUM_STEPS, SEED = 5, 120, 3


@pytest.fixture(name="case", params=CASES.values(), ids=CASES)
def fixture_case(request):
    return request.param


def test_the_vector_interface_equals_the_slow_reference(case):
    arguments, make = case
    environment = load_vector(num_envs=NUM_ENVS, seed=SEED, **arguments)
    assert isinstance(environment, VectorEnvironment)
    reference = SlowReference(make, NUM_ENVS, SEED)
    np.testing.assert_array_equal(environment.reset(), np.float32(reference.first))
    actions = random_actions(environment.action_spec, NUM_STEPS, NUM_ENVS)
    expected = [list(reference.transitions(i, actions[:, i])) for i in range(NUM_ENVS)]
    for t in range(NUM_STEPS):
        step = environment.step(actions[t])
        assert step.observation.dtype == step.next_observation.dtype == step.reward.dtype == np.float32
        following = environment.current_observation()
        for i in range(NUM_ENVS):
            observation, reward, terminated, truncated, to_act_on = expected[i][t]
            np.testing.assert_array_equal(step.next_observation[i], np.float32(observation))
            assert step.reward[i] == np.float32(reward)
            assert step.terminated[i] == terminated and step.truncated[i] == truncated
            np.testing.assert_array_equal(step.observation[i], np.float32(to_act_on))
            np.testing.assert_array_equal(following[i], step.observation[i])
    ends = [(terminated, truncated) for rows in expected for _, _, terminated, truncated, _ in rows]
    assert (True, False) in ends and (False, True) in ends


def test_the_tf_agents_interface_equals_the_slow_reference(case):
    arguments, make = case
    environment = load(num_envs=NUM_ENVS, seed=SEED, **arguments)
    reference = SlowReference(make, NUM_ENVS, SEED)
    first = environment.reset()
    assert np.all(first.is_first()) and np.all(first.reward == 0) and np.all(first.discount == 1)
    np.testing.assert_array_equal(first.observation, np.float32(reference.first))
    actions = random_actions(environment.action_spec(), NUM_STEPS, NUM_ENVS)
    expected = [list(reference.frames(i, actions[:, i])) for i in range(NUM_ENVS)]
    steps = [environment.step(action) for action in actions]  # kept, so that a shared array would show
    for t, step in enumerate(steps):
        for i in range(NUM_ENVS):
            step_type, reward, discount, observation = expected[i][t]
            assert step.step_type[i] == step_type and step.discount[i] == discount
            assert step.reward[i] == np.float32(reward)
            np.testing.assert_array_equal(step.observation[i], np.float32(observation))
    kinds = {(step_type, discount) for rows in expected for step_type, _, discount, _ in rows}
    assert kinds == {(0, 1.0), (1, 1.0), (2, 1.0), (2, 0.0)}


def test_the_action_of_a_boundary_frame_is_ignored_even_if_it_is_nan():
    environment = load(lambda: make_with_both_ends(0.0, 2), num_envs=1, seed=0)
    environment.reset()
    assert [int(environment.step(np.zeros((1, 2))).step_type[0]) for _ in range(2)] == [1, 2]
    boundary = environment.step(np.full((1, 2), np.nan))
    assert boundary.is_first()[0] and boundary.reward[0] == 0
    assert len(environment.vector_environment._envs[0].unwrapped.actions) == 2


def test_inactive_rows_are_left_alone():
    environment = load_vector(make_with_both_ends, num_envs=3, seed=0)
    before = environment.reset().copy()
    active = np.array([True, False, True])
    step = environment.step(np.full((3, 2), 0.5), active)
    np.testing.assert_array_equal(step.next_observation[1], before[1])
    assert step.reward[1] == 0 and not step.terminated[1] and not step.truncated[1]
    np.testing.assert_array_equal(step.next_observation[[0, 2], 0], [1, 1])


@pytest.mark.parametrize("task", ["Hopper-v5", make_with_both_ends])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_tf_agents_own_validation_passes(task, num_envs):
    utils.validate_py_environment(load(task, num_envs=num_envs, seed=0), episodes=4)


def test_it_works_as_a_tf_environment():
    environment = load("Hopper-v5", num_envs=2, seed=0, make_kwargs={"max_episode_steps": 3})
    tf_environment = tf_py_environment.TFPyEnvironment(environment)
    assert tf_environment.batch_size == 2
    types = [tf_environment.reset().step_type]
    for _ in range(4):
        step = tf_environment.step(tf.zeros((2, 3)))
        types.append(step.step_type)
    assert [int(step_type[0]) for step_type in types] == [0, 1, 1, 2, 0]
    assert step.observation.shape == (2, 11) and step.observation.dtype == tf.float32
    assert tf_environment.time_step_spec() == time_step_spec(environment)
    assert tf_environment.action_spec() == action_spec(environment)


def test_specs_are_the_same_for_both_interfaces():
    environment = load("Hopper-v5")
    assert time_step_spec(environment.vector_environment) == time_step_spec(environment)
    assert action_spec(environment.vector_environment) == action_spec(environment)
    assert action_spec(environment).shape == (3,) and time_step_spec(environment).observation.shape == (11,)


@pytest.mark.parametrize("task", ["Hopper-v5", make_with_both_ends])
def test_state_includes_the_boundary(task):
    environment, other = (load(task, num_envs=4, seed=seed) for seed in (0, 1))
    environment.reset()
    actions = random_actions(environment.action_spec(), 200, 4)
    boundaries = 0
    for t in range(40):
        step = environment.step(actions[t])
        boundaries += step.is_last().any()
        if step.is_last().any() and boundaries == 2:
            break
    state = environment.get_state()
    expected = [environment.step(action) for action in actions[t + 1 :]]
    other.set_state(state)
    np.testing.assert_array_equal(other.current_time_step().observation, step.observation)
    for action, frame in zip(actions[t + 1 :], expected, strict=True):
        restored = other.step(action)
        for field, value in restored._asdict().items():
            np.testing.assert_array_equal(value, getattr(frame, field), err_msg=field)


def test_pictures_are_the_first_sub_environment_s():
    environment = load(CountingTask, num_envs=2, make_kwargs={"render_mode": "rgb_array"})
    environment.reset()
    environment.vector_environment.step(np.zeros((2, 2)), np.array([True, False]))
    np.testing.assert_array_equal(environment.render(), np.ones((4, 5, 3)))
    with pytest.raises(ConfigurationError, match="render_mode=None.*rgb_array"):
        load(CountingTask).render()
    with pytest.raises(ConfigurationError, match="mode must be"):
        environment.render("human")


def test_a_vector_environment_of_one_s_own_can_be_adapted():
    vector = load_vector(make_with_both_ends, num_envs=2, seed=0)
    assert GymnasiumEnvironment(vector).task == "SavableCountingTask"
