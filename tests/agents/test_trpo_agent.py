"""Steps of TRPO with each kind of policy, held to exact or closely estimated divergences."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.distributions import action_log_prob, analytic_kl, sample_action, sampled_kl
from expol_tf.keras_api import keras
from expol_tf.networks import FlowActorNetwork
from tests.agents.small_agents import (
    OBSERVATION,
    box,
    make_agent,
    make_rollout,
    perturb,
    set_values,
    values_of,
)

tfd = tfp.distributions

DELTA = 0.01


class Divergence:
    """KL[π_old ‖ π_new] over a rollout's valid states, by 100,000 samples, and exactly where known."""

    def __init__(self, actor, rollout, seed):
        self._actor = actor
        self._states = rollout.observation[rollout.valid]
        repeats = -(-100_000 // len(self._states))
        self._repeated = np.repeat(self._states, repeats, axis=0)
        self._old = actor(self._states)[0]
        self._samples = sample_action(actor(self._repeated)[0], [seed, 17])

    def exact(self):
        return float(tf.reduce_mean(analytic_kl(self._old, self._actor(self._states)[0])))

    def estimate(self):
        samples = self._samples
        new = action_log_prob(self._actor(self._repeated)[0], samples.action, samples.pre_squash_action)
        return float(tf.reduce_mean(sampled_kl(samples.log_prob, new)))


def test_gaussian_steps_obey_the_exact_divergence():
    agent = make_agent()
    perturb(agent.actor_network)
    accepted = 0
    for seed in range(8):
        rollout = make_rollout(agent, batch=8, time=32, seed=seed)
        divergence = Divergence(agent.actor_network, rollout, seed)
        metrics = agent.train_on_rollout(rollout).extra
        exact = divergence.exact()
        assert exact <= 1.5 * DELTA
        assert float(metrics["kl"]) == pytest.approx(exact, rel=1e-2, abs=1e-5)
        assert divergence.estimate() == pytest.approx(exact, rel=0.1, abs=1e-4)
        if float(metrics["accepted_step_fraction"]):
            accepted += 1
            assert float(metrics["surrogate"]) > 0.0
    assert accepted >= 6


def test_flow_steps_obey_the_divergence_by_many_samples():
    agent = make_agent("flow", squash=True)
    perturb(agent.actor_network)
    fractions = []
    for seed in range(5):
        rollout = make_rollout(agent, batch=16, time=64, seed=seed)
        divergence = Divergence(agent.actor_network, rollout, seed)
        metrics = agent.train_on_rollout(rollout).extra
        assert divergence.estimate() <= 1.7 * DELTA
        fractions.append(float(metrics["accepted_step_fraction"]))
        if fractions[-1]:
            assert divergence.estimate() > 0.05 * DELTA
            assert float(metrics["surrogate"]) > 0.0
    assert np.count_nonzero(fractions) >= 4


class FixedGaussianActorNetwork(network.Network):
    """a ~ N(μ(s), I), with the mean's layers of another network."""

    def __init__(self, mean, name="FixedGaussianActorNetwork"):
        super().__init__(OBSERVATION, state_spec=(), name=name)
        self._mean = mean

    def call(self, observation, step_type=None, network_state=(), training=False):
        mean = self._mean(observation)
        return tfd.MultivariateNormalDiag(mean, tf.ones_like(mean)), network_state


def test_a_flow_without_transformations_steps_like_a_gaussian_with_unit_deviation():
    keras.utils.set_random_seed(0)
    flow = FlowActorNetwork(OBSERVATION, box(), num_transformations=0, hidden_units=[4])
    flow_agent = make_agent(actor_network=flow)
    rollout = make_rollout(flow_agent, batch=8, time=64)
    start = values_of(flow.trainable_variables)
    steps, metrics = [], []
    for agent in (flow_agent, make_agent(actor_network=FixedGaussianActorNetwork(flow._state_shift))):
        variables = agent.actor_network.trainable_variables
        set_values(variables, start)
        metrics.append({name: float(value) for name, value in agent.train_on_rollout(rollout).extra.items()})
        steps.append(np.concatenate([np.ravel(v - s) for v, s in zip(variables, start, strict=True)]))
    sampled, exact = metrics
    assert sampled["accepted_step_fraction"] == exact["accepted_step_fraction"] == 1.0
    assert np.linalg.norm(steps[1]) > 0.01
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-2, atol=1e-3 * np.abs(steps[1]).max())
    assert sampled["surrogate"] == pytest.approx(exact["surrogate"], rel=1e-2)
    # 512 samples of (r − 1 − log r), whose deviation is √2 times its mean.
    assert sampled["kl"] == pytest.approx(exact["kl"], rel=5 * 2**0.5 / 512**0.5)
