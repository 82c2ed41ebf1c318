"""EnvPool behind the same interface."""

from __future__ import annotations

import numpy as np
import pytest
from tf_agents.environments import utils
from tf_agents.trajectories import StepType

from expol_tf.environments import EnvPoolVectorEnvironment, NoisyObservation, load, load_vector
from expol_tf.errors import CapabilityError, ConfigurationError, SpaceError, UnknownEnvironmentError
from tests.environments.tasks import random_actions

pytest.importorskip("envpool")
LIMIT = 20


def make(num_envs=3, seed=0, task="Hopper-v4", **kwargs):
    return load_vector(task, num_envs, seed, backend="envpool", make_kwargs=kwargs)


def run(environment, num_steps=60):
    """Returns the first observations and copies of all steps."""
    first = environment.reset().copy()
    actions = random_actions(environment.action_spec, num_steps, environment.num_envs)
    return first, [type(step)(*(array.copy() for array in step)) for step in map(environment.step, actions)]


def test_finished_sub_environments_are_reset_in_the_same_step():
    environment = make(4, max_episode_steps=LIMIT)
    assert isinstance(environment, EnvPoolVectorEnvironment)
    _, steps = run(environment, 200)
    length = np.zeros(4, int)
    ends = {"terminated": 0, "truncated": 0}
    for step in steps:
        length += 1
        ended = step.terminated | step.truncated
        # Hopper starts within 0.005 of standing still: a new episode, and no step that was lost to the reset.
        assert np.all(np.abs(step.observation[ended, 5:]) <= 0.005)
        np.testing.assert_array_equal(step.observation[~ended], step.next_observation[~ended])
        assert not np.any(np.all(step.observation[ended] == step.next_observation[ended], axis=1))
        np.testing.assert_array_equal(step.truncated & ~step.terminated, (length == LIMIT) & ~step.terminated)
        assert np.all(step.reward != 0)
        ends = {name: count + getattr(step, name).sum() for name, count in ends.items()}
        length[ended] = 0
    assert min(ends.values()) > 0


def test_the_physics_are_gymnasium_s():
    """From the same state, the same actions lead to the same observations and rewards."""
    reference = load_vector("HalfCheetah-v4", 1, 0)
    pool = make(1, task="HalfCheetah-v4")
    reference.reset()
    first = pool.reset()[0]
    reference._qpos[0, 1:], reference._qvel[0] = first[:8], first[8:]
    for action in random_actions(reference.action_spec, 5, 1):
        expected, got = reference.step(action), pool.step(action)
        np.testing.assert_allclose(got.next_observation, expected.next_observation, atol=1e-3)
        np.testing.assert_allclose(got.reward, expected.reward, atol=1e-3)


def test_seeds_give_the_same_episodes_for_each_sub_environment():
    first, steps = run(make(4, 5))
    again, other_steps = run(make(4, 5))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(steps[-1].next_observation, other_steps[-1].next_observation)
    np.testing.assert_array_equal(make(2, 5).reset(), first[:2])
    assert not np.array_equal(make(4, 6).reset(), first)
    assert len(np.unique(first, axis=0)) == 4
    assert not np.array_equal(make(4, None).reset(), make(4, None).reset())


def test_the_tf_agents_interface_has_its_boundary_frames():
    environment = load("Hopper-v4", 2, 0, backend="envpool", make_kwargs={"max_episode_steps": 3})
    utils.validate_py_environment(environment, episodes=4)
    environment.reset()
    frames = [environment.step(np.zeros((2, 3), np.float32)) for _ in range(8)]
    types = [StepType.MID, StepType.MID, StepType.LAST, StepType.FIRST]
    assert [int(frame.step_type[0]) for frame in frames] == [int(step_type) for step_type in types * 2]
    assert all(np.all(frame.discount == 1) for frame in frames)
    assert np.all(frames[3].reward == 0) and np.all(np.abs(frames[3].observation[:, 5:]) <= 0.005)


def test_inactive_rows_are_left_alone():
    environment = make(3)
    before = environment.reset().copy()
    step = environment.step(np.ones((3, 3)), np.array([False, True, False]))
    np.testing.assert_array_equal(step.next_observation[[0, 2]], before[[0, 2]])
    assert not np.array_equal(step.next_observation[1], before[1])
    assert step.reward[0] == step.reward[2] == 0 != step.reward[1]


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting")
def test_what_envpool_cannot_do_is_said():
    environment = make()
    assert not environment.can_save_state
    for call in (environment.get_state, lambda: environment.set_state({}), environment.render):
        with pytest.raises(CapabilityError, match="sync"):
            call()
    with pytest.raises(ConfigurationError, match="wrappers"):
        load("Hopper-v4", backend="envpool", wrappers=(NoisyObservation,))
    for name in ("gravity", "render_mode", "num_envs", "seed"):
        with pytest.raises(ConfigurationError, match=f"got '{name}'"):
            load_vector("Hopper-v4", backend="envpool", make_kwargs={"max_episode_steps": 5, name: 1})
    with pytest.raises(ConfigurationError, match="task must be"):
        load_vector(lambda: None, backend="envpool")
    with pytest.raises(UnknownEnvironmentError, match="EnvPool has no task 'Hopper-v44'.*Hopper-v4"):
        make(task="Hopper-v44")
    with pytest.raises(SpaceError, match="CartPole-v1"):
        make(task="CartPole-v1")
