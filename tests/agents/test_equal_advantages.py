"""A batch in which no action was better than another moves no policy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import PpoAgent, TrpoAgent
from tests.agents.small_agents import make_agent, make_rollout, values_of


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
    before = values_of(agent.actor_network.trainable_variables)
    metrics = agent.train_on_rollout(tf.nest.map_structure(tf.constant, rollout)).extra
    assert metrics["kl"] == 0.0 and metrics["surrogate"] == 0.0
    assert metrics["explained_variance"] == 0.0
    for variable, value in zip(agent.actor_network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
