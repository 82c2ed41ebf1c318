"""Differential entropy from samples alone, for policies without a density."""

from __future__ import annotations

import math

import numpy as np

from expol_tf.errors import ConfigurationError


def nearest_neighbour_entropy(samples: np.ndarray, neighbours: int = 3, smallest: float = 1e-4) -> np.ndarray:
    """Ĥ = ψ(N) − ψ(k) + log c_A + (A/N) Σᵢ log εᵢ, nats, of samples `[..., N, A]`.

    εᵢ is the distance from sample i to its k-th neighbour and c_A the volume of the unit ball. Consistent for
    every bounded density; at an edge of the support, beyond which no neighbour can be, it errs upwards: for
    N = 128 and a uniform density on a square by 0.1. Samples that all coincide count as spread over balls of
    radius `smallest`: for A = 2, N = 256 and 10⁻⁴ that is −12.7.

    Kozachenko & Leonenko 1987; Kraskov, Stögbauer & Grassberger 2004, *Estimating mutual information*, 20.

    Args:
      samples: `[..., N, A]`.
      neighbours: k, less than N; more of them err more and vary less.
      smallest: Distances below this one count as this one. Many samples in one dimension lie closer.
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
        # The first neighbour is the sample itself.
        distance = cKDTree(points).query(points, neighbours + 1, workers=-1)[0][:, -1]
        # Samples that coincide give a low entropy, and not −∞.
        spread = np.log(np.maximum(distance, smallest)).mean()
        entropies.append(digamma(num) - digamma(neighbours) + log_ball + size * spread)
    return np.array(entropies).reshape(batch)
