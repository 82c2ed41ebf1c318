"""The surrogates' values and gradients, at π_old and beyond the clip."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.objectives import clip_fraction, clipped_surrogate, importance_surrogate

tfd = tfp.distributions


def problem(seed=0, count=50):
    generator = np.random.default_rng(seed)
    observation, weights = generator.normal(size=(count, 3)), generator.normal(size=(3, 2))
    action = observation @ weights + generator.normal(size=(count, 2))
    return observation, weights, action, generator.normal(size=count)


def log_density(observation, weights, action):
    return tfd.MultivariateNormalDiag(observation @ weights, tf.ones([2], tf.float64)).log_prob(action)


def surrogate(weights, old_log_prob, observation, action, advantage, valid):
    return importance_surrogate(log_density(observation, weights, action), old_log_prob, advantage, valid)


def test_value_at_the_old_policy_is_the_mean_advantage():
    observation, weights, action, advantage = problem()
    old = log_density(observation, weights, action)
    valid = np.arange(50) % 3 > 0
    found = surrogate(weights, old, observation, action, advantage, valid)
    assert float(found) == pytest.approx(advantage[valid].mean())


def test_value_elsewhere_weighs_by_the_ratio():
    observation, weights, action, advantage = problem()
    old = log_density(observation, weights, action).numpy()
    new = log_density(observation, weights + 0.1, action).numpy()
    found = importance_surrogate(new, old, advantage, np.ones(50, bool))
    assert float(found) == pytest.approx(np.mean(np.exp(new) / np.exp(old) * advantage))


def test_gradient_at_the_old_policy_is_the_policy_gradient():
    observation, weights, action, advantage = problem()
    valid = np.arange(50) % 4 > 0
    variable = tf.Variable(weights)
    old = tf.constant(log_density(observation, weights, action))
    with tf.GradientTape() as tape:
        value = surrogate(variable, old, observation, action, advantage, valid)
    gradient = tape.gradient(value, variable).numpy()
    # mean(Â ∇log π), of a Gaussian with unit covariance: ∇log π = s (a − Wᵀs)ᵀ.
    score = observation[:, :, np.newaxis] * (action - observation @ weights)[:, np.newaxis, :]
    expected = (advantage[:, np.newaxis, np.newaxis] * score)[valid].mean(axis=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10)
    differences = np.zeros_like(weights)
    for index in np.ndindex(*weights.shape):
        step = np.zeros_like(weights)
        step[index] = 1e-5
        above, below = (
            float(surrogate(weights + sign * step, old, observation, action, advantage, valid))
            for sign in (1.0, -1.0)
        )
        differences[index] = (above - below) / 2e-5
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-9)


def test_invalid_frames_may_hold_anything():
    log_prob = tf.constant([0.5, 800.0, np.nan, -0.3])
    advantage = tf.constant([2.0, 1.0, np.nan, -1.0])
    valid = tf.constant([True, False, False, True])
    with tf.GradientTape() as tape:
        tape.watch(log_prob)
        value = importance_surrogate(log_prob, tf.constant([0.5, 0.0, 0.0, -0.3]), advantage, valid)
    assert float(value) == pytest.approx(0.5)
    np.testing.assert_allclose(tape.gradient(value, log_prob), [1.0, 0.0, 0.0, -0.5])


def slow_clipped_surrogate(log_prob, old_log_prob, advantage, valid, clip_range):
    """The mean, and its gradient by log π: zero where moving on would gain nothing."""
    total, gradient, outside = 0.0, np.zeros(len(log_prob)), 0
    for n in np.flatnonzero(valid):
        ratio = np.exp(log_prob[n] - old_log_prob[n])
        outside += not 1.0 - clip_range <= ratio <= 1.0 + clip_range
        bound = 1.0 + clip_range if advantage[n] > 0 else 1.0 - clip_range
        if (ratio - bound) * advantage[n] < 0:  # Not yet as far as it pays.
            gradient[n] = ratio * advantage[n] / valid.sum()
            total += ratio * advantage[n]
        else:
            total += bound * advantage[n]
    return total / valid.sum(), gradient, outside / valid.sum()


@pytest.mark.parametrize("clip_range", [0.05, 0.2, 0.9])
def test_clipping_equals_the_slow_loop(clip_range):
    generator = np.random.default_rng(3)
    old, advantage = generator.normal(size=(2, 200))
    log_prob = tf.constant(old + generator.normal(0.0, 0.3, 200))
    valid = generator.uniform(size=200) < 0.8
    with tf.GradientTape() as tape:
        tape.watch(log_prob)
        value = clipped_surrogate(log_prob, old, advantage, valid, clip_range)
    expected, gradient, outside = slow_clipped_surrogate(log_prob.numpy(), old, advantage, valid, clip_range)
    assert float(value) == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(tape.gradient(value, log_prob), gradient, rtol=1e-10, atol=1e-15)
    fraction = float(clip_fraction(log_prob, old, valid, clip_range))
    assert fraction == pytest.approx(outside, rel=1e-10) and 0.0 < fraction < 1.0
    assert float(value) < float(importance_surrogate(log_prob, old, advantage, valid))


def test_clipping_does_nothing_near_the_old_policy():
    observation, weights, action, advantage = problem()
    valid = np.arange(50) % 4 > 0
    old = log_density(observation, weights, action)
    variable = tf.Variable(weights)
    gradients = []
    for surrogate_of in (importance_surrogate, clipped_surrogate):
        with tf.GradientTape() as tape:
            value = surrogate_of(log_density(observation, variable, action), old, advantage, valid)
        gradients.append(tape.gradient(value, variable).numpy())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-10)
    assert float(clip_fraction(old, old, valid)) == 0.0


def test_invalid_frames_may_hold_anything_beyond_the_clip_too():
    log_prob = tf.constant([0.5, 800.0, np.nan, -0.3])
    old = tf.constant([0.0, 0.0, 0.0, -0.3])
    valid = tf.constant([True, False, False, True])
    with tf.GradientTape() as tape:
        tape.watch(log_prob)
        value = clipped_surrogate(log_prob, old, tf.constant([2.0, 1.0, np.nan, -1.0]), valid)
    assert float(value) == pytest.approx((1.2 * 2.0 - 1.0) / 2.0)  # exp(0.5) is beyond the clip.
    np.testing.assert_allclose(tape.gradient(value, log_prob), [0.0, 0.0, 0.0, -0.5])
    assert float(clip_fraction(log_prob, old, valid)) == 0.5
