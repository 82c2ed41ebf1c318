"""Gathering with TF-Agents' own drivers, buffers and metrics, and training on it, for the agents' tests."""

from __future__ import annotations

import gymnasium
import numpy as np
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver, dynamic_step_driver, py_driver
from tf_agents.environments import tf_py_environment
from tf_agents.metrics import tf_metrics
from tf_agents.policies import py_tf_eager_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer

from expol_tf import environments
from expol_tf.agents import rollout_from_trajectory
from tests.agents.small_agents import make_agent

NUM_ENVS = 3
NUM_FRAMES = 20


def short_pendulum():
    return gymnasium.make("Pendulum-v1", max_episode_steps=6)


def load(task):
    return environments.load(task, NUM_ENVS, seed=1)


def agent_for(env, kind, squash):
    spec = env.time_step_spec()
    return make_agent(kind, observation=spec.observation, action=env.action_spec(), squash=squash)


def gather_in_graph(agent, task, make_driver):
    env = tf_py_environment.TFPyEnvironment(load(task))
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(agent.collect_data_spec, NUM_ENVS, max_length=100)
    metrics = [
        tf_metrics.NumberOfEpisodes(),
        tf_metrics.EnvironmentSteps(),
        tf_metrics.AverageReturnMetric(batch_size=NUM_ENVS),
    ]
    make_driver(env, agent.collect_policy, [buffer.add_batch, *metrics]).run()
    return buffer.gather_all(), {metric.name: float(metric.result()) for metric in metrics}


def by_steps(env, policy, observers):
    return dynamic_step_driver.DynamicStepDriver(env, policy, observers, num_steps=NUM_ENVS * NUM_FRAMES)


def by_episodes(env, policy, observers):
    return dynamic_episode_driver.DynamicEpisodeDriver(env, policy, observers, num_episodes=3 * NUM_ENVS)


def gather_in_python(agent, task):
    frames = []
    policy = py_tf_eager_policy.PyTFEagerPolicy(agent.collect_policy, use_tf_function=True)
    env = load(task)
    driver = py_driver.PyDriver(env, policy, [frames.append], max_steps=NUM_ENVS * NUM_FRAMES)
    driver.run(env.reset())
    return tf.nest.map_structure(lambda *parts: tf.stack(parts, axis=1), *frames)


def first_frames(experience):
    """Cuts an experience to NUM_FRAMES frames, so that all of a test's updates have one shape."""
    assert experience.reward.shape[1] >= NUM_FRAMES
    return tf.nest.map_structure(lambda tensor: tensor[:, :NUM_FRAMES], experience)


def check_frames(experience):
    """The trajectory's frames follow each other, with both steps and boundaries in it."""
    rollout = rollout_from_trajectory(experience)
    assert 0 < np.sum(~rollout.valid) < np.sum(rollout.valid)
    ended = np.asarray(rollout.episode_end)[:, :-1]
    np.testing.assert_array_equal(~np.asarray(rollout.valid)[:, 1:], ended)
    assert (np.asarray(rollout.discount)[~np.asarray(rollout.episode_end)] == 1.0).all()


def check_update(agent, experience):
    before = [variable.numpy() for variable in agent.actor_network.trainable_variables]
    loss, metrics = agent.train(experience)
    assert np.isfinite(loss)
    assert all(np.isfinite(value) for value in metrics.values())
    assert float(metrics["accepted_step_fraction"]) > 0.0
    moved = [
        not np.array_equal(variable, old)
        for variable, old in zip(agent.actor_network.trainable_variables, before, strict=True)
    ]
    assert all(moved)


def check_training_by_each_driver(task, kind, squash):
    """Gathers with each of the three drivers and trains one agent on all of it."""
    agent = agent_for(load(task), kind, squash)
    by_step, metrics = gather_in_graph(agent, task, by_steps)
    assert metrics["NumberOfEpisodes"] > 0.0
    rollout = rollout_from_trajectory(by_step)
    # TF-Agents counts frames that begin a step; the last frame's is not part of the transitions.
    last = np.asarray(by_step.step_type)[:, -1] != 2
    assert metrics["EnvironmentSteps"] == np.sum(rollout.valid) + np.sum(last)
    by_episode, metrics = gather_in_graph(agent, task, by_episodes)
    assert metrics["NumberOfEpisodes"] >= 3 * NUM_ENVS
    in_python = gather_in_python(agent, task)
    for number, experience in enumerate((by_step, by_episode, in_python), start=1):
        experience = first_frames(experience)
        check_frames(experience)
        check_update(agent, experience)
        assert int(agent.train_step_counter) == number
