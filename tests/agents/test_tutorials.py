"""Loops in the manner of TF-Agents' tutorials, with this library's agents and environments in them."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver, dynamic_step_driver
from tf_agents.environments import tf_py_environment
from tf_agents.eval import metric_utils
from tf_agents.metrics import tf_metrics
from tf_agents.policies import policy_saver, py_tf_eager_policy, random_py_policy, random_tf_policy
from tf_agents.replay_buffers import episodic_replay_buffer, tf_uniform_replay_buffer
from tf_agents.train import actor, learner, triggers
from tf_agents.train.utils import spec_utils, train_utils
from tf_agents.utils import common

from expol_tf import environments
from expol_tf.agents import Acting, ClippedUpdate, CriticFit, PpoAgent, ReparameterizedImprovement, SacAgent
from expol_tf.keras_api import keras
from expol_tf.networks import CriticNetwork, GaussianActorNetwork, LogStd, ValueNetwork
from expol_tf.optimizers import Adam, MinibatchAdam, MinibatchRegression
from tests.agents.driving import short_pendulum

load = functools.partial(environments.load, short_pendulum)


def make_sac(time_step_spec: Any, action_spec: Any, train_step: tf.Variable) -> SacAgent:
    keras.utils.set_random_seed(0)
    observation = time_step_spec.observation
    return SacAgent(
        time_step_spec,
        action_spec,
        GaussianActorNetwork(
            observation, action_spec, (16,), log_std=LogStd(state_dependent=True), squash=True
        ),
        CriticNetwork(observation, action_spec, (16,)),
        improvement=ReparameterizedImprovement(optimizer=keras.optimizers.Adam(3e-3)),
        critic_fit=CriticFit(optimizer=Adam(3e-3)),
        acting=Acting(seed=0, jit_compile=False),
        train_step_counter=train_step,
    )


def make_ppo(time_step_spec: Any, action_spec: Any) -> PpoAgent:
    keras.utils.set_random_seed(0)
    observation = time_step_spec.observation
    return PpoAgent(
        time_step_spec,
        action_spec,
        GaussianActorNetwork(observation, action_spec, (16,)),
        ValueNetwork(observation, (16,)),
        policy_update=ClippedUpdate(MinibatchAdam(1e-3, 2, 32)),
        value_fit=MinibatchRegression(1e-3, 2, 32),
        acting=Acting(seed=0, jit_compile=False),
    )


def values(agent: Any) -> list[np.ndarray]:
    return [variable.numpy() for variable in agent.actor_network.trainable_variables]


def changed(agent: Any, before: list[np.ndarray]) -> bool:
    return all((now != old).any() for now, old in zip(values(agent), before, strict=True))


def test_client_05_sac_with_reverb_actor_and_learner(tmp_path: pathlib.Path) -> None:
    reverb = pytest.importorskip("reverb", reason="dm-reverb is not installed (pip install expol-tf[reverb])")
    from tf_agents.replay_buffers import reverb_replay_buffer, reverb_utils

    collect_env, eval_env = load(seed=0, batched=False), load(seed=1, batched=False)
    observation_spec, action_spec, time_step_spec = spec_utils.get_tensor_specs(collect_env)
    assert observation_spec == time_step_spec.observation
    train_step = train_utils.create_train_step()
    agent = make_sac(time_step_spec, action_spec, train_step)
    agent.initialize()
    before = values(agent)

    table = reverb.Table(
        "uniform_table",
        max_size=1000,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        rate_limiter=reverb.rate_limiters.MinSize(1),
    )
    server = reverb.Server([table])
    try:
        replay = reverb_replay_buffer.ReverbReplayBuffer(
            agent.collect_data_spec, sequence_length=2, table_name="uniform_table", local_server=server
        )
        dataset = replay.as_dataset(sample_batch_size=32, num_steps=2).prefetch(2)
        observer = reverb_utils.ReverbAddTrajectoryObserver(
            replay.py_client, "uniform_table", sequence_length=2, stride_length=1
        )
        random_policy = random_py_policy.RandomPyPolicy(
            collect_env.time_step_spec(), collect_env.action_spec(), seed=0
        )
        warm_up = actor.Actor(collect_env, random_policy, train_step, steps_per_run=60, observers=[observer])
        warm_up.run()
        collect_policy = py_tf_eager_policy.PyTFEagerPolicy(agent.collect_policy, use_tf_function=True)
        collect = actor.Actor(
            collect_env,
            collect_policy,
            train_step,
            steps_per_run=1,
            metrics=actor.collect_metrics(10),
            observers=[observer],
            summary_dir=str(tmp_path / "train"),
        )
        evaluate = actor.Actor(
            eval_env,
            py_tf_eager_policy.PyTFEagerPolicy(agent.policy, use_tf_function=True),
            train_step,
            episodes_per_run=2,
            metrics=actor.eval_metrics(2),
            summary_dir=str(tmp_path / "eval"),
        )
        save = triggers.PolicySavedModelTrigger(str(tmp_path / "policies"), agent, train_step, interval=5)
        agent_learner = learner.Learner(
            str(tmp_path), train_step, agent, experience_dataset_fn=lambda: dataset, triggers=[save]
        )
        for _ in range(10):
            collect.run()
            loss = agent_learner.run(iterations=1)
            assert np.isfinite(loss.loss)
        evaluate.run()
        returns = {metric.name: metric.result() for metric in evaluate.metrics}
        assert returns["AverageReturn"] < 0.0 and returns["AverageEpisodeLength"] == 6.0
        assert int(train_step) == 10 and table.info.current_size >= 60
        assert changed(agent, before)
        observer.close()
    finally:
        server.stop()


def test_client_05_a_loop_in_the_manner_of_dqn() -> None:
    train_env = tf_py_environment.TFPyEnvironment(load(seed=0))
    eval_env = tf_py_environment.TFPyEnvironment(load(seed=1))
    agent = make_sac(train_env.time_step_spec(), train_env.action_spec(), tf.Variable(0, dtype=tf.int64))
    agent.initialize()
    agent.train = common.function(agent.train)  # As the tutorial compiles it.
    replay = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        agent.collect_data_spec, batch_size=train_env.batch_size, max_length=500
    )
    random_policy = random_tf_policy.RandomTFPolicy(train_env.time_step_spec(), train_env.action_spec())
    dynamic_step_driver.DynamicStepDriver(train_env, random_policy, [replay.add_batch], num_steps=50).run()
    iterator = iter(replay.as_dataset(sample_batch_size=16, num_steps=2, num_parallel_calls=2).prefetch(2))
    collect = dynamic_step_driver.DynamicStepDriver(
        train_env, agent.collect_policy, [replay.add_batch], num_steps=1
    )
    collect.run = common.function(collect.run)
    before, time_step = values(agent), train_env.reset()
    policy_state = agent.collect_policy.get_initial_state(train_env.batch_size)
    for _ in range(10):
        time_step, policy_state = collect.run(time_step, policy_state)
        experience, _ = next(iterator)
        assert np.isfinite(agent.train(experience).loss)
    assert int(agent.train_step_counter) == 10 and changed(agent, before)
    metrics = [tf_metrics.AverageReturnMetric(), tf_metrics.AverageEpisodeLengthMetric()]
    results = metric_utils.eager_compute(metrics, eval_env, agent.policy, num_episodes=2)
    assert results["AverageReturn"] < 0.0 and results["AverageEpisodeLength"] == 6.0


def test_client_05_ppo_with_an_episodic_replay_buffer() -> None:
    env = tf_py_environment.TFPyEnvironment(load(seed=0))
    agent = make_ppo(env.time_step_spec(), env.action_spec())
    replay = episodic_replay_buffer.EpisodicReplayBuffer(
        agent.collect_data_spec, capacity=200, completed_only=True
    )
    stateful = episodic_replay_buffer.StatefulEpisodicReplayBuffer(replay, num_episodes=env.batch_size)
    length = tf_metrics.AverageEpisodeLengthMetric()
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        env, agent.collect_policy, [stateful.add_batch, length], num_episodes=8
    )
    before = values(agent)
    for _ in range(3):
        driver.run()
        experience = replay.gather_all()
        losses = agent.train(experience)
        assert all(np.isfinite(value) for value in losses.extra.values())
        replay.clear()
    assert length.result() == 6.0 and changed(agent, before)


def test_client_05_policy_saver_checkpointer_and_trigger(tmp_path: pathlib.Path) -> None:
    env = tf_py_environment.TFPyEnvironment(load(seed=0))
    train_step = tf.Variable(0, dtype=tf.int64)
    agent = make_sac(env.time_step_spec(), env.action_spec(), train_step)
    replay = tf_uniform_replay_buffer.TFUniformReplayBuffer(agent.collect_data_spec, 1, max_length=100)
    driver = dynamic_step_driver.DynamicStepDriver(
        env, agent.collect_policy, [replay.add_batch], num_steps=40
    )
    driver.run()
    iterator = iter(replay.as_dataset(sample_batch_size=16, num_steps=2))
    checkpointer = common.Checkpointer(
        str(tmp_path / "checkpoint"),
        max_to_keep=1,
        agent=agent,
        policy=agent.policy,
        replay_buffer=replay,
        global_step=train_step,
    )
    saver = policy_saver.PolicySaver(agent.policy, train_step=train_step)
    trigger = triggers.PolicySavedModelTrigger(str(tmp_path / "policies"), agent, train_step, interval=2)
    for _ in range(4):
        agent.train(next(iterator)[0])
        trigger(int(train_step))
    checkpointer.save(train_step)
    saver.save(str(tmp_path / "policy"))
    time_step = env.reset()
    expected = agent.policy.action(time_step).action

    # Another process: a new agent goes on from where the first was saved.
    other_step = tf.Variable(0, dtype=tf.int64)
    other = make_sac(env.time_step_spec(), env.action_spec(), other_step)
    for variable in other.actor_network.variables:
        variable.assign(tf.zeros_like(variable))
    common.Checkpointer(
        str(tmp_path / "checkpoint"),
        max_to_keep=1,
        agent=other,
        policy=other.policy,
        replay_buffer=tf_uniform_replay_buffer.TFUniformReplayBuffer(
            other.collect_data_spec, 1, max_length=100
        ),
        global_step=other_step,
    ).initialize_or_restore()
    assert int(other_step) == 4
    np.testing.assert_array_equal(other.policy.action(time_step).action, expected)
    loaded = tf.saved_model.load(str(tmp_path / "policy"))
    found = loaded.action(time_step, loaded.get_initial_state(1)).action
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert int(loaded.get_train_step()) == 4
    # A checkpoint of a policy goes into the model that the trigger saved at first.
    steps = sorted(path.name for path in (tmp_path / "policies" / "checkpoints").iterdir())
    assert steps == ["policy_checkpoint_0000000002", "policy_checkpoint_0000000004"]
    policy = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        str(tmp_path / "policies" / "policy"), load_specs_from_pbtxt=True
    )
    policy.update_from_checkpoint(str(tmp_path / "policies" / "checkpoints" / steps[-1]))
    # It adds the batch dimension itself, and takes it off.
    found = policy.action(tf.nest.map_structure(lambda each: each[0].numpy(), time_step)).action
    np.testing.assert_allclose(found, expected[0], rtol=1e-5, atol=1e-6)
