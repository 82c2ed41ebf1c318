"""MAF and IAF policies, whose masks are constraints, keep their density under every optimizer."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    AcktrAgent,
    Acting,
    PpoAgent,
    ReparameterizedImprovement,
    Rollout,
    SacAgent,
    Transitions,
    TrpoAgent,
)
from expol_tf.distributions import split_squash
from expol_tf.keras_api import keras
from expol_tf.networks import CriticNetwork, ValueNetwork
from tests.agents.autoregressive import IafActorNetwork, MafActorNetwork
from tests.agents.small_agents import OBSERVATION, box, make_agent, make_rollout

SPECS = ts.time_step_spec(OBSERVATION), box()
STATES = np.random.default_rng(5).normal(size=(3, 3)).astype(np.float32)
POLICIES = {"MAF": MafActorNetwork, "IAF": IafActorNetwork}


def integrals(actor_network, points=400):
    """∫ π(u|s) du of each state, by the midpoint rule around what the policy draws."""
    drawn = split_squash(actor_network(tf.constant(STATES))[0])[0].sample(3000, seed=[0, 1]).numpy()
    found = []
    for index, state in enumerate(STATES):
        low, high = drawn[:, index].min(axis=0), drawn[:, index].max(axis=0)
        low, high = 2 * low - high, 2 * high - low
        step = (high - low) / points
        axes = [first + size * (np.arange(points) + 0.5) for first, size in zip(low, step, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 1, 2).astype(np.float32)
        latent, _ = split_squash(actor_network(tf.constant(state[np.newaxis]))[0])
        found.append(float(tf.reduce_sum(tf.exp(latent.log_prob(tf.constant(grid)))) * np.prod(step)))
    return np.array(found)


def reward_of(observation, action):
    return -np.square(np.clip(action, -1.0, 1.0) - 0.7 * np.tanh(observation[:, :2])).sum(axis=-1)


@pytest.mark.parametrize("optimizer", ["ours", "keras"])
@pytest.mark.parametrize("policy", POLICIES)
def test_client_01_a_density_after_900_updates_of_sac(policy, optimizer):
    keras.utils.set_random_seed(0)
    actor = POLICIES[policy](*(SPECS[0].observation, SPECS[1]), squash=True)
    improvement = ReparameterizedImprovement(
        optimizer=keras.optimizers.Adam(3e-4) if optimizer == "keras" else None
    )
    agent = SacAgent(
        *SPECS,
        actor,
        CriticNetwork(OBSERVATION, box(), (32, 32)),
        improvement=improvement,
        acting=Acting(seed=0, jit_compile=False),
    )
    np.testing.assert_allclose(integrals(actor), 1.0, atol=1e-3)
    generator = np.random.default_rng(0)
    update = tf.function(agent.update, autograph=False)
    entropies = []
    for index in range(900):
        action = generator.uniform(-1, 1, (64, 2)).astype(np.float32)
        state = generator.normal(size=(64, 3)).astype(np.float32)
        reward = (5.0 * reward_of(state, action)).astype(np.float32)
        batch = Transitions(state, action, reward, np.zeros(64, np.float32), state, np.ones(64, bool))
        entropies.append(
            update(tf.nest.map_structure(tf.constant, batch), tf.constant([1, index]))["entropy"]
        )
    np.testing.assert_allclose(integrals(actor), 1.0, atol=5e-3)
    # No more than the box holds: 6.04 nats were reported when the masks were lost.
    assert np.max(entropies[-50:]) < 2.0 * np.log(2.0)


@pytest.mark.filterwarnings("ignore:variables. these have a constraint")
@pytest.mark.parametrize(
    ("agent_class", "policy"),
    [(TrpoAgent, "MAF"), (TrpoAgent, "IAF"), (PpoAgent, "MAF"), (AcktrAgent, "MAF")],
)
def test_client_01_a_density_after_15_iterations_on_policy(agent_class, policy):
    keras.utils.set_random_seed(0)
    actor = POLICIES[policy](OBSERVATION, box())
    agent = agent_class(
        *SPECS, actor, ValueNetwork(OBSERVATION, (16,)), acting=Acting(seed=0, jit_compile=False)
    )
    generator, rewards = np.random.default_rng(0), []
    for _ in range(15):
        state = generator.normal(size=(512, 3)).astype(np.float32)
        action, info = agent.collect_policy.act(state)
        rewards.append(reward_of(state, action.numpy()).astype(np.float32))
        ends = np.ones(512, bool)
        rollout = Rollout(state, action, rewards[-1], np.zeros(512, np.float32), state, ends, ends, info)
        metrics = agent.train_on_rollout(
            tf.nest.map_structure(lambda each: tf.constant(np.asarray(each)[:, np.newaxis]), rollout)
        ).extra
        assert agent_class is not TrpoAgent or float(metrics["accepted_step_fraction"]) > 0
    np.testing.assert_allclose(integrals(actor), 1.0, atol=5e-3)
    assert np.mean(rewards[-1]) > np.mean(rewards[0]) + 0.3


class _Constrained(network.Network):
    """A Gaussian whose mean is two layers under a constraint that their initial values do not hold."""

    def __init__(self, constraint):
        super().__init__(OBSERVATION, name="Constrained")
        self._layers = [
            keras.layers.Dense(8, "tanh", kernel_constraint=constraint),
            keras.layers.Dense(2, kernel_constraint=constraint),
        ]

    def call(self, observation, step_type=None, network_state=(), training=False):
        for layer in self._layers:
            observation = layer(observation)
        return tfp.distributions.MultivariateNormalDiag(observation, tf.ones([2])), network_state


@pytest.mark.parametrize(
    "constraint",
    [
        keras.constraints.NonNeg(),
        keras.constraints.UnitNorm(),
        lambda kernel: kernel - tf.reduce_mean(kernel, axis=0, keepdims=True),
    ],
    ids=["non-negative", "unit norm", "a function"],
)
def test_client_01_initial_values_that_break_a_constraint_are_projected_with_a_warning(constraint):
    """Otherwise every step of TRPO, however short, jumps onto the constraint, and none is taken."""
    actor = _Constrained(constraint)
    actor.create_variables()
    with pytest.warns(UserWarning, match="initial values of .*kernel.* did not hold their constraints"):
        agent = make_agent(cls=TrpoAgent, actor_network=actor)
    for seed in range(2):
        metrics = agent.train_on_rollout(
            tf.nest.map_structure(tf.constant, make_rollout(agent, batch=8, time=32, seed=seed))
        ).extra
        assert metrics["accepted_step_fraction"] > 0.0 and 0.0 < metrics["kl"] < 0.02
        for layer in actor._layers:
            np.testing.assert_allclose(constraint(layer.kernel), layer.kernel, atol=1e-5)
