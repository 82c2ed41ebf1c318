"""The entropy from samples against known entropies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from expol_tf.diagnostics.sample_entropy import nearest_neighbour_entropy
from expol_tf.errors import ConfigurationError


def test_known_gaussians():
    generator = np.random.default_rng(0)
    for covariance in (np.eye(2), [[1.13, 0.82], [0.82, 3.39]], 0.01 * np.eye(3)):
        size = len(covariance)
        exact = 0.5 * math.log(np.linalg.det(2 * math.pi * math.e * np.asarray(covariance)))
        samples = generator.multivariate_normal(np.zeros(size), covariance, (20, 1000))
        found = nearest_neighbour_entropy(samples)
        assert found.shape == (20,)
        assert found.mean() == pytest.approx(exact, abs=0.05) and found.std() < 0.1


def test_a_uniform_density_on_the_action_box():
    samples = np.random.default_rng(1).uniform(-1, 1, (40, 256, 2))
    found = nearest_neighbour_entropy(samples)
    # Of nothing beyond the edges it knows nothing, and errs upwards as documented.
    assert math.log(4) < found.mean() < math.log(4) + 0.15
    assert nearest_neighbour_entropy(0.1 * samples).mean() == pytest.approx(
        found.mean() + 2 * math.log(0.1), abs=1e-6
    )
    many = nearest_neighbour_entropy(np.random.default_rng(2).uniform(-1, 1, (20_000, 2)))
    assert many == pytest.approx(math.log(4), abs=0.03)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e-6, 1e-4, 1e5])
def test_fault_08_the_entropy_shifts_with_the_scale_of_the_samples(scale):
    samples = np.random.default_rng(3).normal(size=(3, 500, 2))
    samples[:, :20] = samples[:, :1]  # Some coincide.
    found, expected = (nearest_neighbour_entropy(each) for each in (scale * samples, samples))
    np.testing.assert_allclose(found, expected + 2 * math.log(scale), rtol=1e-9, atol=1e-6)


def test_coinciding_samples_are_low_and_finite():
    found = nearest_neighbour_entropy(np.full((4, 256, 2), 0.3))
    assert np.isfinite(found).all() and (found < -12).all()


@pytest.mark.parametrize("neighbours", [0, 5])
def test_the_number_of_neighbours_is_checked(neighbours):
    with pytest.raises(ConfigurationError, match="neighbours must be at least 1 and less than the 5 samples"):
        nearest_neighbour_entropy(np.zeros((5, 2)), neighbours)
