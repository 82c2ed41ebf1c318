"""Stein variational gradient descent, against loops."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.samplers import svgd_direction


def particles(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def loop_direction(x, score, alpha, y, h):
    """Δ(y_j) for one state, term by term."""
    delta = np.zeros_like(y)
    for j in range(len(y)):
        for i in range(len(x)):
            kernel = np.exp(-np.sum((x[i] - y[j]) ** 2) / h)
            slope = -2 / h * (x[i] - y[j]) * kernel
            delta[j] += (kernel * score[i] + alpha * slope) / len(x)
    return delta


def median_width(x, y=None):
    distances = np.sum((x[:, None] - (x if y is None else y)[None]) ** 2, axis=-1)
    pairs = distances[~np.eye(len(x), dtype=bool)] if y is None else distances
    return np.median(pairs) / np.log(len(x) + 1)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("moved", [False, True])
def test_the_direction_is_that_of_a_loop(alpha, moved):
    x, score, y = particles(2, 3, 7, 4), particles(2, 3, 7, 4, seed=1), particles(2, 3, 5, 4, seed=2)
    found = svgd_direction(x, score, alpha, y if moved else None)
    for batch in np.ndindex(2, 3):
        width = median_width(x[batch], y[batch] if moved else None)
        expected = loop_direction(x[batch], score[batch], alpha, (y if moved else x)[batch], width)
        np.testing.assert_allclose(found[batch], expected, atol=1e-12)


def test_single_precision_is_kept_far_from_the_origin():
    x, score = 50.0 + 0.1 * particles(8, 3), particles(8, 3, seed=1)
    found = svgd_direction(np.float32(x), np.float32(score), 1.0, bandwidth=0.1)
    # Of the particles as single precision has them.
    x = np.float64(np.float32(x))
    np.testing.assert_allclose(found, loop_direction(x, score, 1.0, x, 2 * 0.1**2), rtol=2e-3, atol=2e-3)


def test_a_single_particle_climbs_whatever_the_temperature():
    x, score = particles(4, 1, 3), particles(4, 1, 3, seed=1)
    for alpha in (0.0, 1.0, 100.0):
        np.testing.assert_allclose(svgd_direction(x, score, alpha), score, atol=1e-12)


def test_particles_that_coincide_stay_finite():
    delta = svgd_direction(tf.ones([2, 5, 3]), tf.ones([2, 5, 3]), 1.0)
    np.testing.assert_allclose(delta, np.ones([2, 5, 3]), rtol=1e-5)


def test_gradients_flow_through_particles_and_scores_but_not_the_width():
    x = tf.Variable(particles(2, 4, 3))

    def squares(width):
        with tf.GradientTape() as tape:
            delta = svgd_direction(x, tf.sin(x), 0.5, bandwidth=width)
            total = tf.reduce_sum(delta[1] ** 2)
        return tape.gradient(total, x)[1]

    width = median_width(x.numpy()[1])
    gradient = squares("median")
    np.testing.assert_allclose(gradient, squares(float(np.sqrt(width / 2))), rtol=1e-9)
    shifted = x.numpy()[1]
    for index in [(0, 0), (2, 1)]:
        ends = []
        for step in (1e-6, -1e-6):
            moved = shifted.copy()
            moved[index] += step
            delta = loop_direction(moved, np.sin(moved), 0.5, moved, width)
            ends.append(np.sum(delta**2))
        np.testing.assert_allclose(gradient[index], (ends[0] - ends[1]) / 2e-6, rtol=1e-5)


def test_particles_find_a_gaussian():
    mean, covariance = np.array([1.0, -0.5]), np.array([[1.0, 0.6], [0.6, 0.8]])
    precision = np.linalg.inv(covariance)

    @tf.function(autograph=False)
    def step(x):
        alpha = 2.0  # The density is ∝ exp(ℓ/α).
        return x + 0.25 * svgd_direction(x, -alpha * tf.matmul(x - mean, precision), alpha)

    x = tf.constant(3.0 * particles(100, 2))
    for _ in range(300):
        x = step(x)
    np.testing.assert_allclose(np.mean(x, axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(x.numpy().T), covariance, atol=0.15)
