"""SVGD's account of the density of one particle, and all accounts in loops, gradients and XLA."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.samplers import (
    DENSITY_CHANGES,
    JOINT_CHANGES,
    kernel_bandwidth,
    score_and_curvature,
    squared_distances,
    svgd,
    svgd_direction,
    svgd_step,
    unit_directions,
)

MEAN = np.array([-0.69, 0.8])
COVARIANCE = np.array([[1.13, 0.82], [0.82, 3.39]])


def particles(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def gaussian_score(u):
    precision = tf.constant(np.linalg.inv(COVARIANCE), u.dtype)
    return -tf.matmul(u - tf.constant(MEAN, u.dtype), precision)


def frozen_jacobians(u, score, epsilon, alpha, sigma):
    """∂/∂y_i at y = u of y_i + ε·h(y_i), h the sum over the other particles as they are: `[M, A, A]`."""
    y = tf.Variable(u)
    with tf.GradientTape(persistent=True) as tape:
        difference = y[:, tf.newaxis] - u
        kernel = tf.exp(-tf.reduce_sum(difference**2, -1) / (2 * sigma**2)) * (1.0 - np.eye(len(u)))
        terms = score + alpha * difference / sigma**2
        after = y + epsilon / len(u) * tf.reduce_sum(kernel[..., tf.newaxis] * terms, axis=1)
    return tape.batch_jacobian(after, y, experimental_use_pfor=False).numpy()


def width_of(u, rule):
    """σ of one set, as a number."""
    if not isinstance(rule, str):
        return rule
    return float(np.sqrt(kernel_bandwidth(squared_distances(u, u), rule) / 2))


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("rule", ["median", "mean", 0.8])
def test_changes_of_one_particle_are_those_of_automatic_differentiation(batch, rule):
    u, score = particles(*batch, 5, 3), particles(*batch, 5, 3, seed=1)
    epsilon, alpha = 0.3, 0.7
    changes = {
        kind: svgd_step(
            u, score, epsilon, temperature=alpha, bandwidth=rule, floor=1e-9, density_change=kind
        ).log_density_change.numpy()
        for kind in ("printed", "logdet")
    }
    for index in np.ndindex(batch):
        sigma = width_of(u[index], rule)
        jacobians = frozen_jacobians(u[index], score[index], epsilon, alpha, sigma)
        trace = -np.trace(jacobians - np.eye(3), axis1=1, axis2=2)
        np.testing.assert_allclose(changes["printed"][index], trace, atol=1e-10, rtol=0)
        np.testing.assert_allclose(
            changes["logdet"][index], -np.linalg.slogdet(jacobians)[1], atol=1e-10, rtol=0
        )


@pytest.mark.parametrize("rule", ["median", "mean", 2.0])
@pytest.mark.parametrize("kind", DENSITY_CHANGES)
def test_a_step_moves_along_the_direction_and_steps_add_up(rule, kind):
    u = particles(3, 6, 2)
    expected, change = u, 0.0
    for _ in range(4):
        score, curvature = score_and_curvature(gaussian_score, tf.constant(expected), unit_directions(u))
        moved = svgd_step(
            expected,
            score,
            0.2,
            temperature=0.5,
            bandwidth=rule,
            density_change=kind,
            curvature=curvature if kind in JOINT_CHANGES else None,
        )
        along = expected + 0.2 * svgd_direction(expected, gaussian_score(expected), 0.5, bandwidth=rule)
        np.testing.assert_allclose(moved.particles, along, atol=1e-13)
        np.testing.assert_array_equal(moved.factor, np.ones(3))
        expected, change = moved.particles.numpy(), change + moved.log_density_change.numpy()
    found = svgd(u, gaussian_score, 4, 0.2, temperature=0.5, bandwidth=rule, density_change=kind)
    np.testing.assert_allclose(found.particles, expected, atol=1e-12)
    np.testing.assert_allclose(found.log_density_change, change, atol=1e-12)
    # Without the change the particles are the same.
    alone = svgd(u, gaussian_score, 4, 0.2, temperature=0.5, bandwidth=rule)
    np.testing.assert_allclose(alone.particles, expected, atol=1e-12)
    assert alone.log_density_change is None


@pytest.mark.parametrize("kind", DENSITY_CHANGES)
def test_particles_that_only_push_each_other_become_less_dense(kind):
    u = 0.01 * particles(4, 10, 3)
    moved = svgd(u, lambda u: 0.0 * u, 5, 0.1, bandwidth=1.0, density_change=kind)
    assert np.all(moved.log_density_change.numpy() < 0)
    assert np.var(moved.particles) > np.var(u)


def test_without_steps_nothing_moves():
    u = particles(4, 2)
    moved = svgd(u, gaussian_score, 0, 0.1, density_change="logdet")
    np.testing.assert_array_equal(moved.particles, u)
    np.testing.assert_array_equal(moved.log_density_change, np.zeros(4))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(kind, {}) for kind in (None, *DENSITY_CHANGES)]
    + [
        # Each writes out forty steps, so some take their time.
        pytest.param("joint_trace", dict(num_probes=2, seed=1), marks=pytest.mark.slow),
        pytest.param("joint_trace", dict(step_limit=0.01), marks=pytest.mark.slow),
    ],
)
def test_a_loop_in_the_graph_is_what_is_written_out(kind, settings):
    u = particles(2, 5, 2)

    def run(u):
        return svgd(u, gaussian_score, 40, 0.1, bandwidth="median", density_change=kind, **settings)

    compiled = tf.function(run, autograph=False)
    graph = compiled.get_concrete_function(tf.TensorSpec([2, 5, 2], tf.float64)).graph
    assert any("While" in operation.type for operation in graph.get_operations())
    eager, looped = run(u), compiled(tf.constant(u))
    np.testing.assert_allclose(looped.particles, eager.particles, atol=1e-12)
    if kind is not None:
        np.testing.assert_allclose(looped.log_density_change, eager.log_density_change, atol=1e-12)


@pytest.mark.parametrize(
    ("num_steps", "kind"),
    [
        (3, "printed"),
        (40, "printed"),
        (40, "logdet"),
        (3, "joint_trace"),
        (3, "joint_logdet"),
        (40, "joint_trace"),
    ],
)
def test_gradients_flow_through_all_steps(num_steps, kind):
    """Against central differences, through the loop and written out, also to a parameter of the score.

    In the joint changes the parameter is in ∇²ℓ too, and the particles are by its third derivative.
    """

    @tf.function(autograph=False)
    def value(u, shift):
        moved = svgd(
            u, lambda u: gaussian_score(u) + tf.sin(u + shift), num_steps, 0.05, bandwidth=1.5,
            density_change=kind,
        )  # fmt: skip
        return tf.reduce_sum(moved.particles**3) + tf.reduce_sum(moved.log_density_change**2)

    u, shift = tf.constant(particles(2, 4, 2)), tf.constant([0.3, -0.2], tf.float64)

    @tf.function(autograph=False)
    def gradients(u, shift):
        with tf.GradientTape() as tape:
            tape.watch([u, shift])
            found = value(u, shift)
        return tape.gradient(found, [u, shift])

    of_u, of_shift = gradients(u, shift)
    for index in [(0, 0, 0), (1, 3, 1)]:
        step = np.zeros([2, 4, 2])
        step[index] = 1e-5
        difference = (value(u + step, shift) - value(u - step, shift)) / 2e-5
        np.testing.assert_allclose(of_u[index], difference, rtol=1e-5)
    step = np.array([0.0, 1e-5])
    difference = (value(u, shift + step) - value(u, shift - step)) / 2e-5
    np.testing.assert_allclose(of_shift[1], difference, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("printed", dict(bandwidth="mean")),
        # A fixed width, which halves the time of compilation.
        ("joint_trace", dict(bandwidth=1.5, step_limit=0.02)),
    ],
)
def test_xla_compiles_traces_and_their_gradients(kind, settings):
    u = np.float32(particles(3, 6, 2))

    def run(u):
        with tf.GradientTape() as tape:
            tape.watch(u)
            moved = svgd(u, gaussian_score, 40, 0.1, density_change=kind, **settings)
            total = tf.reduce_sum(moved.log_density_change)
        return *moved, tape.gradient(total, u)

    compiled = tf.function(run, autograph=False, jit_compile=True)(tf.constant(u))
    for found, expected in zip(compiled, run(tf.constant(u)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)


def test_the_entropy_of_a_gaussian():
    """From N(0, 6·I): S²AC's setting, 200 particles and steps, on each of ten seeds."""
    true = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * COVARIANCE)[1]
    assert abs(true - 3.4129) < 1e-4
    start = np.stack([tf.random.stateless_normal([200, 2], [0, seed]) for seed in range(10)]) * np.sqrt(6.0)
    log_start = -np.log(2 * np.pi * 6.0) - np.sum(start**2, axis=-1) / 12.0
    for kind in ("printed", "logdet"):
        run = tf.function(
            lambda u, kind=kind: svgd(u, gaussian_score, 200, 0.5, bandwidth=5.0, density_change=kind),
            autograph=False,
        )
        entropy = -np.mean(log_start + run(tf.constant(start, tf.float32)).log_density_change, axis=-1)
        assert np.all(np.abs(entropy - true) < 0.05), (kind, entropy)
        assert abs(np.mean(entropy) - true) < 0.02, (kind, entropy)


def test_single_precision_gives_no_particle_a_distance_to_itself():
    """Rounding left up to 1e-4 of it, which a narrow kernel took for a push."""
    u = 5.0 * tf.random.stateless_normal([10, 17], [0, 1])
    for kind in ("printed", "logdet"):
        moved = svgd(u, lambda u: -u, 1, 0.1, bandwidth=0.05, density_change=kind)
        np.testing.assert_array_equal(moved.log_density_change, np.zeros(10))
        np.testing.assert_allclose(moved.particles, 0.99 * u, rtol=1e-6)


def test_a_negative_number_of_steps_is_named():
    with pytest.raises(ConfigurationError, match="num_steps must be 0 or more; got -1"):
        svgd(tf.zeros([3, 2]), tf.zeros_like, -1, 0.1)
