"""Comparisons of densities by quadrature against closed forms and samples."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from expol_tf.diagnostics import compare_densities, region_levels, spread
from expol_tf.environments import box_quadrature


def gaussian(mean, covariance):
    return scipy.stats.multivariate_normal(mean, covariance)


def test_two_gaussians_that_the_box_hardly_cuts():
    points, weights = box_quadrature()
    p = gaussian([0.1, -0.05], [[0.02, 0.012], [0.012, 0.03]])
    q = gaussian([0.0, 0.0], [[0.03, 0.0], [0.0, 0.02]])
    reward = points @ [1.0, 2.0]
    found = compare_densities(p.logpdf(points), q.logpdf(points), reward, points, weights)

    def kl(a, b):
        inverse, difference = np.linalg.inv(b.cov), np.subtract(b.mean, a.mean)
        logs = np.log(np.linalg.det(b.cov) / np.linalg.det(a.cov))
        return 0.5 * (np.trace(inverse @ a.cov) + difference @ inverse @ difference - 2 + logs)

    assert found.mass == pytest.approx(1.0, abs=1e-6)
    assert found.correlation == pytest.approx(0.012 / np.sqrt(0.02 * 0.03), abs=1e-5)
    assert (found.std_1, found.std_2) == pytest.approx((0.02**0.5, 0.03**0.5), abs=1e-5)
    assert found.left_mass == pytest.approx(scipy.stats.norm.cdf(-0.1 / 0.02**0.5), abs=5e-3)
    assert found.kl_to_target == pytest.approx(kl(p, q), abs=1e-5)
    assert found.kl_from_target == pytest.approx(kl(q, p), abs=1e-5)
    assert found.kl_to_target != pytest.approx(found.kl_from_target, abs=1e-3)
    assert found.expected_reward == pytest.approx(0.0, abs=1e-5)
    assert found.entropy == pytest.approx(p.entropy(), abs=1e-5)


def test_the_uniform_density_and_its_own():
    points, weights = box_quadrature(20)
    uniform = np.full(len(points), -np.log(4.0))
    found = compare_densities(uniform, uniform, np.zeros(len(points)), points, weights)
    assert found == pytest.approx((1.0, 0.0, 3**-0.5, 3**-0.5, 0.5, 0.0, 0.0, 0.0, np.log(4.0)), abs=1e-9)


def test_a_density_that_is_0_somewhere():
    points, weights = box_quadrature(20)
    uniform = np.full(len(points), -np.log(4.0))
    with np.errstate(divide="ignore"):
        half = np.log(np.where(points[:, 0] < 0, 0.5, 0.0))
    found = compare_densities(half, uniform, points[:, 0], points, weights)
    assert found.kl_to_target == pytest.approx(np.log(2.0))
    assert found.kl_from_target == np.inf
    assert (found.left_mass, found.entropy) == pytest.approx((1.0, np.log(2.0)))


def test_spread_is_about_the_mean():
    samples = np.random.default_rng(0).normal(5.0, [0.1, 0.2], (200_000, 2))
    found = spread(samples)
    assert found.covariance_trace == pytest.approx(0.05, rel=0.02)
    assert spread(samples - 5.0) == pytest.approx(found)
    circle = np.random.default_rng(0).normal(0.0, 0.1, (200_000, 2))
    assert spread(circle).radius_99 == pytest.approx(0.1 * np.sqrt(2 * np.log(100)), rel=0.02)


def test_regions_hold_their_shares():
    nodes = np.linspace(-6, 6, 401)
    points = np.stack(np.meshgrid(nodes, nodes), axis=-1)
    levels = region_levels(gaussian([0, 0], np.eye(2)).logpdf(points), (0.5, 0.95))
    # Of a standard Gaussian in the plane, the region that holds the share p ends at density (1 − p)/2π.
    assert levels == pytest.approx([0.05 / (2 * np.pi), 0.5 / (2 * np.pi)], rel=0.01)
