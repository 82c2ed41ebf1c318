"""TF-Agents' own policies over ours: greedy ones, the trigger that saves policies, and random warm-ups."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_step_driver, py_driver
from tf_agents.environments import tf_py_environment
from tf_agents.policies import greedy_policy, random_py_policy, random_tf_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.train import learner, triggers
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import AcktrAgent, Acting, PpoAgent, TrpoAgent
from expol_tf.keras_api import keras
from expol_tf.networks import CriticNetwork, FlowActorNetwork
from tests.agents.driving import NUM_ENVS, load, short_pendulum
from tests.agents.small_agents import OBSERVATION, box, make_agent
from tests.agents.small_algorithms import ALGORITHMS

SPECS = ts.time_step_spec(OBSERVATION), box()


def off_policy(name: str, specs: Any = SPECS, actor: Any = None) -> Any:
    keras.utils.set_random_seed(0)
    make, actor_network = ALGORITHMS[name]
    observation, action = specs[0].observation, specs[1]
    return make(
        *specs,
        (actor or actor_network)(observation, action, hidden_units=(8,)),
        CriticNetwork(observation, action, hidden_units=(8,)),
        acting=Acting(seed=0, jit_compile=False),
    )


def squashed_flow(*specs: Any, hidden_units: Any) -> FlowActorNetwork:
    return FlowActorNetwork(*specs, num_transformations=1, hidden_units=hidden_units, squash=True)


PAIRS = {
    "TRPO, Gaussian": lambda: make_agent("gaussian", cls=TrpoAgent),
    "TRPO, squashed flow": lambda: make_agent("flow", squash=True, cls=TrpoAgent),
    "PPO, mixture": lambda: make_agent("mixture", cls=PpoAgent),
    "ACKTR, squashed Gaussian": lambda: make_agent("gaussian", squash=True, cls=AcktrAgent),
    "SAC, squashed Gaussian": lambda: off_policy("sac"),
    "SAC, squashed flow": lambda: off_policy("sac", actor=squashed_flow),
    "SQL, sampling": lambda: off_policy("sql"),
    "DDPG, deterministic": lambda: off_policy("ddpg"),
    "S²AC, squashed Gaussian": lambda: off_policy("s2ac"),
}


def time_steps(count: int = 5) -> ts.TimeStep:
    observation = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    return ts.restart(tf.constant(3.0 * observation), count)


@pytest.mark.parametrize("where", ["eager", "graph"])
@pytest.mark.parametrize("pair", PAIRS)
def test_client_02_tf_agents_greedy_policy_acts_as_ours(pair: str, where: str) -> None:
    agent = PAIRS[pair]()
    expected = agent.policy.action(time_steps()).action
    for policy in (agent.policy, agent.collect_policy):
        greedy = greedy_policy.GreedyPolicy(policy)
        act = tf.function(greedy.action, autograph=False) if where == "graph" else greedy.action
        state = policy.get_initial_state(5)
        for _ in range(2):
            # TF-Agents clips once more, to bounds that it rounds itself.
            np.testing.assert_allclose(act(time_steps(), state).action, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("pair", PAIRS)
def test_client_02_the_trigger_saves_three_policies(pair: str, tmp_path: pathlib.Path) -> None:
    agent = PAIRS[pair]()
    # The greedy one may be a member of TFP's classes; the others load anywhere.
    trigger = triggers.PolicySavedModelTrigger(str(tmp_path), agent, agent.train_step_counter, interval=1)
    for directory in (learner.RAW_POLICY_SAVED_MODEL_DIR, learner.GREEDY_POLICY_SAVED_MODEL_DIR):
        loaded = tf.saved_model.load(str(tmp_path / directory))
        found = loaded.action(time_steps(), loaded.get_initial_state(5)).action
        np.testing.assert_allclose(found, agent.policy.action(time_steps()).action, rtol=1e-5, atol=1e-5)
    loaded = tf.saved_model.load(str(tmp_path / learner.COLLECT_POLICY_SAVED_MODEL_DIR))
    assert loaded.action(time_steps(), loaded.get_initial_state(5)).action.shape == (5, 2)
    agent.train_step_counter.assign(7)
    trigger(7)
    assert (tmp_path / learner.POLICY_CHECKPOINT_DIR / "policy_checkpoint_0000000007").is_dir()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_client_02_off_policy_nothing_is_recorded_beside_the_action(name: str) -> None:
    agent = off_policy(name)
    assert agent.collect_policy.info_spec == () == agent.collect_data_spec.policy_info
    assert agent.collect_policy.action(time_steps(), agent.collect_policy.get_initial_state(5)).info == ()


def check_training(agent: Any, experience: Any) -> None:
    before = agent.actor_network.trainable_variables[0].numpy()
    assert all(np.isfinite(value) for value in agent.train(experience).extra.values())
    assert (agent.actor_network.trainable_variables[0].numpy() != before).any()


@pytest.mark.parametrize("name", ["sac", "ddpg"])
def test_client_02_a_warm_up_by_random_tf_policy(name: str) -> None:
    env = tf_py_environment.TFPyEnvironment(load(short_pendulum))
    agent = off_policy(name, (env.time_step_spec(), env.action_spec()))
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(agent.collect_data_spec, NUM_ENVS, max_length=50)
    policies = random_tf_policy.RandomTFPolicy(env.time_step_spec(), env.action_spec()), agent.collect_policy
    for policy in policies:
        dynamic_step_driver.DynamicStepDriver(env, policy, [buffer.add_batch], num_steps=30).run()
    check_training(agent, next(iter(buffer.as_dataset(sample_batch_size=16, num_steps=2)))[0])


def test_client_02_a_warm_up_by_random_py_policy() -> None:
    env = load(short_pendulum)
    agent = off_policy("sac", (env.time_step_spec(), env.action_spec()))
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(agent.collect_data_spec, NUM_ENVS, max_length=50)

    def add(frame: Any) -> None:
        buffer.add_batch(tf.nest.map_structure(tf.constant, frame))

    policy = random_py_policy.RandomPyPolicy(env.time_step_spec(), env.action_spec(), seed=0)
    py_driver.PyDriver(env, policy, [add], max_steps=40).run(env.reset())
    check_training(agent, next(iter(buffer.as_dataset(sample_batch_size=16, num_steps=2)))[0])
