"""The entropy of a squashed policy from its samples alone, and when it counts as the truth."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow_probability as tfp

from expol_tf.diagnostics import nearest_neighbour_entropy

# How `Measured.counted_by` names the two estimates.
NEIGHBOURS, RADIUS = "neighbours", "radius"
# Distances below this count as this.
_SMALLEST = 1e-7
# Components up to which nearest neighbours can tell an entropy.
MOST_COMPONENTS = 6


class Measured(NamedTuple):
    """The entropy of tanh(u), a mean over states, in nats: u's own plus E Σ log(1 − tanh² u).

    (Taken of tanh(u) itself, the nearest-neighbour estimate errs at the edges of the box, by 0.4 nats at A =
    6.)

    Attributes:
      num_samples: Samples that the nearest-neighbour estimate is from.
      nearest_neighbour: That estimate.
      nearest_neighbour_few: The one from a tenth or a quarter of them.
      estimator_error: The estimate of N(0, I) from as many samples, minus the truth.
      marginals: Sum of the marginals' entropies, a bound.
      radial: Entropy of samples turned at random about 0, which follows from their lengths alone. A bound,
        and the entropy itself where all directions are alike.
      uniform: A·log 2, a bound.
      standard_error: Of the mean over states, as if they were drawn; 0 for a single one.
      counted_by: The estimate that counts as the truth, "neighbours" or "radius", because fewer samples say
        the same within 0.02·A, and it is that exact on a Gaussian; empty if none does.
    """

    num_samples: int
    nearest_neighbour: float
    nearest_neighbour_few: float
    estimator_error: float
    marginals: float
    radial: float
    uniform: float
    standard_error: float
    counted_by: str

    @property
    def counted(self) -> bool:
        """Whether the entropy is known."""
        return bool(self.counted_by)

    @property
    def truth(self) -> float:
        """The entropy where it is known, and the least bound where it is not."""
        bound = min(self.marginals, self.radial, self.uniform)
        return min(self.nearest_neighbour, bound) if self.counted_by == NEIGHBOURS else bound

    @property
    def shown(self) -> str:
        """The truth as a cell, with "≤" where it is a bound."""
        return f"{'' if self.counted else '≤ '}{self.truth:.2f}"

    def cells(self) -> dict[str, float | int | str | bool]:
        """Columns of a table."""
        return self._asdict() | {"counted": self.counted, "truth": self.truth}


def measure(
    sample: Callable[[int], np.ndarray],
    size: int,
    count: int,
    again_up_to: int = MOST_COMPONENTS,
    isotropic: bool = False,
) -> Measured:
    """Returns the entropy of samples, from four times as many where the estimates do not agree.

    Args:
      sample: `sample(N)` draws u `[B, N, A]` at B states.
      size: A.
      count: N.
      again_up_to: The A up to which more samples are drawn.
      isotropic: Whether all directions of u are alike, seen from 0, so that its length tells the entropy
        where neighbours do not.
    """
    u = sample(count)
    slopes = np.mean(tfp.bijectors.Tanh().forward_log_det_jacobian(u, event_ndims=1), axis=-1)
    slope = float(np.mean(slopes))
    by_state = _neighbour_entropies(u)
    few = u[:, : count // 10]
    estimates = [float(np.mean(_neighbour_entropies(few))), float(np.mean(by_state))]
    used = count
    if size <= again_up_to and not _agree(size, estimates):
        used *= 4
        estimates = [estimates[-1], float(np.mean(_neighbour_entropies(sample(used))))]
    error = _estimator_error(size, used)
    radial = _mean_radial_entropy(u)
    counted_by = ""
    if _agree(size, estimates) and abs(error) <= 0.02 * size:
        counted_by = NEIGHBOURS
    elif isotropic and _agree(size, [_mean_radial_entropy(few), radial]):
        counted_by = RADIUS
    components = np.moveaxis(u, -1, 0)[..., np.newaxis]
    marginals = nearest_neighbour_entropy(components, smallest=_SMALLEST).sum(axis=0)
    return Measured(
        num_samples=used,
        nearest_neighbour=estimates[1] + slope,
        nearest_neighbour_few=estimates[0] + slope,
        estimator_error=error,
        marginals=float(np.mean(marginals)) + slope,
        radial=radial + slope,
        uniform=size * math.log(2.0),
        standard_error=float(np.std(by_state + slopes) / len(u) ** 0.5),
        counted_by=counted_by,
    )


def _mean_radial_entropy(u: np.ndarray) -> float:
    """The entropy of u `[B, N, A]` turned at random, by its length r, a mean over states:

    H(log r) + A·E log r + log S, with the unit sphere's area S = 2π^(A/2)/Γ(A/2).
    """
    size = u.shape[-1]
    log_radius = np.log(np.maximum(np.linalg.norm(u, axis=-1), _SMALLEST))
    sphere = math.log(2.0) + 0.5 * size * math.log(math.pi) - math.lgamma(0.5 * size)
    of_radius = nearest_neighbour_entropy(log_radius[..., np.newaxis], smallest=_SMALLEST)
    return float(of_radius.mean() + size * log_radius.mean()) + sphere


def _neighbour_entropies(u: np.ndarray) -> np.ndarray:
    """The nearest-neighbour entropies `[B]` of u `[B, N, A]`."""
    # Of components on one scale: where one is ten times as wide as another, neighbours lie along it, and the
    # estimate is too high.
    std = u.std(axis=1, keepdims=True)
    std = np.where(std > 0, std, 1.0)
    return nearest_neighbour_entropy(u / std, smallest=_SMALLEST) + np.log(std).sum(axis=(1, 2))


def _agree(size: int, estimates: list[float]) -> bool:
    return abs(estimates[0] - estimates[1]) <= 0.02 * size


@functools.cache
def _estimator_error(size: int, count: int) -> float:
    # A mean over draws: the error of a single small one is mostly chance.
    draws = max(1, 30_000 // count)
    samples = np.random.default_rng(0).standard_normal([draws, count, size])
    return float(_neighbour_entropies(samples).mean()) - 0.5 * size * math.log(2.0 * math.pi * math.e)
