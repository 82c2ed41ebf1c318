"""How a density on the box [−1, 1]² compares with another one, by quadrature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class DensityComparison(NamedTuple):
    """Numbers of a policy's density π beside a target's π*, all integrals over the box.

    Attributes:
      mass: ∫ π, which is 1 but for the error of the quadrature.
      correlation: Correlation of the two components of a ~ π.
      std_1, std_2: Standard deviations of the components.
      left_mass: P[a₁ < 0].
      kl_to_target: KL[π ‖ π*], nats; what maximizing reward and entropy minimizes.
      kl_from_target: KL[π* ‖ π], nats; large where π leaves out what π* covers.
      expected_reward: E_π[r].
      entropy: H[π], nats.
    """

    mass: float
    correlation: float
    std_1: float
    std_2: float
    left_mass: float
    kl_to_target: float
    kl_from_target: float
    expected_reward: float
    entropy: float


def compare_densities(
    log_prob: np.ndarray,
    target_log_prob: np.ndarray,
    reward: np.ndarray,
    points: np.ndarray,
    weights: np.ndarray,
) -> DensityComparison:
    """Compares two densities given at the points of a quadrature rule.

    Args:
      log_prob: log π at the points, `[n]`.
      target_log_prob: log π* at the points, `[n]`.
      reward: r at the points, `[n]`.
      points: `[n, 2]`.
      weights: `[n]`, which sum to the area.
    """
    log_prob = np.asarray(log_prob, np.float64)
    share = weights * np.exp(log_prob)
    target_share = weights * np.exp(target_log_prob)
    mass = share.sum()
    mean = share @ points / mass
    centred = points - mean
    covariance = np.einsum("n,ni,nj->ij", share / mass, centred, centred)
    stds = np.sqrt(np.diag(covariance))
    # 0·log 0 = 0, also where float32 rounds a density to 0.
    finite = np.where(share > 0, log_prob, 0.0)
    return DensityComparison(
        mass=float(mass),
        correlation=float(covariance[0, 1] / (stds[0] * stds[1])),
        std_1=float(stds[0]),
        std_2=float(stds[1]),
        left_mass=float(share[points[:, 0] < 0].sum()),
        kl_to_target=float(np.sum(share * (finite - target_log_prob))),
        kl_from_target=float(np.sum(target_share * (target_log_prob - log_prob))),
        expected_reward=float(np.sum(share * reward)),
        entropy=float(-np.sum(share * finite)),
    )


def region_levels(log_prob: np.ndarray, shares: Sequence[float] = (0.25, 0.5, 0.75, 0.95)) -> list[float]:
    """Returns the densities, in ascending order, above which these shares of the mass lie.

    Args:
      log_prob: log π at points of equal weight, of any shape.
      shares: Shares of the mass, in (0, 1): those that the highest-density regions hold.
    """
    density = np.sort(np.exp(log_prob).ravel())[::-1]
    held = np.cumsum(density) / density.sum()
    return sorted(float(density[np.searchsorted(held, share)]) for share in shares)


class Spread(NamedTuple):
    """Trace of the samples' covariance, and the radius about their mean within which 99 % of them lie."""

    covariance_trace: float
    radius_99: float


def spread(samples: np.ndarray) -> Spread:
    """Returns the spread of samples `[n, A]`."""
    trace = np.trace(np.atleast_2d(np.cov(samples, rowvar=False)))
    radius = np.quantile(np.linalg.norm(samples - samples.mean(axis=0), axis=-1), 0.99)
    return Spread(float(trace), float(radius))
