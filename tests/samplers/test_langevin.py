"""Langevin dynamics, against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.samplers import langevin

MEAN = np.array([1.0, -0.5])
PRECISION = np.array([[2.0, 0.6], [0.6, 0.8]])


def score(u):
    return -tf.matmul(u - tf.constant(MEAN, u.dtype), tf.constant(PRECISION, u.dtype))


def particles(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_the_stationary_variance_is_that_of_the_discretized_dynamics(alpha):
    """Of x′ = (1 − ελ)x + √(2εα)·ξ: α/λ/(1 − ελ/2) along each eigenvector of the precision."""
    epsilon = 0.4
    run = tf.function(lambda u: langevin(u, score, 60, epsilon, temperature=alpha, seed=3), autograph=False)
    found = run(tf.constant(MEAN + 0 * particles(4, 10_000, 2), tf.float32)).particles.numpy().reshape(-1, 2)
    values, vectors = np.linalg.eigh(PRECISION)
    expected = (vectors * (alpha / values / (1 - epsilon * values / 2))) @ vectors.T
    # The bias is there to see.
    assert np.abs(expected - alpha * np.linalg.inv(PRECISION)).max() > 0.1 * alpha
    np.testing.assert_allclose(np.cov(found.T), expected, atol=0.03 * alpha)
    np.testing.assert_allclose(found.mean(axis=0), MEAN, atol=0.03)


def test_without_noise_particles_climb_and_the_change_is_the_maps():
    """u^L = μ + Jᴸ(u⁰ − μ), J = I − εΛ, whatever the temperature."""
    u, epsilon = particles(3, 5, 2), 0.2
    jacobian = np.eye(2) - epsilon * PRECISION
    changes = {}
    for kind in ("trace", "logdet"):
        moved = langevin(u, score, 40, epsilon, temperature=7.0, noise=False, density_change=kind)
        expected = MEAN + (u - MEAN) @ np.linalg.matrix_power(jacobian, 40)
        np.testing.assert_allclose(moved.particles, expected, atol=1e-12)
        changes[kind] = moved.log_density_change
    assert np.abs(expected - MEAN).max() < 0.05
    np.testing.assert_allclose(changes["trace"], np.full([3, 5], 40 * epsilon * 2.8), atol=1e-12)
    np.testing.assert_allclose(
        changes["logdet"], np.full([3, 5], -40 * np.linalg.slogdet(jacobian)[1]), atol=1e-12
    )
    assert langevin(u, score, 2, epsilon, noise=False).log_density_change is None


@pytest.mark.parametrize("kind", ["trace", "logdet"])
def test_the_change_where_the_curvature_varies(kind):
    """ℓ = sin u₁·cos u₂, one step, by automatic differentiation of the map."""

    def wavy(u):
        one, two = tf.unstack(u, axis=-1)
        return tf.stack([tf.cos(one) * tf.cos(two), -tf.sin(one) * tf.sin(two)], axis=-1)

    u = tf.constant(particles(6, 2))
    found = langevin(u, wavy, 1, 0.3, noise=False, density_change=kind).log_density_change
    with tf.GradientTape() as tape:
        tape.watch(u)
        after = u + 0.3 * wavy(u)
    jacobian = tape.batch_jacobian(after, u).numpy()
    expected = (
        2.0 - np.trace(jacobian, axis1=1, axis2=2) if kind == "trace" else -np.linalg.slogdet(jacobian)[1]
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_score_that_does_not_depend_on_the_particles_changes_no_density():
    moved = langevin(particles(3, 2), lambda u: tf.ones_like(u), 2, 0.1, noise=False, density_change="trace")
    np.testing.assert_array_equal(moved.log_density_change, np.zeros(3))


@pytest.mark.parametrize("num_steps", [4, 40])
def test_gradients_flow_through_particles_and_change(num_steps):
    def cubic(u):
        return -(u**3)

    def value(u):
        moved = langevin(u, cubic, num_steps, 0.05, noise=False, density_change="logdet")
        return tf.reduce_sum(moved.particles) + tf.reduce_sum(moved.log_density_change)

    @tf.function(autograph=False)
    def gradient(u):
        with tf.GradientTape() as tape:
            tape.watch(u)
            total = value(u)
        return tape.gradient(total, u)

    u = particles(3, 2)
    step = np.zeros([3, 2])
    step[1, 0] = 1e-6
    difference = (value(tf.constant(u + step)) - value(tf.constant(u - step))) / 2e-6
    np.testing.assert_allclose(gradient(tf.constant(u))[1, 0], difference, rtol=1e-6)


def test_seeds_are_the_same_everywhere_and_particles_differ():
    u = tf.zeros([3, 4, 2])

    def run(u, seed):
        return langevin(u, score, 40, 0.1, seed=seed).particles

    eager = run(u, 5)
    np.testing.assert_array_equal(eager, run(u, 5))
    np.testing.assert_array_equal(eager, run(u, tf.constant([0, 5])))
    graph = tf.function(run, autograph=False)
    np.testing.assert_allclose(graph(u, tf.constant([0, 5])), eager, rtol=1e-5, atol=1e-6)
    # XLA makes other numbers of a seed.
    compiled = tf.function(run, autograph=False, jit_compile=True)
    np.testing.assert_array_equal(compiled(u, tf.constant([0, 5])), compiled(u, tf.constant([0, 5])))
    assert not np.any(np.isclose(eager, run(u, 6), atol=1e-4))
    assert len(np.unique(eager.numpy().round(4).reshape(-1, 2), axis=0)) == 12


def test_noise_of_different_steps_is_independent():
    # Without a score the particles make a random walk: noise that repeats would spread them L times as far.
    moved = langevin(tf.zeros([5000, 1]), tf.zeros_like, 50, 0.01, seed=0)
    assert np.var(moved.particles) == pytest.approx(2 * 0.01 * 50, rel=0.1)


def test_xla_compiles_the_trace():
    def run(u):
        return langevin(u, lambda u: -(u**3), 40, 0.05, noise=False, density_change="trace")

    u = tf.constant(particles(3, 2), tf.float32)
    for found, expected in zip(tf.function(run, jit_compile=True)(u), run(u), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "seed must be an integer or two of them, .* got None"),
        ({"seed": 0.5}, "seed must be int or a Tensor or None; got 0.5"),
        ({"seed": tf.constant([1, 2, 3])}, r"seed must be .* got int32 \(3,\)"),
        ({"seed": 0, "density_change": "trace"}, "density_change must be None with noise; got 'trace'.*svgd"),
        ({"noise": False, "density_change": "det"}, "density_change must be one of .* got 'det'"),
    ],
)
def test_mistakes_are_named(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        langevin(tf.zeros([3, 2]), score, 2, 0.1, **arguments)
