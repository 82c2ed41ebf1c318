"""A batch in which no action was better than another moves no policy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import PpoAgent, TrpoAgent
from expol_tf.objectives import without_rounding
from tests.agents.small_agents import make_agent, make_rollout, values_of


def check_that_nothing_moves(agent, rollout):
    before = values_of(agent.actor_network.trainable_variables)
    metrics = agent.train_on_rollout(tf.nest.map_structure(tf.constant, rollout)).extra
    assert metrics["kl"] == 0.0 and metrics["surrogate"] == 0.0
    assert metrics["explained_variance"] == 0.0
    for variable, value in zip(agent.actor_network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("cls", [TrpoAgent, PpoAgent])
def test_fault_05_a_constant_reward_moves_no_policy(cls):
    """Episodes of one step that all pay 100.1, to a value function that says 0: the advantages are equal."""
    agent = make_agent(cls=cls)
    for variable in agent.value_network.variables:
        variable.assign(tf.zeros_like(variable))
    rollout = make_rollout(agent, batch=4, time=512)
    reward = np.full_like(rollout.reward, 100.1)
    everywhere = np.ones(reward.shape, bool)
    rollout = rollout._replace(
        reward=reward, discount=np.zeros_like(reward), episode_end=everywhere, valid=everywhere
    )
    check_that_nothing_moves(agent, rollout)


def test_fault_05_rounding_errors_of_a_large_value_are_no_advantages():
    """A constant reward and its exact value, 100 times as large: all advantages are 0, but for rounding."""
    agent = make_agent()
    *_, bias = agent.value_network.variables
    for variable in agent.value_network.variables:
        variable.assign(tf.zeros_like(variable))
    bias.assign([976.9934692382812])
    rollout = make_rollout(agent, batch=4, time=512)
    reward = np.full_like(rollout.reward, 9.76993465423584)
    rollout = rollout._replace(
        reward=reward,
        discount=np.ones_like(reward),
        episode_end=np.zeros(reward.shape, bool),
        valid=np.ones(reward.shape, bool),
    )
    check_that_nothing_moves(agent, rollout)


def test_fault_05_small_advantages_of_a_large_value_count():
    """They are a thousandth of the value: a hundred times what rounding makes of it."""
    generator = np.random.default_rng(0)
    value = tf.fill([4, 64], 1000.0)
    advantages = tf.constant(generator.normal(size=[4, 64]), tf.float32)
    valid = tf.fill([4, 64], True)
    found = without_rounding(advantages, valid, value, gamma=0.99, gae_lambda=0.95)
    np.testing.assert_array_equal(found, advantages)
    # 4·ε·1000·Σ 0.9405ᵏ = 0.008, which 64 terms reach to 2 %.
    for spread, equal in ((0.007, True), (0.009, False)):
        advantages = tf.constant(np.where(generator.random([4, 64]) < 0.5, 0.0, spread), tf.float32)
        found = without_rounding(advantages, valid, value, gamma=0.99, gae_lambda=0.95)
        assert (float(tf.reduce_max(found) - tf.reduce_min(found)) == 0.0) == equal
