"""What other people's environments have: constant observations, and rewards of several objectives."""

from __future__ import annotations

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from expol_tf.environments import (
    ArrayTaskEnv,
    Transition,
    VectorEnvironment,
    VectorStep,
    checked_step,
    load,
    load_vector,
)
from expol_tf.errors import SpaceError, TaskError
from expol_tf.testing import check_environment
from tests.environments.tasks import CountingTask, make_with_both_ends

# As Meta-World has them where the goal is hidden: a box of float64 in which 0 is the only value.
HIDDEN_GOAL = spaces.Box(np.array([-np.inf, -0.5, 0.0]), np.array([np.inf, 0.5, 0.0]), dtype=np.float64)
CONSTANTS = {
    "a hidden goal": (HIDDEN_GOAL, np.zeros(3)),
    "another number": (spaces.Box(np.float32([0, 0.1, -1]), np.float32([9, 0.1, 1])), np.array([0, 0.1, 0])),
    "all components": (spaces.Box(1.0, 1.0, (3,), np.float64), np.ones(3)),
}


def constant_task(space, values):
    class Constant(CountingTask):
        def _observe(self, action):
            observation = super()._observe(action)
            return np.where(space.low == space.high, values, observation).astype(space.dtype)

    return Constant(0.15, observation_space=space)


@pytest.mark.parametrize("kind", CONSTANTS)
def test_client_07_constant_observation_components_are_accepted(kind):
    space, values = CONSTANTS[kind]
    environment = load_vector(functools.partial(constant_task, space, values), 2, 0)
    spec = environment.observation_spec
    constant = space.low == space.high
    np.testing.assert_array_equal(spec.minimum[constant], np.float32(space.low[constant]))
    np.testing.assert_array_equal(spec.maximum[constant], np.float32(space.low[constant]))
    environment.reset()
    observation = environment.step(np.zeros((2, 2), np.float32)).observation
    np.testing.assert_array_equal(observation[:, constant], np.tile(spec.minimum[constant], (2, 1)))
    check_environment(lambda seed: load(functools.partial(constant_task, space, values), 2, seed))


def test_client_07_a_box_upside_down_and_a_constant_action_are_refused():
    box = spaces.Box(np.float32([-1, -1, -1]), np.float32([1, 1, 1]))
    box.low[1] = 2
    with pytest.raises(SpaceError, match=r"low > high in component 1\. Exchange the two\."):
        load_vector(lambda: CountingTask(observation_space=box))
    action = spaces.Box(np.float32([-1, 2]), np.float32([1, 2]))
    with pytest.raises(SpaceError, match=r"low == high in component 1\. Leave that one out\."):
        load_vector(lambda: CountingTask(action_space=action))


class Objectives(gymnasium.Wrapper):
    """Gives as many rewards as objectives, as MO-Gymnasium's tasks do."""

    def __init__(self, env, convert):
        super().__init__(env)
        self.convert = convert

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return observation, self.convert([reward, -1.0]), *rest


@pytest.mark.parametrize("convert", [np.array, np.float32, list, tuple])
def test_client_07_rewards_of_several_objectives_name_linear_reward(convert):
    environment = load_vector(lambda: Objectives(CountingTask(), convert), 2, 0)
    environment.reset()
    with pytest.raises(TaskError) as caught:
        environment.step(np.zeros((2, 2)))
    message = str(caught.value)
    assert "sub-environment 0, step 1: the reward that step() returns must be a real number" in message
    assert "2 objectives" in message and "mo_gymnasium.wrappers.LinearReward, weight=…)" in message


def test_client_07_the_remedy_for_several_objectives_works():
    """A weighted sum, as LinearReward makes it: 0.5·reward + 2·(−1)."""

    class Linear(gymnasium.Wrapper):
        def __init__(self, env, weight):
            super().__init__(env)
            self.weight = np.asarray(weight)

        def step(self, action):
            observation, reward, *rest = self.env.step(action)
            return observation, np.dot(reward, self.weight).astype(np.float32), *rest

    single = load_vector(CountingTask, 2, 0)
    weighted = load_vector(
        lambda: Objectives(CountingTask(), np.array),
        2,
        0,
        wrappers=[functools.partial(Linear, weight=[0.5, 2])],
    )
    single.reset(), weighted.reset()
    actions = np.zeros((2, 2), np.float32)
    expected = 0.5 * single.step(actions).reward - 2
    np.testing.assert_allclose(weighted.step(actions).reward, expected, rtol=1e-6)


class SeveralRewards(VectorEnvironment):
    """A vector environment of somebody else's, with rewards `[N, 2]`."""

    task, num_envs = "Several", 3

    def __init__(self):
        inner = load_vector(CountingTask, 3, 0)
        self.observation_spec, self.action_spec, self._inner = (
            inner.observation_spec,
            inner.action_spec,
            inner,
        )

    def reset(self):
        return self._inner.reset()

    def step(self, actions, active=None):
        step = self._inner.step(actions, active)
        return VectorStep(*step)._replace(reward=np.stack([step.reward, step.reward], axis=1))


class SeveralObjectives:
    """A task of arrays, with a reward for each component of its state."""

    observation_space = action_space = spaces.Box(-1, 1, (2,), np.float32)

    def initial_state(self, generator):
        return np.zeros(2)

    def observe(self, state):
        return state

    def transition(self, state, action):
        return Transition(state, state, np.zeros(len(state), bool))


def step_vector():
    environment = SeveralRewards()
    environment.reset()
    checked_step(environment, np.zeros((3, 2), np.float32))


def step_array_task():
    environment = load_vector(lambda: ArrayTaskEnv(SeveralObjectives()), 3, 0)
    environment.reset()
    environment.step(np.zeros((3, 2)))


@pytest.mark.parametrize("step", [step_vector, step_array_task])
def test_client_07_rewards_of_several_objectives_are_named_wherever_they_come_in(step):
    with pytest.raises(TaskError, match=r"shape \(\d, 2\).*2 objectives.*LinearReward"):
        step()


def test_client_07_the_environment_check_names_linear_reward():
    with pytest.raises(AssertionError, match="2 objectives.*LinearReward"):
        check_environment(lambda seed: load(lambda: Objectives(make_with_both_ends(), np.array), 2, seed))
