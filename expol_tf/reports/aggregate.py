"""rliable's aggregates over tasks and seeds, with stratified bootstrap confidence intervals.

Scores are normalized returns, [runs, tasks] an experiment (Agarwal et al. 2021, "Deep Reinforcement Learning
at the Edge of the Statistical Precipice"). A resample draws, for every task, as many of its runs as it has;
there are `repetitions` of them, drawn by `seed`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from expol_tf.errors import ConfigurationError, DependencyError

METRICS = ("median", "IQM", "mean", "optimality gap")
Scores = Mapping[str, np.ndarray]


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval; numbers, or arrays of one shape."""

    value: Any
    low: Any
    high: Any


class Curves(NamedTuple):
    """What is estimated along an axis.

    Attributes:
      x: `[P]` thresholds or environment steps.
      estimates: Experiment → estimate of arrays `[P]`.
    """

    x: np.ndarray
    estimates: Mapping[str, Estimate]


def aggregate_metrics(scores: Scores, repetitions: int, seed: int) -> dict[str, dict[str, Estimate]]:
    """Returns metric → experiment → estimate of `METRICS`.

    The median and the mean are over tasks of the mean over runs; the interquartile mean is over the middle
    half of all runs and tasks; the optimality gap is how far they stay below 1 on average.
    """
    _, metrics = _rliable()

    def all_metrics(values: np.ndarray) -> np.ndarray:
        return np.array(
            [
                metrics.aggregate_median(values),
                # rliable's own takes six times as long as the rest together.
                interquartile_means(values[..., np.newaxis])[0],
                metrics.aggregate_mean(values),
                metrics.aggregate_optimality_gap(values),
            ]
        )

    estimates = _estimates(scores, all_metrics, repetitions, seed)
    return {
        metric: {name: _entry(estimate, index) for name, estimate in estimates.items()}
        for index, metric in enumerate(METRICS)
    }


def improvement_probabilities(scores: Scores, repetitions: int, seed: int) -> dict[tuple[str, str], Estimate]:
    """Returns (x, y) → P(a run of x has a higher score than one of y), ties counting half, mean over tasks.

    Every pair of experiments is compared once.
    """
    pairs = {(x, y): (scores[x], scores[y]) for x, y in itertools.combinations(scores, 2)}
    estimates = _estimates(pairs, lambda x, y: np.array([_improvement(x, y)]), repetitions, seed)
    return {pair: _entry(estimate, 0) for pair, estimate in estimates.items()}


def performance_profiles(
    scores: Scores, thresholds: np.ndarray, repetitions: int, seed: int
) -> dict[str, Estimate]:
    """Returns experiment → share of all runs and tasks with a score above each of `thresholds` [P]."""

    def shares(values: np.ndarray) -> np.ndarray:
        # rliable's own loops over thresholds in Python, 2,000 times.
        return np.mean(values[..., np.newaxis] > thresholds, axis=(0, 1))

    return _estimates(scores, shares, repetitions, seed)


def sample_efficiency(scores: Scores, repetitions: int, seed: int) -> dict[str, Estimate]:
    """Returns experiment → interquartile mean at every step, [P], of scores [runs, tasks, P]."""
    return _estimates(scores, interquartile_means, repetitions, seed)


def interquartile_means(scores: np.ndarray) -> np.ndarray:
    """Returns the mean of the middle half of all runs and tasks at every step: [runs, tasks, P] → [P]."""
    ordered = np.sort(scores.reshape(-1, scores.shape[-1]), axis=0)
    cut = len(ordered) // 4
    return ordered[cut : len(ordered) - cut].mean(axis=0)


def thresholds_between(scores: Scores, points: int = 101) -> np.ndarray:
    """Returns equidistant thresholds for `performance_profiles` from the lowest to the highest score."""
    every = np.concatenate([np.ravel(values) for values in scores.values()])
    low, high = min(0.0, float(every.min())), max(1.0, float(every.max()))
    return np.linspace(low, high, points)


def _improvement(x: np.ndarray, y: np.ndarray) -> float:
    """rliable's probability of improvement: Mann and Whitney's U over the number of pairs is their mean."""
    x, y = x[:, np.newaxis], y[np.newaxis]
    return float(np.mean(x > y) + 0.5 * np.mean(x == y))


def _estimates(
    scores: Mapping[Any, Any], statistic: Callable[..., np.ndarray], repetitions: int, seed: int
) -> dict[Any, Estimate]:
    if repetitions < 1:
        raise ConfigurationError(f"repetitions must be positive; got {repetitions}.")
    with _seeded(seed):
        library, _ = _rliable()
        values, intervals = library.get_interval_estimates(scores, statistic, reps=repetitions)
    return {name: Estimate(values[name], *intervals[name]) for name in scores}


def _entry(estimate: Estimate, index: int) -> Estimate:
    """An entry of an estimate of arrays."""
    return Estimate(*(float(array[index]) for array in estimate))


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """rliable draws from NumPy's global generator; it is the caller's again afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def _rliable() -> tuple[Any, Any]:
    """rliable's `library` and `metrics`; imported here, as that takes seconds."""
    try:
        from rliable import library, metrics
    # arch, which it needs, fails with a TypeError beside a pandas it does not know.
    except Exception as error:
        raise DependencyError(
            f"the report's aggregates need rliable, which cannot be imported here ({error}). "
            "Run: pip install 'expol-tf[reports]' 'pandas<3'"
        ) from error
    return library, metrics


def score_matrices(
    returns: Mapping[tuple[str, str], Sequence[np.ndarray]], tasks: Sequence[str], experiments: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Returns the scores as [runs, tasks, ...] an experiment, and how many runs of a task each of them has.

    Runs are a rectangle for rliable: where an experiment has more of them on one task than on another, those
    with the lowest seeds are taken.

    Args:
      returns: (task, experiment) → the scores of its runs, by seed, of one shape.
      tasks: The tasks.
      experiments: The experiments, each with runs on every task.
    """
    matrices, numbers = {}, {}
    for experiment in experiments:
        number = min(len(returns[task, experiment]) for task in tasks)
        columns = [np.stack(list(returns[task, experiment])[:number]) for task in tasks]
        matrices[experiment], numbers[experiment] = np.stack(columns, axis=1), number
    return matrices, numbers
