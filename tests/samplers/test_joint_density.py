"""The density of a whole set of particles: against complex steps in NumPy, its order, its directions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.samplers import (
    DENSITY_CHANGES,
    JOINT_CHANGES,
    Curvature,
    particle_jacobian,
    random_directions,
    score_and_curvature,
    svgd,
    svgd_density_change,
    svgd_joint_jacobian,
    svgd_step,
    unit_directions,
)
from tests.samplers.slow_svgd import SlowStep

MIX = np.array([[1.0, -0.4, 0.3], [0.2, 0.8, -0.5], [0.6, 0.1, 1.2]])
RULES = ["mean", "median", 0.8]


def particles(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def score(u, of=tf):
    """∇ℓ of ℓ = −Σ u⁴/4 + Σ sin(u·MIX), whose Hessian is no diagonal matrix."""
    return -(u**3) + of.cos(u @ MIX) @ MIX.T


def slow_step(epsilon=0.3, alpha=0.7, **settings):
    return SlowStep(lambda u: score(u, np), epsilon, alpha, **settings)


def step(u, kind, epsilon=0.3, alpha=0.7, directions=None, score_fn=score, **settings):
    """One step of the library, its curvature along the unit vectors or the directions."""
    u = tf.convert_to_tensor(u)
    value, curvature = score_and_curvature(
        score_fn, u, unit_directions(u) if directions is None else directions
    )
    return svgd_step(
        u,
        value,
        epsilon,
        temperature=alpha,
        density_change=kind,
        curvature=curvature if kind in JOINT_CHANGES else None,
        **settings,
    )


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("limit", [None, 0.1875])
def test_changes_are_those_of_complex_steps(batch, rule, limit):
    u = particles(*batch, 5, 3)
    moved = {kind: step(u, kind, bandwidth=rule, step_limit=limit) for kind in DENSITY_CHANGES}
    slow = slow_step(rule=rule, limit=limit)
    factors = []
    for index in np.ndindex(batch):
        expected = slow.changes(u[index])
        factors.append(slow.factor(u[index]))
        for kind, found in moved.items():
            np.testing.assert_allclose(found.particles[index], slow.moved(u[index]), atol=1e-13)
            assert float(found.factor[index]) == pytest.approx(factors[-1], abs=1e-13)
            np.testing.assert_allclose(
                found.log_density_change[index], expected[kind], atol=1e-12, err_msg=kind
            )
    assert any(each < 1 for each in factors) == (limit is not None)


@pytest.mark.parametrize("rule", RULES)
def test_the_joint_jacobian_is_that_of_complex_steps(rule):
    u = particles(2, 4, 3)
    value, hessian = particle_jacobian(score, tf.constant(u))
    found = svgd_joint_jacobian(u, value, hessian, 0.3, temperature=0.7, bandwidth=rule)
    for one, expected in zip(found, u, strict=True):
        np.testing.assert_allclose(one, slow_step(rule=rule).joint_jacobian(expected), atol=1e-13)


def test_at_the_floor_the_width_is_fixed():
    u = 0.01 * particles(5, 3)
    slow = slow_step(0.001)
    assert slow.width(u) == slow.floor
    expected = slow.changes(u)
    for kind in JOINT_CHANGES:
        np.testing.assert_allclose(step(u, kind, 0.001).log_density_change, expected[kind], atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("limited", [False, True])
def test_the_joint_trace_is_right_to_second_order(rule, limited):
    """With a tenth of the step a thousandth of the error is left."""
    u, errors = particles(6, 5, 3), []
    for epsilon in (1e-2, 1e-3):
        # The limit shrinks with the step, and so the factor is the same.
        limit = 0.4 * epsilon if limited else None
        trace, logdet = (step(u, kind, epsilon, bandwidth=rule, step_limit=limit) for kind in JOINT_CHANGES)
        assert np.all(trace.factor < 1) == limited
        errors.append(np.sum(trace.log_density_change - logdet.log_density_change, axis=-1))
    np.testing.assert_allclose(errors[0] / errors[1], 1000.0, rtol=0.1)


def signs(size):
    """All vectors of signs `[2^A, 1, A]`, each a single direction."""
    return np.array(list(itertools.product([-1.0, 1.0], repeat=size)))[:, np.newaxis]


@pytest.mark.parametrize("rule", RULES)
def test_the_mean_over_all_signs_is_the_exact_trace(rule):
    u = particles(5, 3)
    exact = step(u, "joint_trace", bandwidth=rule).log_density_change
    found = step(np.tile(u, [8, 1, 1]), "joint_trace", directions=signs(3), bandwidth=rule)
    assert np.std(found.log_density_change, axis=0).min() > 1e-3
    np.testing.assert_allclose(np.mean(found.log_density_change, axis=0), exact, atol=1e-13)


def test_under_a_limit_the_mean_over_all_signs_is_the_exact_trace_to_first_order():
    """The factor's derivative is there twice in the second order, and random directions square its error."""
    u, gaps = particles(5, 3), []
    for epsilon in (1e-2, 1e-3):
        exact = step(u, "joint_trace", epsilon, step_limit=0.4 * epsilon)
        found = step(
            np.tile(u, [8, 1, 1]), "joint_trace", epsilon, directions=signs(3), step_limit=0.4 * epsilon
        )
        assert exact.factor < 1
        np.testing.assert_array_equal(found.factor, np.full(8, exact.factor))
        gaps.append(np.mean(found.log_density_change) - np.mean(exact.log_density_change))
    assert gaps[0] / gaps[1] == pytest.approx(100.0, rel=0.1)


def test_random_directions_are_unbiased_and_more_of_them_are_better():
    u = np.tile(particles(5, 3), [4000, 1, 1])
    exact = svgd(u[0], score, 3, 0.3, density_change="joint_trace")
    deviations = []
    for count in (1, 4):
        found = svgd(u, score, 3, 0.3, density_change="joint_trace", num_probes=count, seed=7)
        np.testing.assert_allclose(found.particles[0], exact.particles, atol=1e-13)
        change = found.log_density_change.numpy()
        error = (change.mean(axis=0) - exact.log_density_change) / (change.std(axis=0) / np.sqrt(len(u)))
        assert np.abs(error).max() < 4
        deviations.append(change.sum(axis=-1).std())
    assert deviations[0] / deviations[1] == pytest.approx(2.0, rel=0.1)


def test_directions_follow_the_seed_and_are_drawn_anew_each_step():
    def run(num_steps=1, **settings):
        # ∇²ℓ is nearly all of the change, and the same everywhere.
        moved = svgd(
            np.zeros([500, 1, 2]) + [0.3, -0.2], lambda u: -u[..., ::-1], num_steps, 1e-4,
            density_change="joint_trace", num_probes=1, **settings,
        )  # fmt: skip
        return moved.log_density_change.numpy()

    np.testing.assert_array_equal(run(seed=3), run(seed=[0, 3]))
    assert np.any(run(seed=3) != run(seed=4))
    assert np.std(run(16, seed=3)) / np.std(run(seed=3)) == pytest.approx(4.0, rel=0.15)


def test_random_directions_are_signs_of_each_set():
    drawn = random_directions(tf.zeros([300, 2, 7, 3]), 5, tf.constant([1, 2])).numpy()
    assert drawn.shape == (300, 2, 5, 3) and set(np.unique(drawn)) == {-1.0, 1.0}
    flat = drawn.reshape([-1, 3])
    np.testing.assert_allclose(flat.T @ flat / len(flat), np.eye(3), atol=0.08)
    assert len(np.unique(drawn.reshape([600, 15]), axis=0)) > 550


def test_the_curvature_is_the_hessian():
    u = tf.constant(particles(2, 4, 3))
    value, hessian = particle_jacobian(score, u)
    units = score_and_curvature(score, u, unit_directions(u))[1]
    np.testing.assert_allclose(units.hessian(), hessian, atol=1e-13)
    found, curvature = score_and_curvature(score, u, tf.constant(particles(2, 5, 3, seed=1)))
    np.testing.assert_allclose(found, value, atol=1e-15)
    expected = np.einsum("smab,spb->spma", hessian, curvature.directions)
    np.testing.assert_allclose(curvature.products, expected, atol=1e-13)


def test_what_the_paper_leaves_out_is_nats():
    """Particles in six dimensions on their way to N(0, 0.05·I)."""
    start = 0.61 * particles(100, 10, 6)
    entropy = {
        kind: -np.mean(svgd(start, lambda u: -20.0 * u, 3, 0.1, density_change=kind).log_density_change)
        for kind in DENSITY_CHANGES
    }
    assert entropy["printed"] > entropy["joint_logdet"] + 3.0
    assert entropy["logdet"] > entropy["joint_logdet"] + 3.0
    assert abs(entropy["joint_trace"] - entropy["joint_logdet"]) < 0.25


def test_particles_out_of_reach_of_each_other_move_themselves():
    """u ← (1 − 4ε/M)·u: the true change is known, and the paper's formula has none of it."""
    u, shrunk = particles(3, 10, 6), 1.0 - 4.0 * 0.2 / 10
    for kind, change in (
        ("joint_logdet", -5 * 6 * np.log(shrunk)),
        ("joint_trace", 5 * 6 * ((1 - shrunk) + 0.5 * (1 - shrunk) ** 2)),
        ("printed", 0.0),
        ("logdet", 0.0),
    ):
        moved = svgd(u, lambda u: -4.0 * u, 5, 0.2, bandwidth=1e-3, density_change=kind)
        np.testing.assert_allclose(moved.particles, u * shrunk**5, rtol=1e-12)
        np.testing.assert_allclose(moved.log_density_change, np.full([3, 10], change), rtol=1e-12)


def test_the_joint_entropy_is_a_lower_bound_of_a_particles():
    """One step of Gaussian particles with k = 1: all go by ε times their mean, so both are in closed form."""
    count, epsilon, variances = 5, 0.6, np.array([1.0, 0.25])
    u = np.sqrt(variances) * particles(count, 2)
    moved = svgd(u, lambda u: -u / variances, 1, epsilon, bandwidth=1e6, density_change="joint_logdet")
    shrunk = epsilon / variances
    change = -np.sum(np.log(np.abs(1 - shrunk))) / count
    np.testing.assert_allclose(moved.log_density_change, np.full(count, change), atol=1e-8)
    # Var(u − ε/σ²·mean) = σ²·(1 − 2(ε/σ²)/M + (ε/σ²)²/M).
    least = -change
    marginal = 0.5 * np.sum(np.log(1 - 2 * shrunk / count + shrunk**2 / count))
    assert least < marginal - 0.01


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("limit", [None, 0.75])
def test_a_single_particle_has_its_own_determinant(rule, limit):
    u = particles(4, 1, 3)
    hessian = particle_jacobian(score, tf.constant(u))[1].numpy()
    for kind in JOINT_CHANGES:
        moved = step(u, kind, bandwidth=rule, step_limit=limit)
        np.testing.assert_allclose(moved.particles, u + 0.3 * score(u, np), atol=1e-14)
        np.testing.assert_array_equal(moved.factor, np.ones(4))
        expected = -np.linalg.slogdet(np.eye(3) + 0.3 * hessian)[1]
        if kind == "joint_trace":
            square = np.trace(hessian @ hessian, axis1=-2, axis2=-1)
            expected = -0.3 * np.trace(hessian, axis1=-2, axis2=-1) + 0.5 * 0.3**2 * square
        np.testing.assert_allclose(moved.log_density_change, expected, atol=1e-13)


@pytest.mark.parametrize("kind", DENSITY_CHANGES)
@pytest.mark.parametrize("size", [1, 6])
def test_tiny_and_huge_kernels_and_particles_that_meet_are_finite(kind, size):
    apart = np.float32(particles(10, size))
    for u, rule in [
        *itertools.product([apart], [1e-4, 1e3, "mean", "median"]),
        *itertools.product([0.0 * apart + 1.0], [1e-4, 1e3, "mean", "median"]),
    ]:
        u = tf.constant(u)
        with tf.GradientTape() as tape:
            tape.watch(u)
            moved = svgd(u, lambda u: -u, 2, 0.1, bandwidth=rule, density_change=kind)
            total = tf.reduce_sum(moved.log_density_change)
        assert moved.log_density_change.dtype == tf.float32
        for found in (*moved, tape.gradient(total, u)):
            assert np.isfinite(found).all(), rule


def test_single_precision_is_kept_far_from_the_origin():
    u = np.float32(50.0 + particles(8, 3))
    for kind in JOINT_CHANGES:
        changes = [
            step(each, kind, score_fn=lambda u: -(u - 50.0)).log_density_change for each in (u, np.float64(u))
        ]
        np.testing.assert_allclose(*changes, rtol=1e-3, atol=1e-4)


def gradients(kind, sources, **settings):
    """The gradients of a step's change by its particles, its scores and their curvature."""
    u = tf.constant(particles(5, 3))
    value, curvature = score_and_curvature(score, u, unit_directions(u))
    given = {"u": u, "score": value, "products": curvature.products}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(list(given.values()))
        curvature = Curvature(curvature.directions, given["products"])
        moved = svgd_step(
            given["u"],
            given["score"],
            0.3,
            density_change=kind,
            curvature=curvature if kind in JOINT_CHANGES else None,
            **settings,
        )
        total = tf.reduce_sum(tf.range(1.0, 6.0, dtype=tf.float64) * moved.log_density_change)
    return tape.gradient(total, [given[name] for name in sources])


def test_without_the_curvature_s_gradient_the_first_order_alone_has_one():
    """What the paper has, if the width is fixed."""
    found = gradients("joint_trace", ["u", "score"], bandwidth=0.8, curvature_gradient=False)
    expected = gradients("printed", ["u", "score"], bandwidth=0.8)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-13)


@pytest.mark.parametrize("limit", [None, 0.1875])
@pytest.mark.parametrize("rule", ["mean", 0.8])
def test_no_gradient_flows_through_the_curvature_if_none_is_wanted(rule, limit):
    for kind in JOINT_CHANGES:
        settings = dict(bandwidth=rule, step_limit=limit)
        assert gradients(kind, ["products"], **settings, curvature_gradient=True)[0] is not None
        assert gradients(kind, ["products"], **settings, curvature_gradient=False)[0] is None


SETS = tf.zeros([5, 2])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(density_change="det"), r"density_change must be one of .*or None; got 'det'\.\s"),
        (dict(density_change="trace"), r"""got 'trace'. What was "trace" is now "printed".*lower bound"""),
        (dict(density_change="joint_trace", num_probes=1), "seed must be given .*; got seed None with .* 1"),
        (dict(density_change="joint_trace", seed=0), "and only then; got seed 0 with num_probes None"),
        (dict(density_change="printed", seed="x"), "svgd.seed must be int or a Tensor or None; got 'x'"),
        (dict(bandwidth=1e-9), "bandwidth must be 1e-06 or more.*; got 1e-09"),
        (dict(temperature="a"), "svgd.temperature must be float or a Tensor; got 'a'"),
        (
            dict(density_change="joint_trace", num_probes=0, seed=0),
            "num_probes must be 1 or more, or None; got 0",
        ),
        (
            dict(density_change="printed", num_probes=2, seed=0),
            """num_probes are .*"joint_trace" alone; got 2 with density_change 'printed'""",
        ),
        (
            dict(density_change="joint_logdet", num_probes=2, seed=0),
            "got 2 with density_change 'joint_logdet'",
        ),
        (dict(num_probes=2, seed=0), "got 2 with density_change None"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        svgd(SETS, tf.negative, 0, 0.1, **settings)


@pytest.mark.parametrize("kind", JOINT_CHANGES)
def test_scores_that_do_not_depend_on_particles_are_refused_with_a_remedy(kind):
    for constant in (tf.ones_like, tf.zeros_like, lambda u: tf.stop_gradient(-u)):
        with pytest.raises(ConfigurationError, match=r"score_fn: .*derivative.*add 0.0 \* particles"):
            svgd(SETS, constant, 1, 0.1, density_change=kind)
    moved = svgd(SETS, lambda u: tf.ones_like(u) + 0.0 * u, 1, 0.1, density_change=kind)
    assert np.isfinite(moved.log_density_change).all()


def test_a_step_needs_the_curvature_that_its_density_takes():
    for kind in JOINT_CHANGES:
        with pytest.raises(ConfigurationError, match=f"curvature must .*{kind}.*None.*score_and_curvature"):
            svgd_step(SETS, SETS, 0.1, density_change=kind)
    one = score_and_curvature(tf.negative, SETS, tf.ones([1, 2]))[1]
    with pytest.raises(
        ConfigurationError, match="along the 2 unit vectors .*got 1 directions.*unit_directions"
    ):
        svgd_step(SETS, SETS, 0.1, density_change="joint_logdet", curvature=one)
    with pytest.raises(ConfigurationError, match="curvature is read by .* alone, .*'printed'.*Leave it out"):
        svgd_step(SETS, SETS, 0.1, density_change="printed", curvature=one)
    with pytest.raises(ConfigurationError, match="density_change must be one of .*; got None"):
        svgd_density_change(SETS, SETS, 0.1, None)


def test_a_determinant_is_not_taken_along_random_directions():
    """As many as there are components, but not orthogonal."""
    random = tf.constant([[1.0, 1.0], [1.0, 1.0]])
    curvature = score_and_curvature(tf.negative, SETS, random)[1]
    with pytest.raises(ConfigurationError, match="whose determinant others do not give.*unit_directions"):
        svgd_step(SETS, SETS, 0.1, density_change="joint_logdet", curvature=curvature)
    turned = tf.constant([[1.0, 1.0], [1.0, -1.0]])
    steps = [
        svgd_step(
            SETS,
            -SETS,
            0.1,
            density_change="joint_logdet",
            curvature=score_and_curvature(tf.negative, SETS, v)[1],
        )
        for v in (turned, unit_directions(SETS))
    ]
    np.testing.assert_allclose(*(each.log_density_change for each in steps), rtol=1e-5)


def test_sets_of_unknown_or_no_size_are_named():
    words = r"particles must be \[..., M, A\] with static M and A of 1 or more"
    for shape in ((0, 3), (3, 0)):
        with pytest.raises(ConfigurationError, match=words):
            svgd(tf.zeros(shape), tf.negative, 1, 0.1)
    for shape in ([None, 3], [5, None], None):

        @tf.function(input_signature=[tf.TensorSpec(shape)], autograph=False)
        def moved(u):
            return svgd(u, tf.negative, 1, 0.1).particles

        with pytest.raises(ConfigurationError, match=words):
            moved.get_concrete_function()


def test_scores_that_tensorflow_cannot_differentiate_are_named():
    with pytest.raises(ConfigurationError, match="score_fn must return a tensor.*ndarray"):
        svgd(SETS, lambda u: -np.asarray(u), 1, 0.1, density_change="joint_trace")


@pytest.mark.parametrize("shrinks", [0.1, 0.3, 0.5])
def test_the_second_order_is_too_high_by_what_the_docstring_says(shrinks):
    """A single particle that a score draws to 0: −log(1 − x) − x − x²/2 a component."""
    u = tf.constant([[0.5, -0.2]], tf.float64)
    curvature = score_and_curvature(lambda u: -u / 0.1 * shrinks, u, unit_directions(u))[1]
    changes = [
        svgd_step(u, -u / 0.1 * shrinks, 0.1, density_change=kind, curvature=curvature).log_density_change
        for kind in ("joint_logdet", "joint_trace")
    ]
    missing = 2 * (-math.log(1 - shrinks) - shrinks - shrinks**2 / 2)
    assert float((changes[0] - changes[1])[0]) == pytest.approx(missing, rel=1e-9)
    assert missing / 2 < 0.012 or shrinks > 0.3
