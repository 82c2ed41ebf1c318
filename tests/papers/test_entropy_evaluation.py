"""The entropies of samplers: targets against scipy and quadrature, the joint density against svgd's own."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from expol_tf.papers.entropy import evaluation as entropy_evaluation
from expol_tf.papers.entropy.targets import (
    Mixture,
    paper_gaussian,
    ring,
    round_gaussian,
    start_log_prob,
    start_particles,
)
from expol_tf.samplers import svgd


def test_the_paper_s_gaussian():
    target = paper_gaussian()
    assert target.entropy == pytest.approx(3.4129, abs=1e-4)
    points = np.random.default_rng(0).standard_normal([5, 2])
    expected = scipy.stats.multivariate_normal([-0.69, 0.8], [[1.13, 0.82], [0.82, 3.39]])
    np.testing.assert_allclose(target.log_prob(points), expected.logpdf(points))


@pytest.mark.parametrize("target", [paper_gaussian(), ring(3), ring(4, variance=0.1), round_gaussian(8.0)])
def test_scores_are_gradients(target):
    points = 2 * np.random.default_rng(1).standard_normal([6, 2])
    score = target.score(tf.constant(points))
    for axis in range(2):
        step = 1e-5 * np.eye(2)[axis]
        difference = (target.log_prob(points + step) - target.log_prob(points - step)) / 2e-5
        np.testing.assert_allclose(score[:, axis], difference, rtol=1e-6, atol=1e-8)


def test_entropies_of_mixtures():
    # Components that do not overlap have log K more than one.
    assert ring(4, variance=0.1).entropy == pytest.approx(round_gaussian(0.1).entropy + np.log(4), abs=1e-6)
    assert ring(1).entropy == pytest.approx(round_gaussian(1.0).entropy)
    # By quadrature what is known in closed form.
    twice = Mixture("", np.zeros([2, 2]), np.array([[1.13, 0.82], [0.82, 3.39]]))
    assert twice.entropy == pytest.approx(3.4129, abs=1e-4)
    entropies = [ring(each).entropy for each in (1, 2, 4, 8)]
    assert np.all(np.diff(entropies) > 0) and entropies[0] == pytest.approx(2.838, abs=1e-3)


def test_particles_start_from_the_start():
    particles = start_particles([3, 4], 4000)
    assert particles.shape == (2, 4000, 2)
    np.testing.assert_array_equal(particles[1], start_particles([4], 4000)[0])
    assert np.var(particles) == pytest.approx(6.0, rel=0.05)
    assert -np.mean(start_log_prob(particles)) == pytest.approx(round_gaussian(6.0).entropy, abs=0.05)


@pytest.fixture(name="found", scope="module")
def fixture_found():
    """Of a few small configurations: part, sampler, density, M → its estimates."""
    with pytest.MonkeyPatch.context() as patch:
        for name, few in (
            ("SIGMAS", (5.0, 100.0)),
            ("KERNEL_PARTICLES", (20,)),
            ("COMPONENTS", (1,)),
            ("VARIANCES", (1.0, 2.0)),
            ("SIZES", ((1.0, 20),)),
            ("DRIFT", (1, 2)),
            ("JOINT_PARTICLES", (5, 40)),
            ("NUM_PARTICLES", 40),
        ):
            patch.setattr(entropy_evaluation, name, few)
        found = list(entropy_evaluation.evaluate_all(3, 1, 20))
        assert len(found) == entropy_evaluation.num_evaluations()
    return [each.estimate for each in found]


def only(found, **values):
    (line,) = [each for each in found if all(getattr(each, name) == value for name, value in values.items())]
    return line


def test_what_the_formula_says_of_samplers_that_are_no_maps(found):
    """log q⁰ + L·(the constant of a Gaussian's map), whatever they drew."""
    precision = np.linalg.inv(paper_gaussian().covariance)
    start = -np.mean(start_log_prob(start_particles([1, 2, 3], 40)))
    slopes = {"SGLD": 0.5 * precision, "DLD": 0.5 * precision, "HMC": 0.125 * precision}
    for sampler, slope in slopes.items():
        trace = only(found, part="samplers", sampler=sampler, density="trace")
        logdet = only(found, part="samplers", sampler=sampler, density="logdet")
        assert trace.entropy_mean == pytest.approx(start - 20 * np.trace(slope), abs=1e-3)
        determinant = np.linalg.slogdet(np.eye(2) - slope)[1]
        assert logdet.entropy_mean == pytest.approx(start + 20 * determinant, abs=1e-3)
    for sampler in ("SGLD", "HMC"):
        assert abs(only(found, sampler=sampler, density="trace").particles_entropy - 3.6) < 0.5
    # The same of DLD, which is right about it: the particles are close together.
    assert only(found, sampler="DLD", density="logdet").particles_entropy < -2


def test_the_joint_density_is_that_of_svgd(found):
    start = start_particles([1, 2, 3], 5)
    moved = svgd(start, paper_gaussian().score, 20, 0.5, bandwidth=5.0, density_change="joint_logdet")
    expected = -np.mean(start_log_prob(start) + moved.log_density_change)
    line = only(found, part="joint", density=entropy_evaluation.JOINT, num_particles=5)
    assert line.entropy_mean == pytest.approx(expected, abs=1e-4)


def test_drift_and_joint_density(found):
    line = only(found, part="drift", density="printed", num_steps=40)
    own = only(found, part="drift", density=entropy_evaluation.OWN_TERM, num_steps=40)
    # The repulsion of a particle by itself, ε·A/(σ²M) a step.
    assert own.entropy_mean - line.entropy_mean == pytest.approx(40 * 0.5 * 2 / (25 * 40), abs=1e-9)
    gaps = [
        only(found, part="joint", density="logdet", num_particles=num).entropy_mean
        - only(found, part="joint", density=entropy_evaluation.JOINT, num_particles=num).entropy_mean
        for num in (5, 40)
    ]
    assert gaps[0] > 4 * gaps[1] > 0


def test_the_same_configuration_is_the_same_in_every_part(found):
    once = only(found, part="samplers", sampler="SVGD", density="printed")
    again = only(found, part="drift", density="printed", num_steps=20)
    assert again.entropy_mean == pytest.approx(once.entropy_mean, abs=1e-5)
    joint = only(found, part="joint", density="printed", num_particles=40)
    assert joint.entropy_mean == pytest.approx(once.entropy_mean, abs=1e-5)


def test_wider_kernels_and_targets_have_more(found):
    narrow, wide = (only(found, part="kernel", density="printed", sigma=each) for each in (5.0, 100.0))
    assert wide.entropy_mean > narrow.entropy_mean + 0.3
    narrow, wide = (only(found, part="variance", component_variance=each) for each in (1.0, 2.0))
    assert wide.entropy_mean > narrow.entropy_mean + 0.3
