"""Curves of runs: returns over steps, smoothed and with bootstrap bands, and over quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expol_tf.errors import ConfigurationError
from expol_tf.runs import Episodes

WINDOW = 100
LEVEL = 0.95


def smoothed_returns(episodes: Episodes, window: int = WINDOW) -> np.ndarray:
    """Returns at each row the mean return of the last `window` episodes, or of all so far: [R].

    A row holds a mean over its episodes, each of which therefore counts as that mean; of the oldest row only
    as many count as are needed.
    """
    ended = np.concatenate([[0.0], np.cumsum(episodes.count)])
    total = np.concatenate([[0.0], np.cumsum(episodes.count * episodes.return_mean)])
    first = np.maximum(ended[1:] - window, 0.0)
    # The sum over the first n episodes is linear in n within a row.
    return (total[1:] - np.interp(first, ended, total)) / (ended[1:] - first)


def value_at(env_step: np.ndarray, values: np.ndarray, limit: float) -> float:
    """Returns the last of `values` [R] at or before step `limit`; NaN if there is none."""
    index = int(np.searchsorted(env_step, limit, side="right"))
    return float(values[index - 1]) if index else float("nan")


def common_grid(starts: list[float], ends: list[float], points: int = 200) -> np.ndarray:
    """Returns `points` equidistant steps from the latest start to the earliest end; one if that is all."""
    start, end = max(starts), min(ends)
    return np.linspace(start, end, points) if end > start else np.array([float(end)])


def bootstrap_band(
    curves: np.ndarray, repetitions: int, rng: np.random.Generator, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the percentile interval of the mean over runs, pointwise: low and high, both [P].

    A resample takes N of the N runs, with replacement, each as a whole curve.

    Args:
      curves: [N, P] values of N runs.
      repetitions: How many resamples.
      rng: Draws them.
      level: Coverage.

    Raises:
      ConfigurationError: `repetitions` is not positive.
    """
    if repetitions < 1:
        raise ConfigurationError(f"repetitions must be positive; got {repetitions}.")
    number = len(curves)
    # The number of times that a resample has each run is all that its mean needs.
    counts = rng.multinomial(number, np.full(number, 1 / number), size=repetitions)
    means = counts @ curves / number
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def quantile_curve(returns: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns (levels, sorted returns), both [N]: the i-th smallest of N is the (i − ½)/N quantile."""
    values = np.sort(np.asarray(returns, float))
    return (np.arange(len(values)) + 0.5) / max(len(values), 1), values


def as_numbers(values: Sequence[str]) -> np.ndarray | None:
    """Returns the values of a parameter as numbers [N]; None if one of them is no finite number."""
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
