"""Off-policy agents under TF-Agents' drivers, replay buffers and PolicySaver, and with Reverb."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver, dynamic_step_driver, py_driver
from tf_agents.environments import tf_py_environment
from tf_agents.policies import policy_saver, py_tf_eager_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.utils import nest_utils

from expol_tf import environments
from expol_tf.agents import Acting, ActorCriticAgent, OrnsteinUhlenbeckNoise
from expol_tf.keras_api import keras
from expol_tf.networks import CriticNetwork
from tests.agents.driving import NUM_ENVS, load, short_pendulum
from tests.agents.small_algorithms import ALGORITHMS


def make_agent(name: str, env: Any) -> ActorCriticAgent:
    keras.utils.set_random_seed(0)
    make, actor_network = ALGORITHMS[name]
    specs, action_spec = env.time_step_spec(), env.action_spec()
    return make(
        specs,
        action_spec,
        actor_network(specs.observation, action_spec, hidden_units=(8,)),
        CriticNetwork(specs.observation, action_spec, hidden_units=(8,)),
        acting=Acting(OrnsteinUhlenbeckNoise() if name == "ddpg" else None, seed=0, jit_compile=False),
    )


def check_updates(agent: ActorCriticAgent, dataset: Any, count: int = 3) -> int:
    """Trains on an iterator's batches; returns how many frames no action followed."""
    variables = [*agent.actor_network.trainable_variables, *agent.critic_network.trainable_variables]
    before = [variable.numpy() for variable in variables]
    boundaries = 0
    for _ in range(count):
        experience, _ = next(dataset)
        boundaries += int(np.sum(experience.step_type[:, 0] == 2))
        info = agent.train(experience)
        assert np.isfinite(info.loss) and all(np.isfinite(value) for value in info.extra.values())
    assert int(agent.train_step_counter) == count
    assert all((variable.numpy() != old).any() for variable, old in zip(variables, before, strict=True))
    return boundaries


@pytest.mark.parametrize("name", ALGORITHMS)
def test_train_from_a_uniform_replay_buffer(name: str) -> None:
    env = load(short_pendulum)
    agent = make_agent(name, env)
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(agent.collect_data_spec, NUM_ENVS, max_length=100)
    driver = dynamic_step_driver.DynamicStepDriver(
        tf_py_environment.TFPyEnvironment(env), agent.collect_policy, [buffer.add_batch], num_steps=90
    )
    time_step, policy_state = driver.run()
    if name == "ddpg":
        assert (policy_state.numpy() != 0).any()
    # Goes on from where it was.
    driver.run(time_step, policy_state)
    # Episodes are six steps long: a seventh of what is gathered.
    assert check_updates(agent, iter(buffer.as_dataset(sample_batch_size=32, num_steps=2))) > 0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_both_policies_run_under_the_drivers(name: str) -> None:
    for policy_name in ("policy", "collect_policy"):
        env = load(short_pendulum)
        agent = make_agent(name, env)
        policy = getattr(agent, policy_name)
        actions: list[np.ndarray] = []
        driver = dynamic_episode_driver.DynamicEpisodeDriver(
            tf_py_environment.TFPyEnvironment(load(short_pendulum)), policy, [], num_episodes=2
        )
        driver.run()
        eager = py_tf_eager_policy.PyTFEagerPolicy(policy, use_tf_function=True, batch_time_steps=False)
        in_python = py_driver.PyDriver(env, eager, [lambda frame: actions.append(frame.action)], max_steps=30)  # noqa: B023
        in_python.run(env.reset(), eager.get_initial_state(NUM_ENVS))
        assert len(actions) >= 10 and np.abs(actions).max() <= 2.0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_policies_are_saved(name: str, tmp_path: pathlib.Path) -> None:
    env = load(short_pendulum)
    agent = make_agent(name, env)
    time_step = env.reset()
    for policy_name in ("policy", "collect_policy"):
        policy = getattr(agent, policy_name)
        saver = policy_saver.PolicySaver(policy, batch_size=None)
        saver.save(str(tmp_path / policy_name))
        loaded = tf.saved_model.load(str(tmp_path / policy_name))
        expected, found = policy.get_initial_state(NUM_ENVS), loaded.get_initial_state(NUM_ENVS)
        for _ in range(2):
            one = policy.action(tf.nest.map_structure(tf.constant, time_step), expected)
            other = loaded.action(tf.nest.map_structure(tf.constant, time_step), found)
            np.testing.assert_allclose(other.action, one.action, atol=1e-5)
            expected, found = one.state, other.state


def test_train_from_reverb() -> None:
    reverb = pytest.importorskip("reverb", reason="dm-reverb is not installed (pip install expol-tf[reverb])")
    from tf_agents.replay_buffers import reverb_replay_buffer, reverb_utils

    env = environments.load(short_pendulum, num_envs=1, seed=1)
    agent = make_agent("sac", env)
    table = reverb.Table(
        "transitions",
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        max_size=1000,
        rate_limiter=reverb.rate_limiters.MinSize(20),
    )
    server = reverb.Server([table])
    try:
        buffer = reverb_replay_buffer.ReverbReplayBuffer(
            agent.collect_data_spec, table_name="transitions", sequence_length=2, local_server=server
        )
        add = reverb_utils.ReverbAddTrajectoryObserver(buffer.py_client, "transitions", sequence_length=2)
        policy = py_tf_eager_policy.PyTFEagerPolicy(
            agent.collect_policy, use_tf_function=True, batch_time_steps=False
        )
        driver = py_driver.PyDriver(
            env, policy, [lambda frame: add(nest_utils.unbatch_nested_array(frame))], max_steps=60
        )
        driver.run(env.reset())
        assert table.info.current_size >= 50
        check_updates(agent, iter(buffer.as_dataset(sample_batch_size=32, num_steps=2)))
        add.close()
    finally:
        server.stop()
