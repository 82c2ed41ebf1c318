"""Rewards in units of the deviation of discounted returns."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

import expol_tf
from expol_tf.agents import Acting, SacAgent, TrpoAgent
from expol_tf.configuration import configuration_from_call, read_bindings, resolve
from expol_tf.environments import load_vector
from expol_tf.errors import CheckpointError, ConfigurationError
from expol_tf.networks import GaussianActorNetwork
from expol_tf.runs import read_table
from expol_tf.training import Experiment, OffPolicyRunner, OnPolicyRunner, RewardNormalizer, train
from tests.agents.small_agents import box, make_agent
from tests.damaged_states import refuse_damaged
from tests.training.stand_in import Counting

GAMMA = 0.9


def slow_normalized(rewards: np.ndarray, ends: np.ndarray, gamma: float, clip: float | None) -> np.ndarray:
    """Rewards `[T, N]` normalized by all returns up to their step, kept in a list, a prior with them."""
    num_envs = rewards.shape[1]
    running, seen, result = [0.0] * num_envs, [], []
    for row, ended in zip(rewards, ends, strict=True):
        for i in range(num_envs):
            running[i] = gamma * running[i] + float(row[i])
            seen.append(running[i])
            if ended[i]:
                running[i] = 0.0
        weights = np.array([1e-4, *np.ones(len(seen))])
        values = np.array([0.0, *seen])
        mean = np.average(values, weights=weights)
        # The prior is of variance 1 about a mean of 0.
        variance = np.average((values - mean) ** 2 + np.eye(len(values))[0], weights=weights)
        scaled = row / np.sqrt(variance + 1e-8)
        result.append(scaled if clip is None else np.clip(scaled, -clip, clip))
    return np.array(result)


OBSERVATION = tensor_spec.TensorSpec([2], tf.float32, "observation")


def make_runner(**settings: Any) -> Any:
    agent = make_agent(observation=OBSERVATION, action=box(-2.0, 1.0, 1))
    return OnPolicyRunner(load_vector(Counting, 3, seed=0), agent, iteration_steps=60, **settings)


@pytest.mark.parametrize("clip", [None, 1.5])
def test_fault_04_rewards_are_scaled_as_the_slow_reference_scales_them(clip: float | None) -> None:
    scaled = make_runner(reward_normalizer=RewardNormalizer(GAMMA, clip))
    plain = make_runner()
    rows = []
    for _ in range(2):
        rollout, returns, lengths = plain.collect()
        rewards, ends = rollout.reward.T.copy(), rollout.episode_end.T.copy()
        own, own_returns, own_lengths = scaled.collect()
        # What an episode is worth stays what the task says.
        assert own_returns == returns and own_lengths == lengths and len(returns) > 10
        rows.append((rewards, ends, own.reward.T.copy()))
    rewards, ends, result = (np.concatenate(each) for each in zip(*rows, strict=True))
    expected = slow_normalized(rewards, ends, GAMMA, clip)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    assert clip is None or (np.abs(expected) == clip).any()


def test_its_state_is_saved_to_the_bit() -> None:
    settings = dict(reward_normalizer=RewardNormalizer(GAMMA))
    first, second = (make_runner(**settings) for _ in range(2))
    for _ in range(2):
        first.collect()
    state = first.get_state()
    generators = [runner._agent.collect_policy.generator for runner in (first, second)]
    generators[1].state.assign(generators[0].state)
    expected = first.collect()[0].reward.copy()
    second.set_state(state)
    np.testing.assert_array_equal(second.collect()[0].reward, expected)


def test_fault_13_the_state_of_another_runner_is_refused() -> None:
    observation = tensor_spec.TensorSpec([3], tf.float32, "observation")
    agent = make_agent(observation=observation, action=box(-2.0, 2.0, 1))
    settings: dict[str, Any] = dict(iteration_steps=30)
    runner = OnPolicyRunner(
        load_vector("Pendulum-v1", 3, 0), agent, reward_normalizer=RewardNormalizer(GAMMA), **settings
    )
    runner.collect()
    runner._episodes._returns, runner._episodes._lengths = [1.0, 2.0], [3, 4]
    state = runner.get_state()
    assert "finished_return" in state and "reward_scale/moments" in state
    refuse_damaged(runner, [name for name in state if name.endswith(".last_u")])
    with pytest.raises(CheckpointError, match=r"reward_normalizer is None\. Give OnPolicyRunner the"):
        OnPolicyRunner(load_vector("Pendulum-v1", 3, 0), agent, **settings).set_state(state)


small: dict[str, Any] = dict(
    task="InvertedPendulum-v5",
    agent=functools.partial(TrpoAgent, acting=Acting(jit_compile=False)),
    actor_network=functools.partial(GaussianActorNetwork, hidden_units=(8,)),
    num_envs=2,
    eval_interval=0,
    checkpoint_interval=64,
)


def test_fault_04_a_run_that_is_resumed_scales_as_if_it_had_not_been(tmp_path: pathlib.Path) -> None:
    runner = functools.partial(OnPolicyRunner, iteration_steps=64, reward_normalizer=RewardNormalizer())
    expol_tf.train(tmp_path / "whole", **small, runner=runner, num_env_steps=192)
    for steps in (64, 192):
        expol_tf.train(tmp_path / "parts", **small, runner=runner, num_env_steps=steps)
    whole, parts = (read_table(tmp_path / name / "metrics.csv") for name in ("whole", "parts"))
    for row, other in zip(whole, parts, strict=True):
        for name in row.keys() - {"wall_time_s", "env_steps_per_s"}:
            assert row[name] == other[name], name
    # The pendulum's reward is 1 for each step but the last.
    assert whole[-1]["episode_return_mean"] == whole[-1]["episode_length_mean"] - 1
    assert 0.5 < whole[-1]["reward_std"] < 50
    with pytest.raises(expol_tf.errors.RunDirectoryError, match="RewardNormalizer.gamma"):
        other = functools.partial(runner, reward_normalizer=RewardNormalizer(gamma=0.5))
        expol_tf.train(tmp_path / "parts", **small, runner=other, num_env_steps=192)


def test_it_is_off_by_default_and_set_in_gin() -> None:
    assert "reward_std" not in make_runner().algorithm_columns
    text = "train.runner = @OnPolicyRunner\nOnPolicyRunner.reward_normalizer = @RewardNormalizer()\n"
    configuration = resolve(read_bindings([f"{text}RewardNormalizer.clip = 5.0\ntrain.task = 'Hopper-v5'"]))
    assert configuration.fingerprint()["RewardNormalizer.clip"] == "5.0"
    given = Experiment.of(
        root_dir="runs",
        task="Hopper-v5",
        runner=functools.partial(OnPolicyRunner, reward_normalizer=RewardNormalizer(clip=5.0)),
    )
    recorded = configuration_from_call(train.__name__, given.keywords)
    assert not recorded.unwritable and "RewardNormalizer.clip = 5.0" in recorded.text


def test_fault_04_off_policy_refuses_it_with_a_sentence(tmp_path: pathlib.Path) -> None:
    words = "OffPolicyRunner has no reward_normalizer: a replay holds rewards of all times"
    runner = functools.partial(OffPolicyRunner, reward_normalizer=RewardNormalizer())
    with pytest.raises(ConfigurationError, match=words):
        expol_tf.train(tmp_path / "run", "Pendulum-v1", agent=SacAgent, runner=runner, num_env_steps=1)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigurationError, match=words):
        resolve(read_bindings(["OffPolicyRunner.reward_normalizer = @RewardNormalizer()"]))
    with pytest.raises(ConfigurationError, match="train has no reward_normalizer.*runner="):
        expol_tf.train(tmp_path / "run", "Pendulum-v1", reward_normalizer=RewardNormalizer())  # type: ignore


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gamma": 1.5}, "gamma must be in"),
        ({"gamma": float("nan")}, "gamma must be in"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"epsilon": -1.0}, "epsilon must be 0 or more"),
    ],
)
def test_its_settings_are_checked(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        RewardNormalizer(**settings)
