from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import ActorPolicy
from expol_tf.environments import load_vector
from expol_tf.errors import ConfigurationError, TaskError
from expol_tf.networks import NoisyActorNetwork
from expol_tf.training.evaluation import EVALUATION_COLUMNS, EvaluationResult, Evaluator, evaluate_policy


class Countdown(gymnasium.Env):
    """Episodes whose length (1 to 9) is drawn at reset; every step pays the action."""

    observation_space = spaces.Box(0.0, 10.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(1, 10))
        return np.array([self.left], np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.left -= 1
        is_last = self.left == 0
        # Both kinds of end.
        terminated = is_last and bool(self.np_random.integers(2))
        return np.array([self.left], np.float32), float(action[0]), terminated, is_last and not terminated, {}


class Blind(Countdown):
    """Shows always the same; writes down what each episode's steps paid."""

    def __init__(self, paid: list[list[float]]) -> None:
        self._paid = paid

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._episode: list[float] = []
        self._paid.append(self._episode)
        return np.ones([1], np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        _, reward, terminated, truncated, info = super().step(action)
        self._episode.append(reward)
        return np.ones([1], np.float32), reward, terminated, truncated, info


def one(observation: np.ndarray) -> np.ndarray:
    return np.ones([len(observation), 1], np.float32)


def slow_reference(num_envs: int, seed: int, shares: list[int]) -> list[int]:
    """Lengths of the first episodes of each environment, one environment after the other."""
    lengths = []
    for share, child in zip(shares, np.random.SeedSequence(seed).spawn(num_envs), strict=True):
        env = Countdown()
        observation, _ = env.reset(seed=int(child.generate_state(1)[0]))
        for _ in range(share):
            length, ended = 0, False
            while not ended:
                _, _, terminated, truncated, _ = env.step(np.ones(1))
                length, ended = length + 1, terminated or truncated
            lengths.append(length)
            env.reset()
    return lengths


@pytest.mark.parametrize(
    ("num_envs", "num_episodes", "shares"),
    [(1, 3, [3]), (3, 7, [3, 2, 2]), (4, 2, [1, 1, 0, 0]), (4, 8, [2] * 4)],
)
def test_each_environment_makes_its_fixed_share(num_envs: int, num_episodes: int, shares: list[int]) -> None:
    result = evaluate_policy(one, load_vector(Countdown, num_envs, seed=3), num_episodes)
    assert result.lengths.tolist() == slow_reference(num_envs, 3, shares)
    np.testing.assert_array_equal(result.returns, result.lengths)


def test_short_episodes_are_not_favoured() -> None:
    # The first 200 episodes of 100 environments to end would have a mean well below that of all, 5.
    result = evaluate_policy(one, load_vector(Countdown, 100, seed=0), 200)
    assert abs(result.lengths.mean() - 5.0) < 4 * result.lengths.std() / np.sqrt(200)


def test_a_policys_tuple_of_tensors_is_understood() -> None:
    def act(observation: np.ndarray) -> tuple[tf.Tensor, dict]:
        return tf.fill([len(observation), 1], 0.5), {"log_prob": None}

    result = evaluate_policy(act, load_vector(Countdown, 2, seed=0), 4)
    np.testing.assert_allclose(result.returns, 0.5 * result.lengths)


def test_no_episodes_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="num_episodes must be 1 or more; got 0"):
        evaluate_policy(one, load_vector(Countdown, 2, seed=0), 0)


def test_row_and_table() -> None:
    result = EvaluationResult(np.array([1.0, 3.0]), np.array([10, 20]))
    row = result.row(500)
    assert tuple(row) == EVALUATION_COLUMNS
    assert row == {"env_step": 500, "return_mean": 2.0, "return_std": 1.0, "length_mean": 15.0, "episodes": 2}
    lines = result.table("Countdown").splitlines()
    assert lines[0] == "Countdown"
    assert lines[1].split() == ["mean", "std", "min", "max"]
    assert lines[2].split() == ["return", "2.00", "1.00", "1.00", "3.00"]
    assert lines[3].split() == ["length", "15.00", "5.00", "10.00", "20.00"]


class RandomPolicy:
    """A policy with a generator of its own, like an agent's collect policy."""

    policy_state_spec: Any = ()

    def __init__(self, is_greedy: bool) -> None:
        self.generator = tf.random.Generator.from_seed(0, alg="philox")
        self._is_greedy = is_greedy

    def act(self, observation: np.ndarray) -> tuple[tf.Tensor, tuple]:
        if self._is_greedy:
            return tf.fill([len(observation), 1], 0.25), ()
        return self.generator.uniform([len(observation), 1], -1.0, 1.0), ()


class Agent:
    policy: Any = RandomPolicy(is_greedy=True)
    collect_policy: Any = RandomPolicy(is_greedy=False)


def test_evaluations_depend_on_seed_and_step_alone() -> None:
    agent = Agent()
    evaluator = Evaluator(Countdown, seed=1, episodes=20, deterministic=False)
    state = agent.collect_policy.generator.state.numpy()
    first = evaluator.evaluate(agent, 100)
    np.testing.assert_array_equal(agent.collect_policy.generator.state.numpy(), state)
    agent.collect_policy.act(np.zeros([3, 1]))  # training goes on in between
    np.testing.assert_array_equal(evaluator.evaluate(agent, 100).returns, first.returns)
    same = Evaluator(Countdown, seed=1, episodes=20, deterministic=False)
    np.testing.assert_array_equal(same.evaluate(agent, 100).returns, first.returns)
    assert evaluator.evaluate(agent, 200).returns.tolist() != first.returns.tolist()
    other = Evaluator(Countdown, seed=2, episodes=20, deterministic=False)
    assert other.evaluate(agent, 100).returns.tolist() != first.returns.tolist()


class CountingPolicy(RandomPolicy):
    """Its actions are its state: 1, 2, … hundredths."""

    policy_state_spec = tf.TensorSpec([1])

    def get_initial_state(self, batch_size: int) -> tf.Tensor:
        return tf.zeros([batch_size, 1])

    def act(self, observation: np.ndarray, policy_state: tf.Tensor) -> tuple[tf.Tensor, tuple, tf.Tensor]:
        return policy_state + 0.01, (), policy_state + 0.01


def test_the_state_of_a_policy_lasts_an_episode() -> None:
    agent = Agent()
    agent.collect_policy = CountingPolicy(is_greedy=False)
    # Several episodes in each of three environments, which end at different times.
    evaluator = Evaluator(Countdown, seed=1, episodes=9, deterministic=False, max_envs=3)
    for _ in range(2):
        result = evaluator.evaluate(agent, 0)
        assert len(set(result.lengths)) > 2
        np.testing.assert_allclose(
            result.returns, 0.01 * result.lengths * (result.lengths + 1) / 2, rtol=1e-5
        )


def test_noise_is_kept_for_each_episode() -> None:
    """Of a network whose weights are drawn per episode, on observations that are always the same."""
    observation = tf.TensorSpec([1])
    action = tensor_spec.BoundedTensorSpec([1], tf.float32, -1.0, 1.0)
    network = NoisyActorNetwork(observation, action, (8,), noise="per_episode", initial_rho=0.0)
    agent = Agent()
    agent.collect_policy = ActorPolicy(ts.time_step_spec(observation), action, network, seed=0)
    paid: list[list[float]] = []
    evaluator = Evaluator(lambda: Blind(paid), seed=1, episodes=12, deterministic=False, max_envs=3)
    evaluator.evaluate(agent, 0)
    episodes = [each for each in paid if len(each) > 1]
    # All steps of an episode pay the same, those of any two episodes do not.
    assert len(episodes) > 6 and max(np.ptp(each) for each in episodes) < 1e-6
    assert len({round(each[0], 4) for each in episodes}) == len(episodes)


def test_deterministic_evaluation_takes_the_greedy_policy() -> None:
    result = Evaluator(Countdown, seed=1, episodes=5).evaluate(Agent(), 0)
    assert len(result.returns) == 5
    np.testing.assert_allclose(result.returns, 0.25 * result.lengths)


def test_due_when_a_multiple_of_the_interval_was_passed() -> None:
    evaluator = Evaluator(Countdown, seed=0, interval=100)
    passed = [(0, 99), (0, 100), (100, 199), (100, 250), (250, 299)]
    assert [evaluator.is_due(*steps) for steps in passed] == [False, True, False, True, False]
    assert not Evaluator(Countdown, seed=0, interval=0).is_due(0, 1_000_000)


@pytest.mark.parametrize(
    ("name", "value", "least"), [("interval", -1, 0), ("episodes", 0, 1), ("max_envs", 0, 1)]
)
def test_bad_arguments(name: str, value: int, least: int) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"^Evaluator\.{name} must be {least} or more; got {value}\."
    ):
        Evaluator(Countdown, seed=0, **{name: value})


@pytest.mark.parametrize(("which", "size"), [("observation", 2), ("action", 2)])
def test_fault_17_environments_for_evaluation_with_other_spaces(which: str, size: int) -> None:
    class Other(Countdown):
        pass

    setattr(Other, f"{which}_space", spaces.Box(-1.0, 1.0, (size,), np.float32))

    class Agent:
        time_step_spec = ts.time_step_spec(tensor_spec.BoundedTensorSpec([1], tf.float32, 0.0, 10.0))
        action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -1.0, 1.0)

    with pytest.raises(
        TaskError, match=f"^Other: the {which} space of an environment for evaluation must be"
    ):
        Evaluator(Other, 0, episodes=1).evaluate(Agent(), 0)
