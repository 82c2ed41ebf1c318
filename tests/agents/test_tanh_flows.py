"""Flows that end in TFP's own squashes train on policy as those do that end in ours."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import Acting, ClippedUpdate, PpoAgent, Rollout, TrpoAgent
from expol_tf.bijectors import AffineConditioner, AffineCoupling, Squash
from expol_tf.keras_api import keras
from expol_tf.networks import ValueNetwork, make_mlp
from expol_tf.optimizers import MinibatchAdam
from tests.agents.small_agents import OBSERVATION, box

tfb = tfp.bijectors
tfd = tfp.distributions

HALF, MIDDLE = np.array([0.5, 2.0], np.float32), np.array([0.5, -1.0], np.float32)


def transformed(base, *bijectors):
    return tfd.TransformedDistribution(base, tfb.Chain(list(bijectors)))


# How a user may write squash(flow(u)), tanh to the box [−1, 1]² or to MIDDLE ± HALF.
FORMS = {
    "a step of the chain": lambda base, flow: transformed(base, tfb.Tanh(), *flow),
    "a distribution of its own": lambda base, flow: tfd.TransformedDistribution(
        transformed(base, *flow), tfb.Tanh()
    ),
    "first in a chain of chains": lambda base, flow: transformed(
        base, tfb.Chain([tfb.Tanh(), flow[0]]), *flow[1:]
    ),
    "called": lambda base, flow: tfd.TransformedDistribution(base, tfb.Tanh()(tfb.Chain(flow))),
    "a sigmoid": lambda base, flow: transformed(
        base, tfb.Sigmoid(tf.constant([-1.0, -1.0]), tf.constant([1.0, 1.0])), tfb.Scale(2.0), *flow
    ),
    "Independent": lambda base, flow: tfd.Independent(transformed(base, tfb.Tanh(), *flow), 0),
}
SCALED = {
    "arrays": lambda base, flow: transformed(base, tfb.Shift(MIDDLE), tfb.Scale(HALF), tfb.Tanh(), *flow),
    "constants": lambda base, flow: transformed(
        base, tfb.Shift(tf.constant(MIDDLE)), tfb.Scale(tf.constant(HALF)), tfb.Tanh(), *flow
    ),
    "a distribution of its own": lambda base, flow: tfd.TransformedDistribution(
        transformed(base, tfb.Tanh(), *flow), tfb.Chain([tfb.Shift(MIDDLE), tfb.Scale(HALF)])
    ),
}
CASES = [
    *((form, make, False) for form, make in FORMS.items()),
    *((f"scaled, {form}", make, True) for form, make in SCALED.items()),
]


class TanhFlow(network.Network):
    """Broad enough that many actions are ±1 in float32, where tanh has no inverse."""

    def __init__(self, make, name="TanhFlow"):
        super().__init__(OBSERVATION, state_spec=(), name=name)
        self._make = make
        self._shift = make_mlp(3, (8,), 2)
        self._conditioners = [AffineConditioner(1, 1, units=(3,)) for _ in range(2)]
        self._log_std = tf.Variable([1.5, 1.5])
        self.create_variables()

    def call(self, observation, step_type=None, network_state=(), training=False):
        shift = self._shift(observation)
        base = tfd.MultivariateNormalDiag(shift, tf.exp(self._log_std) + tf.zeros_like(shift))
        parts = zip(self._conditioners, ("first", "last"), strict=True)
        return self._make(base, [AffineCoupling(c, 2, transformed=part) for c, part in parts]), network_state


def train(algorithm, make, spec, iterations=3):
    """Trains where a large sum of actions is best; returns the agent, its last actions and metrics."""
    keras.utils.set_random_seed(0)
    settings = {"PPO": dict(policy_update=ClippedUpdate(MinibatchAdam(3e-3, 2, 64)))}.get(algorithm, {})
    cls = {"PPO": PpoAgent, "TRPO": TrpoAgent}[algorithm]
    agent = cls(
        ts.time_step_spec(OBSERVATION),
        spec,
        TanhFlow(make),
        ValueNetwork(OBSERVATION, (8,)),
        acting=Acting(seed=0, jit_compile=False),
        **settings,
    )
    generator, ends = np.random.default_rng(0), np.ones(256, bool)
    for _ in range(iterations):
        state = generator.normal(size=(256, 3)).astype(np.float32)
        action, info = agent.collect_policy.act(state)
        reward = action.numpy().sum(axis=-1)
        rollout = Rollout(state, action, reward, np.zeros(256, np.float32), state, ends, ends, info)
        metrics = agent.train_on_rollout(
            tf.nest.map_structure(lambda each: tf.constant(np.asarray(each)[:, np.newaxis]), rollout)
        ).extra
    return agent, action.numpy(), metrics


@functools.cache
def with_our_squash(algorithm, scaled):
    spec = box(MIDDLE - HALF, MIDDLE + HALF) if scaled else box()
    return spec, train(algorithm, lambda base, flow: transformed(base, Squash(spec), *flow), spec)


@pytest.mark.parametrize(("form", "make", "scaled"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("algorithm", ["PPO", "TRPO"])
def test_client_04_a_flow_that_ends_in_tanh_trains_as_with_our_squash(algorithm, form, make, scaled):
    spec, (expected, _, expected_metrics) = with_our_squash(algorithm, scaled)
    agent, action, metrics = train(algorithm, make, spec)
    assert set(agent.collect_policy.info_spec) == {"log_prob", "pre_squash_action"}
    unit = (action - MIDDLE) / HALF if scaled else action
    assert np.mean(np.abs(unit) >= 1.0 - 1e-7) > 0.01  # What has no pre-image any more.
    assert all(np.isfinite(value) for value in metrics.values())
    for name in ("surrogate", "kl", "entropy"):
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=5e-2, atol=1e-3, err_msg=name)
    pairs = zip(
        agent.actor_network.trainable_variables, expected.actor_network.trainable_variables, strict=True
    )
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, atol=2e-3, err_msg=found.name)


class MovingScale(TanhFlow):
    """Its box moves with a variable: what was before tanh has another image after a step."""

    def call(self, observation, step_type=None, network_state=(), training=False):
        base = tfd.MultivariateNormalDiag(self._shift(observation), tf.ones([2]))
        return transformed(base, tfb.Scale(tf.exp(self._log_std)), tfb.Tanh()), network_state


def test_client_04_what_follows_tanh_and_may_move_is_part_of_the_policy():
    agent = TrpoAgent(
        ts.time_step_spec(OBSERVATION), box(-9.0, 9.0), MovingScale(None), ValueNetwork(OBSERVATION, (8,)),
        acting=Acting(seed=0, jit_compile=False),
    )  # fmt: skip
    assert set(agent.collect_policy.info_spec) == {"log_prob"}
