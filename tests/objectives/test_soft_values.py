"""Values of states from values of actions, against quadrature."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import Squash
from expol_tf.errors import ConfigurationError
from expol_tf.objectives import (
    deterministic_value,
    expected_soft_value,
    reduce_critics,
    sampled_soft_value,
)

tfd = tfp.distributions

BOX = tensor_spec.BoundedTensorSpec([1], tf.float32, -1.0, 1.0)
WIDE = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
SEED = tf.constant([3, 4])
GRID = np.linspace(-1, 1, 20001)[1:-1]


def squashed(mean, std, box=BOX):
    """A policy whose u ~ N(mean, std²) whatever the observation."""

    def policy(observation):
        shape = [tf.shape(observation)[0], box.shape[0]]
        return tfd.TransformedDistribution(
            tfd.MultivariateNormalDiag(tf.fill(shape, mean), tf.fill(shape, std)), Squash(box)
        )

    return policy


def quadratic(observation, action):
    return -0.5 * tf.reduce_sum(action**2, axis=-1, keepdims=True)


def twin(observation, action):
    """Q_1 = a, Q_2 = 1 − 2a, of the first component of the action."""
    return tf.stack([action[..., 0], 1.0 - 2.0 * action[..., 0]], axis=-1)


def quadrature(alpha):
    step = GRID[1] - GRID[0]
    return alpha * np.log(step * np.sum(np.exp(-0.5 * GRID**2 / alpha)))


def test_critics_are_reduced_over_the_last_axis():
    q = np.random.default_rng(0).standard_normal([3, 4, 2]).astype(np.float32)
    np.testing.assert_allclose(reduce_critics(q, "min"), q.min(axis=-1))
    np.testing.assert_allclose(reduce_critics(q, "mean"), q.mean(axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(reduce_critics(q, "first"), q[..., 0])
    with pytest.raises(ConfigurationError, match="reduction must be one of .*; got 'max'"):
        reduce_critics(q, "max")


@pytest.mark.parametrize("proposal", ["uniform", "mixture"])
def test_the_sampled_value_is_the_integral(proposal):
    alpha, samples, states = 0.5, 10_000, 16
    value = sampled_soft_value(
        tf.zeros([states, 1]),
        squashed(0.2, 0.6),
        quadratic,
        tf.constant(alpha),
        SEED,
        box=BOX,
        num_samples=samples,
        proposal=proposal,
    ).numpy()
    # By the delta method, α·sd[w] / (mean[w]·√M) with weights w = exp(Q/α)/q; for the mixture, whose samples
    # are stratified, that of the unstratified one, which is larger.
    policy = squashed(0.2, 0.6)(tf.zeros([1, 1]))
    density = policy.log_prob(tf.constant(GRID[:, np.newaxis, np.newaxis], tf.float32)).numpy()[:, 0]
    q = 0.5 if proposal == "uniform" else 0.25 + 0.5 * np.exp(np.float64(density))
    weight = np.exp(-0.5 * GRID**2 / alpha) / q
    step = GRID[1] - GRID[0]
    mean, square = (step * np.sum(q * weight**power) for power in (1, 2))
    error = alpha * np.sqrt(square - mean**2) / mean / np.sqrt(samples)
    assert error < 0.01
    np.testing.assert_allclose(value, np.full(states, quadrature(alpha)), atol=4 * error)
    # States have samples of their own, and so errors of their own; their mean is nearer still.
    assert len(np.unique(value)) == states
    assert abs(np.mean(value) - quadrature(alpha)) < 4 * error / np.sqrt(states)


@pytest.mark.parametrize("proposal", ["uniform", "mixture"])
def test_values_do_not_depend_on_the_units_of_the_box(proposal):
    def critic(observation, action):
        scaled = (action - tf.constant([0.0, 5.0])) / tf.constant([0.4, 5.0])
        return quadratic(observation, scaled)

    value = sampled_soft_value(
        tf.zeros([4, 1]),
        squashed(0.2, 0.6, WIDE),
        critic,
        tf.constant(0.5),
        SEED,
        box=WIDE,
        num_samples=4000,
        proposal=proposal,
    )
    np.testing.assert_allclose(value, np.full(4, 2 * quadrature(0.5)), atol=0.03)


def test_the_sampled_value_is_stable_where_temperatures_are_low():
    def critic(observation, action):
        return 1e4 + 100.0 * quadratic(observation, action)

    arguments = dict(box=BOX, num_samples=1000)
    value = sampled_soft_value(tf.zeros([3, 1]), None, critic, tf.constant(1e-3), SEED, **arguments)
    np.testing.assert_allclose(value, np.full(3, 1e4), atol=0.1)


def test_what_a_policy_draws_outside_of_the_box_does_not_count():
    def unsquashed(observation):
        return tfd.MultivariateNormalDiag(tf.fill([tf.shape(observation)[0], 1], 0.0), [1.5])

    def critic(observation, action):  # Where no action is, it has extrapolated.
        return tf.where(tf.abs(action) > 1.0, 100.0, -0.5 * action**2)

    value = sampled_soft_value(
        tf.zeros([4, 1]),
        unsquashed,
        critic,
        tf.constant(0.5),
        SEED,
        box=BOX,
        num_samples=20000,
        proposal="mixture",
    )
    np.testing.assert_allclose(value, np.full(4, quadrature(0.5)), atol=0.02)


@pytest.mark.parametrize("num_samples", [1, 7])
def test_the_expected_value_is_that_of_a_slow_loop(num_samples):
    policy, states = squashed(0.3, 0.5, WIDE), tf.zeros([5, 1])
    found = expected_soft_value(
        states, policy, twin, tf.constant(0.7), SEED, box=WIDE, num_samples=num_samples
    )
    sample_shape = () if num_samples == 1 else (num_samples,)
    action, log_prob = policy(states).experimental_sample_and_log_prob(sample_shape, seed=SEED)
    action, log_prob = np.reshape(action, [num_samples, 5, 2]), np.reshape(log_prob, [num_samples, 5])
    expected = np.zeros(5)
    for state in range(5):
        for sample in range(num_samples):
            x = action[sample, state, 0]
            scaled = log_prob[sample, state] + np.log(0.4) + np.log(5.0)
            expected[state] += (min(x, 1 - 2 * x) - 0.7 * scaled) / num_samples
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_expected_value_of_the_best_policy_is_the_integral():
    """V = α log ∫ exp(Q/α) for π ∝ exp(Q/α); for any other it is lower by α·KL[π ‖ best]."""
    alpha = 0.5
    logits = -0.5 * GRID**2 / alpha

    def value(policy_logits):
        weight = np.exp(policy_logits) / np.sum(np.exp(policy_logits))
        cells = GRID[1] - GRID[0]
        return np.sum(weight * (-0.5 * GRID**2 - alpha * np.log(weight / cells)))

    np.testing.assert_allclose(value(logits), quadrature(alpha), rtol=1e-6)
    policy = squashed(0.0, 0.4)
    found = np.mean(
        expected_soft_value(
            tf.zeros([64, 1]), policy, quadratic, tf.constant(alpha), SEED, box=BOX, num_samples=500
        )
    )
    density = policy(tf.zeros([1, 1])).log_prob(tf.constant(GRID[:, None, None], tf.float32)).numpy()[:, 0]
    np.testing.assert_allclose(found, value(np.float64(density)), atol=0.01)
    assert found < quadrature(alpha) - 0.02


def test_a_deterministic_value_is_that_of_the_one_action():
    found = deterministic_value(tf.zeros([3, 1]), squashed(0.5, 1e-9), twin, tf.constant(1.0), SEED)
    np.testing.assert_allclose(found, np.full(3, 1 - 2 * np.tanh(0.5)), rtol=1e-5)
    arguments = (tf.zeros([3, 1]), squashed(0.5, 1e-9), twin, tf.constant(1.0), SEED)
    np.testing.assert_allclose(deterministic_value(*arguments, reduction="first"), np.full(3, np.tanh(0.5)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(proposal="policy"), "proposal must be one of"),
        (dict(num_samples=0), "num_samples must be 1 or more"),
        (dict(num_samples=1, proposal="mixture"), "2 or more for the mixture"),
    ],
)
def test_a_wrong_setting_is_named(arguments, words):
    value = functools.partial(sampled_soft_value, box=BOX, **arguments)
    with pytest.raises(ConfigurationError, match=words):
        value(tf.zeros([1, 1]), squashed(0.0, 1.0), quadratic, tf.constant(1.0), SEED)
