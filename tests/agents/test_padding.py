"""Trajectories of any length train in graphs of a few lengths; the frames that fill them up do nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.environments import tf_py_environment
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.trajectories import trajectory

from expol_tf import environments
from expol_tf.agents import (
    AcktrAgent,
    ClippedUpdate,
    PpoAgent,
    Rollout,
    TrpoAgent,
    padded_rollout,
    rollout_from_trajectory,
)
from expol_tf.networks import ObservationNormalizer
from expol_tf.optimizers import MinibatchAdam, MinibatchRegression
from tests.agents.small_agents import OBSERVATION, make_agent, make_rollout
from tests.environments.tasks import make_with_both_ends


def make(cls: Any) -> Any:
    """An agent whose steps are over the whole batch, so that none depends on how it is shuffled."""
    settings: dict[str, Any] = {}
    if cls is PpoAgent:
        settings["policy_update"] = ClippedUpdate(MinibatchAdam(1e-2, 2, 10_000))
    settings["value_fit"] = MinibatchRegression(1e-2, 2, 10_000)
    return make_agent(cls=cls, observation_normalizer=ObservationNormalizer(OBSERVATION), **settings)


def as_trajectory(rollout: Rollout) -> trajectory.Trajectory:
    """The frames of a rollout and one more, as a driver would have recorded them."""
    boundary = ~np.asarray(rollout.valid)
    step_type = np.where(boundary, 2, 1).astype(np.int32)
    next_type = np.where(rollout.episode_end, 2, np.where(boundary, 0, 1)).astype(np.int32)
    frames = trajectory.Trajectory(
        step_type,
        np.asarray(rollout.observation),
        np.asarray(rollout.action),
        dict(rollout.policy_info),
        next_type,
        rollout.reward,
        rollout.discount,
    )
    frames = tf.nest.map_structure(lambda each: np.concatenate([each, each[:, -1:]], axis=1), frames)
    frames.observation[:, -1] = rollout.next_observation[:, -1]
    return tf.nest.map_structure(tf.constant, frames)


@pytest.mark.parametrize("cls", [TrpoAgent, PpoAgent, AcktrAgent])
def test_client_03_frames_that_fill_up_do_nothing(cls: Any) -> None:
    padded, plain = make(cls), make(cls)
    for seed in range(2):
        experience = as_trajectory(make_rollout(padded, batch=3, time=21, seed=seed))
        found = padded.train(experience).extra
        expected = plain.train_on_rollout(rollout_from_trajectory(experience)).extra
        assert list(found) == list(expected)
        for name, value in expected.items():
            # What conjugate gradients leave over is a small difference of large numbers.
            tolerance = 0.3 if name == "cg_residual" else 2e-3
            np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=2e-5, err_msg=name)
    variables = [(*each.actor_network.variables, *each.value_network.variables) for each in (padded, plain)]
    for one, other in zip(*variables, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4, err_msg=one.name)
    normalizers = (each.observation_normalizer.variables for each in (padded, plain))
    for one, other in zip(*normalizers, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("time", "expected"), [(1, 1), (2, 2), (3, 4), (21, 32), (32, 32), (33, 64), (1025, 2048)]
)
def test_client_03_the_next_power_of_two(time: int, expected: int) -> None:
    agent = make(TrpoAgent)
    rollout = tf.nest.map_structure(tf.constant, make_rollout(agent, batch=2, time=time))
    padded = padded_rollout(rollout)
    assert (padded is rollout) == (time == expected)
    assert all(each.shape[:2] == (2, expected) for each in tf.nest.flatten(padded))
    for before, after in zip(tf.nest.flatten(rollout), tf.nest.flatten(padded), strict=True):
        if before is not rollout.episode_end:
            np.testing.assert_array_equal(before, after[:, :time])
    assert not np.any(padded.valid[:, time:])
    assert time == expected or np.all(padded.episode_end[:, time - 1 :])


def test_client_03_at_most_twelve_traces_for_2048_lengths() -> None:
    lengths = {padded_rollout(_empty(time)).reward.shape[1] for time in range(1, 2049)}
    assert len(lengths) == 12


def _empty(time: int) -> Rollout:
    zeros, no = tf.zeros([1, time]), tf.zeros([1, time], tf.bool)
    return Rollout(zeros, zeros, zeros, zeros, zeros, no, no, {"log_prob": zeros})


def test_client_03_episodes_of_any_length_are_traced_a_few_times() -> None:
    env = tf_py_environment.TFPyEnvironment(environments.load(make_with_both_ends, seed=0))
    agent = make_agent(observation=env.time_step_spec().observation, action=env.action_spec())
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(agent.collect_data_spec, 1, max_length=400)
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        env, agent.collect_policy, [buffer.add_batch], num_episodes=3
    )
    lengths = set()
    for _ in range(8):
        buffer.clear()
        driver.run()
        experience = buffer.gather_all()
        lengths.add(int(experience.reward.shape[1]))
        assert all(np.isfinite(each) for each in agent.train(experience).extra.values())
    traces = agent._compiled_train.experimental_get_tracing_count()
    assert len(lengths) > traces and traces <= len({(each - 2).bit_length() for each in lengths})


def test_client_03_rollouts_of_the_librarys_runner_are_not_filled_up() -> None:
    agent = make(TrpoAgent)
    agent.train_on_rollout(make_rollout(agent, batch=2, time=21))
    (concrete,) = agent._compiled_train._list_all_concrete_functions()
    assert 21 in {each.shape[1] for each in tf.nest.flatten(concrete.structured_input_signature)}
