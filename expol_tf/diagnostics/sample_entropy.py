"""Differential entropy from samples alone, for policies without a density."""

from __future__ import annotations

import math

import numpy as np

from expol_tf.errors import ConfigurationError


def nearest_neighbour_entropy(samples: np.ndarray, neighbours: int = 3, smallest: float = 1e-4) -> np.ndarray:
    """Ĥ = ψ(N) − ψ(k) + log c_A + (A/N) Σᵢ log εᵢ, nats, of samples `[..., N, A]`.

    εᵢ is the distance from sample i to its k-th neighbour and c_A the volume of the unit ball. Consistent for
    every bounded density; at an edge of the support, beyond which no neighbour can be, it errs upwards: for
    N = 128 and a uniform density on a square by 0.1. Samples multiplied by c have the entropy Ĥ + A·log c,
    however small c is. Samples that all coincide have no extent to measure by: they count as spread over
    balls of radius `smallest`, for A = 2, N = 256 and 10⁻⁴ that is −12.7.

    Kozachenko & Leonenko 1987; Kraskov, Stögbauer & Grassberger 2004, *Estimating mutual information*, 20.

    Args:
      samples: `[..., N, A]`.
      neighbours: k, less than N; more of them err more and vary less.
      smallest: Distances below this share of the samples' extent (the diagonal of their bounding box) count
        as this share. Many samples in one dimension lie closer.
    """
    from scipy.spatial import cKDTree
    from scipy.special import digamma, gammaln

    samples = np.asarray(samples, np.float64)
    *batch, num, size = samples.shape
    if not 1 <= neighbours < num:
        raise ConfigurationError(
            f"neighbours must be at least 1 and less than the {num} samples; got {neighbours}."
        )
    log_ball = size / 2 * math.log(math.pi) - gammaln(size / 2 + 1)
    entropies = []
    for points in samples.reshape(-1, num, size):
        # Measured by their own extent, as squares of small distances underflow. Of a bounding box, since a
        # deviation from the mean is not exactly 0 where all samples are one.
        extent = _length(np.ptp(points, axis=0)) or 1.0
        points = (points - points.min(axis=0)) / extent
        # The first neighbour is the sample itself.
        distance = cKDTree(points).query(points, neighbours + 1, workers=-1)[0][:, -1]
        # Samples that coincide give a low entropy, and not −∞.
        spread = np.log(np.maximum(distance, smallest)).mean() + math.log(extent)
        entropies.append(digamma(num) - digamma(neighbours) + log_ball + size * spread)
    return np.array(entropies).reshape(batch)


def _length(vector):
    """The Euclidean norm, without underflow: NumPy's squares numbers below 1e-162 to 0."""
    return math.hypot(*vector)
