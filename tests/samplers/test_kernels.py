"""Kernels and their bandwidths, against loops."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.samplers import kernel_bandwidth, rbf_kernel, squared_distances
from expol_tf.samplers.kernels import bandwidth_gradient
from tests.samplers.slow_svgd import SlowStep, jacobian


def particles(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def loop_distances(x, y):
    found = np.zeros([*x.shape[:-1], y.shape[-2]])
    for index in np.ndindex(found.shape):
        *batch, i, j = index
        found[index] = np.sum((np.float64(x[(*batch, i)]) - y[(*batch, j)]) ** 2)
    return found


def test_distances_are_those_of_a_loop():
    x, y = particles(2, 3, 7, 4), particles(2, 3, 5, 4, seed=1)
    np.testing.assert_allclose(squared_distances(x, y), loop_distances(x, y), rtol=1e-5)


def test_distances_survive_an_origin_that_is_far_away():
    x = 100.0 + 0.01 * particles(6, 2)
    found = squared_distances(x, x).numpy()
    np.testing.assert_allclose(found, loop_distances(x, x), atol=1e-9, rtol=1e-3)
    assert np.all(found >= 0)


@pytest.mark.parametrize("scale", [1e-3, 5.0, 1e3])
def test_a_particle_has_no_distance_to_itself(scale):
    x = scale * particles(2, 10, 17)
    found = squared_distances(x).numpy()
    np.testing.assert_array_equal(np.diagonal(found, axis1=1, axis2=2), np.zeros([2, 10]))
    np.testing.assert_allclose(found, loop_distances(x, x), rtol=1e-4)
    np.testing.assert_array_equal(
        found[:, ~np.eye(10, dtype=bool)], squared_distances(x, x).numpy()[:, ~np.eye(10, dtype=bool)]
    )


def test_the_kernel_is_that_of_a_loop():
    x, y = particles(2, 6, 3), particles(2, 4, 3, seed=1)
    found = rbf_kernel(x, y, tf.constant([0.7, 2.0]))
    expected = np.exp(-loop_distances(x, y) / np.array([0.7, 2.0])[:, None, None])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_kernels_gradient_is_its_formula():
    """∇_x κ(x, y) = (2/h)(y − x)·κ, by automatic differentiation in double precision."""
    x, y = np.float64(particles(5, 3)), np.float64(particles(4, 3, seed=1))
    points = tf.repeat(tf.constant(x)[:, tf.newaxis, tf.newaxis], 4, axis=1)  # [5, 4, 1, 3]
    with tf.GradientTape() as tape:
        tape.watch(points)
        kernel = rbf_kernel(points, y[:, np.newaxis], tf.fill([5, 4], tf.constant(0.8, tf.float64)))
    gradient = tape.gradient(kernel, points)[:, :, 0]
    for i in range(5):
        for j in range(4):
            expected = 2 / 0.8 * (y[j] - x[i]) * np.exp(-np.sum((x[i] - y[j]) ** 2) / 0.8)
            np.testing.assert_allclose(gradient[i, j], expected, atol=1e-14)


@pytest.mark.parametrize("size", [2, 3, 4, 9])
def test_bandwidths_are_statistics_of_different_particles(size):
    x = particles(3, size, 2)
    distances = loop_distances(x, x)
    off_diagonal = distances[:, ~np.eye(size, dtype=bool)]
    median = np.median(off_diagonal, axis=1) / np.log(size + 1)
    mean = np.mean(off_diagonal, axis=1) / (2 * np.log(size + 1))
    given = tf.constant(distances, tf.float32)
    np.testing.assert_allclose(kernel_bandwidth(given), median, rtol=1e-5)
    np.testing.assert_allclose(kernel_bandwidth(given, "mean"), mean, rtol=1e-5)
    np.testing.assert_allclose(kernel_bandwidth(given, 0.3), np.full(3, 2 * 0.3**2), rtol=1e-6)


def test_bandwidths_between_two_sets_count_all_pairs():
    x, y = particles(3, 4, 2), particles(3, 5, 2, seed=1)
    distances = loop_distances(x, y).reshape([3, -1])
    given = tf.constant(loop_distances(x, y), tf.float32)
    np.testing.assert_allclose(
        kernel_bandwidth(given, one_set=False), np.median(distances, axis=1) / np.log(5), rtol=1e-5
    )
    np.testing.assert_allclose(
        kernel_bandwidth(given, "mean", one_set=False),
        np.mean(distances, axis=1) / (2 * np.log(5)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("rule", ["median", "mean"])
def test_rules_have_a_floor_and_no_gradient(rule):
    for size in (1, 4):
        x = tf.Variable(tf.ones([2, size, 3]))
        with tf.GradientTape() as tape:
            bandwidth = kernel_bandwidth(squared_distances(x), rule, floor=0.02)
        np.testing.assert_allclose(bandwidth, np.full(2, 0.02))
        assert tape.gradient(bandwidth, x) is None


@pytest.mark.parametrize("floor", [1e-9, 2e-3, 10.0])
def test_a_deviation_is_exact_whatever_the_particles_and_the_floor(floor):
    for dtype in (tf.float32, tf.float64):
        x = tf.Variable(tf.cast(particles(2, 4, 3), dtype))
        with tf.GradientTape() as tape:
            bandwidth = kernel_bandwidth(squared_distances(x), 0.01, floor=floor)
        np.testing.assert_array_equal(bandwidth, tf.fill([2], tf.constant(0.0002, dtype)))
        assert tape.gradient(bandwidth, x) is None


@pytest.mark.parametrize("size", [2, 4, 5])
@pytest.mark.parametrize("rule", ["median", "mean"])
def test_the_derivative_of_a_rule_is_that_of_complex_steps(rule, size):
    x = np.float64(particles(2, 3, size, 2))
    found = bandwidth_gradient(x, rule)
    for index in np.ndindex(2, 3):
        expected = jacobian(SlowStep(np.negative, 1.0, rule=rule).width, x[index])
        np.testing.assert_allclose(found[index], expected.reshape([size, 2]), atol=1e-14)


def test_a_width_that_does_not_follow_the_particles_has_no_derivative():
    assert bandwidth_gradient(particles(4, 2), 0.3) is None
    for x in (1e-3 * particles(4, 2), particles(1, 2)):
        np.testing.assert_array_equal(bandwidth_gradient(x, "mean", floor=0.01), np.zeros_like(x))


def test_at_the_median_width_a_particle_sees_about_one_neighbour():
    x = tf.eye(9)  # As far from each other as from any other.
    kernel = rbf_kernel(x, x, kernel_bandwidth(squared_distances(x, x)))
    np.testing.assert_allclose(np.sum(kernel, axis=-1), np.full(9, 1 + 8 / 10), rtol=1e-5)


@pytest.mark.parametrize(
    ("rule", "words"), [("mode", "must be one of .* got 'mode'"), (0.0, "positive"), (-1, "positive")]
)
def test_a_wrong_rule_is_named(rule, words):
    with pytest.raises(ConfigurationError, match=words):
        kernel_bandwidth(tf.zeros([2, 2]), rule)
