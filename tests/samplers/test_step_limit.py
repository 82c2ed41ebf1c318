"""Steps that would fold particles over each other, and the factor that shortens them."""

from __future__ import annotations

import itertools

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
    svgd_jacobian,
    svgd_step,
    unit_directions,
)
from tests.samplers.slow_svgd import SlowStep

LIMIT = 0.75


def particles(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def relu(x):
    """max(x, 0), of complex numbers by their real parts."""
    return np.where(np.real(x) > 0, x, 0.0)


# Steps that fold: the scores for NumPy and for TensorFlow, ε, α and the shape of a set.
FOLDING = {
    # All particles overshoot the mode.
    "overshoot": (lambda u: -50.0 * u, lambda u: -50.0 * u, 0.5, 1.0, (5, 2)),
    # The score of a critic of ReLUs has jumps in its derivative.
    "kinks": (
        lambda u: -20.0 * relu(u) + 20.0 * relu(-u - 0.5) - u,
        lambda u: -20.0 * tf.nn.relu(u) + 20.0 * tf.nn.relu(-u - 0.5) - u,
        0.5,
        1.0,
        (6, 3),
    ),
    # Particles push each other past their neighbours.
    "repulsion": (lambda u: -u, lambda u: -u, 1.0, 5.0, (6, 4)),
}


def step(u, score_fn, epsilon, alpha=1.0, kind=None, **settings):
    u = tf.convert_to_tensor(u)
    score, curvature = score_and_curvature(score_fn, u, unit_directions(u))
    return svgd_step(
        u,
        score,
        epsilon,
        temperature=alpha,
        density_change=kind,
        curvature=curvature if kind in JOINT_CHANGES else None,
        **settings,
    )


def frozen_determinants(u, score, epsilon, alpha, factor):
    """det J_i `[..., M]` of the step, by the library's J_i of the whole step."""
    width = kernel_bandwidth(squared_distances(u), "mean", floor=2e-3)
    beyond = svgd_jacobian(u, score, epsilon, alpha, width) - np.eye(u.shape[-1])
    return np.linalg.det(np.eye(u.shape[-1]) + factor[..., np.newaxis, np.newaxis, np.newaxis] * beyond)


@pytest.mark.parametrize("name", FOLDING)
def test_steps_that_would_fold_are_shortened(name):
    slow_score, score_fn, epsilon, alpha, shape = FOLDING[name]
    sets = np.stack([particles(*shape, seed=seed) for seed in range(12)])
    plain, limited = (step(sets, score_fn, epsilon, alpha, step_limit=limit) for limit in (None, LIMIT))
    np.testing.assert_array_equal(plain.factor, np.ones(12))
    assert limited.factor.shape == [12] and np.mean(limited.factor < 1) > 0.9
    np.testing.assert_allclose(
        limited.particles - sets,
        limited.factor[:, tf.newaxis, tf.newaxis] * (plain.particles - sets),
        atol=1e-12,
    )
    folded, of_one = [], []
    for index, u in enumerate(sets):
        for limit in (None, LIMIT):
            slow = SlowStep(slow_score, epsilon, alpha, limit=limit)
            joint = np.linalg.det(slow.joint_jacobian(u))
            alone = np.linalg.det(slow.frozen(u)).min()
            if limit is None:
                folded.append(joint <= 0)
                of_one.append(alone <= 0)
            else:
                assert joint > 0 and alone > 0, index
                assert float(limited.factor[index]) == pytest.approx(slow.factor(u), abs=1e-12)
    # Without the limit all of that is there.
    assert any(folded) and any(of_one)


@pytest.mark.parametrize("size", [1, 2, 6])
def test_no_limited_particle_folds_beside_frozen_neighbours(size):
    """Eigenvalues of J_i lie within r of 1, whatever the scores, the temperature and the step."""
    for seed, (epsilon, alpha) in enumerate(itertools.product([0.1, 3.0, 1e4], [0.0, 1.0, 50.0])):
        u, score = particles(50, 7, size, seed=seed), 10 * particles(50, 7, size, seed=100 + seed)
        factor = svgd_step(u, score, epsilon, temperature=alpha, step_limit=LIMIT).factor.numpy()
        determinants = frozen_determinants(u, score, epsilon, alpha, factor)
        assert determinants.min() > (1 - LIMIT) ** size
        assert determinants.max() < (1 + LIMIT) ** size


def test_the_bound_takes_in_that_all_particles_overshoot_together():
    """Particles that nearly meet all move by ε·c if the score is −c·u."""
    u = 1e-3 * particles(8, 3)
    moved = step(u, lambda u: -10.0 * u, 1.0, 0.0, bandwidth=5.0, step_limit=LIMIT)
    # η = 10 and mean_j k_ij = 1, so εη = 10.
    assert float(moved.factor) == pytest.approx(LIMIT / 10, rel=1e-4)
    np.testing.assert_allclose(tf.reduce_mean(moved.particles, 0), np.mean(u, 0) * (1 - LIMIT), rtol=1e-3)


@pytest.mark.parametrize("kind", [None, *DENSITY_CHANGES])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_within_the_limit_is_untouched_to_the_last_bit(kind, dtype):
    u = particles(4, 7, 3).astype(dtype)
    plain, limited = (
        step(u, lambda u: -u - tf.sin(u), 0.05, kind=kind, step_limit=limit) for limit in (None, LIMIT)
    )
    np.testing.assert_array_equal(limited.factor, np.ones(4))
    np.testing.assert_array_equal(limited.particles, plain.particles)
    if kind is not None:
        np.testing.assert_array_equal(limited.log_density_change, plain.log_density_change)


@pytest.mark.parametrize("kind", DENSITY_CHANGES)
def test_every_set_has_its_own_factor_and_does_not_feel_the_others(kind):
    u = np.stack([particles(5, 2), 40.0 * particles(5, 2)])
    both = step(u, lambda u: -(u**3), 0.05, kind=kind, step_limit=LIMIT)
    assert both.factor[0] == 1.0 and 0 < both.factor[1] < 0.1
    for index in range(2):
        alone = step(u[index], lambda u: -(u**3), 0.05, kind=kind, step_limit=LIMIT)
        np.testing.assert_allclose(both.particles[index], alone.particles, atol=1e-12)
        np.testing.assert_allclose(both.log_density_change[index], alone.log_density_change, atol=1e-12)


def test_gradients_of_particles_take_the_factor_as_a_constant():
    u = tf.constant(particles(6, 2))

    def gradient(epsilon, limit):
        with tf.GradientTape() as tape:
            tape.watch(u)
            moved = svgd_step(u, -9.0 * u, epsilon, step_limit=limit)
            total = tf.reduce_sum(moved.particles**3)
        return tape.gradient(total, u), float(moved.factor)

    limited, factor = gradient(1.0, LIMIT)
    assert factor < 1
    np.testing.assert_allclose(limited, gradient(factor, None)[0], rtol=1e-12)


@pytest.mark.parametrize("kind", ["joint_trace", "joint_logdet", "printed"])
def test_several_limited_steps_add_up_in_the_graph_too(kind):
    u, total = particles(2, 5, 2), 0.0
    expected = tf.constant(u)
    for _ in range(3):
        moved = step(expected, lambda u: -30.0 * u, 0.3, kind=kind, step_limit=LIMIT)
        expected, total = moved.particles, total + moved.log_density_change
    run = tf.function(
        lambda u: svgd(u, lambda u: -30.0 * u, 3, 0.3, step_limit=LIMIT, density_change=kind), autograph=False
    )
    found = run(tf.constant(u))
    np.testing.assert_allclose(found.particles, expected, atol=1e-12)
    np.testing.assert_allclose(found.log_density_change, total, atol=1e-11)


ONE_AWAY = np.concatenate([0.1 * particles(5, 2), [[9.0, 9.0]]])


@pytest.mark.parametrize("kind", JOINT_CHANGES)
@pytest.mark.parametrize(
    ("u", "score_fn", "rule"),
    [
        pytest.param(0.05 * particles(10, 3), lambda u: 0.0 * u, 0.1, id="equal scores"),
        pytest.param(particles(10, 3), lambda u: -100.0 * u, 1e-4, id="out of reach"),
        pytest.param(ONE_AWAY, lambda u: -50.0 * u, 0.1, id="one out of reach"),
        pytest.param(np.ones([5, 3]), lambda u: -u, "mean", id="all in one place"),
    ],
)
def test_the_density_of_a_limited_step_is_finite(u, score_fn, rule, kind):
    found = step(u, score_fn, 5.0, kind=kind, step_limit=LIMIT, bandwidth=rule)
    assert found.factor < 1
    assert np.isfinite(found.log_density_change).all()


def test_xla_keeps_the_density_of_a_limited_step_finite():
    run = tf.function(
        lambda u: svgd(
            u, lambda u: -50.0 * u, 1, 5.0, bandwidth=0.1, step_limit=LIMIT, density_change="joint_trace"
        ),
        autograph=False,
        jit_compile=True,
    )
    assert np.isfinite(run(tf.constant(ONE_AWAY)).log_density_change).all()


def test_the_limit_is_not_rounded_to_single_precision():
    u = particles(5, 3)
    found = step(u, lambda u: -9.0 * u, 1.0, step_limit=0.1)
    expected = SlowStep(lambda u: -9.0 * u, 1.0, limit=0.1).factor(u)
    assert expected < 1 and float(found.factor) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("limit", [0, 0.0, 1, 1.0, -1.0, 2.0, float("nan"), float("inf")])
def test_a_limit_out_of_range_is_named(limit):
    sets = tf.zeros([5, 2])
    words = f"step_limit must be between 0 and 1.*; got {limit}"
    with pytest.raises(ConfigurationError, match=words):
        svgd(sets, tf.negative, 0, 0.1, step_limit=limit)
    with pytest.raises(ConfigurationError, match=words):
        svgd_step(sets, sets, 0.1, step_limit=limit)
