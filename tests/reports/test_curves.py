"""Smoothing, common steps and bootstrap bands, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from expol_tf.errors import ConfigurationError
from expol_tf.reports import curves
from expol_tf.runs import Episodes


def slow_smoothing(episodes, window):
    """Every episode as an entry of a list, and the mean of its end."""
    each, means = [], []
    for value, count in zip(episodes.return_mean, episodes.count, strict=True):
        each += [value] * int(count)
        means.append(np.mean(each[-window:]))
    return np.array(means)


@pytest.mark.parametrize("window", [1, 7, 100])
def test_smoothing_is_the_mean_of_the_last_episodes(window):
    rng = np.random.default_rng(0)
    count = rng.integers(1, 30, size=25)
    episodes = Episodes(np.arange(25.0), rng.normal(size=25), count.astype(float))
    expected = slow_smoothing(episodes, window)
    np.testing.assert_allclose(curves.smoothed_returns(episodes, window), expected, atol=1e-12)


def test_only_as_many_of_the_oldest_row_count_as_are_needed():
    episodes = Episodes(np.array([1.0, 2.0]), np.array([0.0, 10.0]), np.array([80.0, 60.0]))
    # 60 of return 10 and 40 of return 0.
    assert curves.smoothed_returns(episodes)[1] == pytest.approx(6.0)


def test_the_final_return_is_of_episodes_that_ended_by_then():
    episodes = Episodes(np.array([10.0, 20.0, 30.0]), np.array([1.0, 2.0, 3.0]), np.full(3, 100.0))
    values = curves.smoothed_returns(episodes)
    assert curves.value_at(episodes.env_step, values, 29) == 2.0
    assert curves.value_at(episodes.env_step, values, 30) == 3.0
    assert np.isnan(curves.value_at(episodes.env_step, values, 9))


def test_the_grid_is_where_all_runs_have_values():
    grid = curves.common_grid([10.0, 20.0], [100.0, 60.0], 5)
    np.testing.assert_allclose(grid, [20, 30, 40, 50, 60])
    np.testing.assert_allclose(curves.common_grid([30.0], [30.0]), [30])


def slow_band(values, repetitions, rng):
    means = []
    for _ in range(repetitions):
        drawn = [values[rng.integers(len(values))] for _ in values]
        means.append([sum(column) / len(drawn) for column in zip(*drawn, strict=True)])
    return np.percentile(means, 2.5, axis=0), np.percentile(means, 97.5, axis=0)


def test_the_band_is_that_of_a_slow_bootstrap():
    values = np.random.default_rng(1).normal(size=(6, 4)) * [1.0, 2.0, 0.1, 5.0]
    low, high = curves.bootstrap_band(values, 20_000, np.random.default_rng(2))
    slow_low, slow_high = slow_band(values, 8_000, np.random.default_rng(3))
    # The quantiles' own noise is about 2 % of a standard error at these numbers.
    tolerance = 0.08 * values.std(axis=0) / np.sqrt(len(values))
    assert (np.abs(low - slow_low) < tolerance).all() and (np.abs(high - slow_high) < tolerance).all()


def test_the_band_of_two_runs_is_the_two_runs():
    # Means are a, (a+b)/2, b with probabilities 1/4, 1/2, 1/4.
    low, high = curves.bootstrap_band(np.array([[0.0, 5.0], [1.0, 3.0]]), 2000, np.random.default_rng(0))
    np.testing.assert_allclose([low, high], [[0.0, 3.0], [1.0, 5.0]])


def test_a_bootstrap_needs_resamples():
    with pytest.raises(ConfigurationError, match="repetitions must be positive; got 0"):
        curves.bootstrap_band(np.zeros((2, 2)), 0, np.random.default_rng(0))
