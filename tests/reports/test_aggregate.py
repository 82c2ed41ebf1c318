"""rliable's aggregates against numbers worked out by hand, and intervals against a loop."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from expol_tf.errors import ConfigurationError, DependencyError
from expol_tf.reports import aggregate, curves

# Two runs (rows) of four tasks (columns).
X = np.array([[0.0, 0.2, 0.4, 1.6], [0.2, 0.4, 0.8, 2.0]])
# Three runs of the same.
Y = np.array([[0.1, 0.2, 0.9, 1.0], [0.1, 0.3, 0.9, 1.7], [0.1, 0.5, 0.9, 3.0]])


@pytest.fixture(scope="module", name="metrics")
def fixture_metrics():
    return aggregate.aggregate_metrics({"x": X}, 2000, seed=0)


@pytest.mark.parametrize(
    ("metric", "by_hand"),
    [
        # Task means 0.1, 0.3, 0.6, 1.8.
        ("median", 0.45),
        ("mean", 0.7),
        # Sorted: 0 .2 | .2 .4 .4 .8 | 1.6 2.
        ("IQM", 0.45),
        # 1 minus the mean of 0 .2 .4 1 .2 .4 .8 1.
        ("optimality gap", 0.5),
    ],
)
def test_metrics_by_hand(metrics, metric, by_hand):
    estimate = metrics[metric]["x"]
    assert estimate.value == pytest.approx(by_hand)
    assert estimate.low < by_hand < estimate.high


@pytest.mark.parametrize("runs", [1, 2, 3, 5, 30])
def test_the_interquartile_mean_is_rliables(runs):
    from rliable import metrics

    scores = np.random.default_rng(runs).normal(size=(runs, 3, 4))
    expected = [metrics.aggregate_iqm(scores[..., point]) for point in range(4)]
    np.testing.assert_allclose(aggregate.interquartile_means(scores), expected)


def test_the_probability_of_improvement_by_hand():
    found = aggregate.improvement_probabilities({"x": X, "y": Y}, 500, seed=0)
    # By task, of 2 × 3 pairs; a tie is half a win.
    by_task = []
    for task in range(4):
        wins = [float(x > y) + 0.5 * float(x == y) for x in X[:, task] for y in Y[:, task]]
        by_task.append(sum(wins) / 6)
    assert by_task == pytest.approx([0.5, 2.5 / 6, 0.0, 0.5])
    assert list(found) == [("x", "y")]
    assert found["x", "y"].value == pytest.approx(np.mean(by_task))
    assert 0 <= found["x", "y"].low < found["x", "y"].value < found["x", "y"].high <= 1


def test_the_probability_of_improvement_is_rliables():
    from rliable import metrics

    rng = np.random.default_rng(0)
    # Rounded, so that some are ties.
    x, y = rng.normal(size=(6, 3)).round(1), rng.normal(0.3, 1, size=(4, 3)).round(1)
    found = aggregate.improvement_probabilities({"x": x, "y": y}, 10, seed=0)
    assert found["x", "y"].value == pytest.approx(metrics.probability_of_improvement(x, y))


def test_profiles_by_hand():
    found = aggregate.performance_profiles({"x": X}, np.array([-1.0, 0.3, 0.4, 2.0]), 200, seed=0)
    np.testing.assert_allclose(found["x"].value, [1.0, 5 / 8, 3 / 8, 0.0])
    assert (found["x"].low <= found["x"].value).all() and (found["x"].value <= found["x"].high).all()


def test_thresholds_hold_all_scores():
    thresholds = aggregate.thresholds_between({"x": X, "y": Y - 1})
    assert thresholds[0] == pytest.approx(-0.9) and thresholds[-1] == pytest.approx(2.0)


def test_intervals_are_those_of_a_slow_stratified_bootstrap():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5, 3)) + [0, 5, 10]
    means = []
    for _ in range(6000):
        # Every task draws its own runs.
        columns = [[scores[rng.integers(5), task] for _ in range(5)] for task in range(3)]
        means.append(np.mean(columns))
    estimate = aggregate.aggregate_metrics({"x": scores}, 6000, seed=1)["mean"]["x"]
    width = estimate.high - estimate.low
    expected = np.percentile(means, [2.5, 97.5])
    np.testing.assert_allclose([estimate.low, estimate.high], expected, atol=0.06 * width)


def test_the_sample_efficiency_is_the_iqm_at_every_step():
    scores = np.stack([X, 2 * X, X - 1], axis=-1)
    found = aggregate.sample_efficiency({"x": scores}, 300, seed=0)["x"]
    np.testing.assert_allclose(found.value, [0.45, 0.9, -0.55])
    assert found.low.shape == found.high.shape == (3,)


def test_seeds_decide_and_numpys_generator_stays():
    np.random.seed(7)
    state = np.random.get_state()[1].copy()
    first = aggregate.aggregate_metrics({"x": X}, 50, seed=1)
    assert (np.random.get_state()[1] == state).all()
    assert aggregate.aggregate_metrics({"x": X}, 50, seed=1) == first
    assert aggregate.aggregate_metrics({"x": X}, 50, seed=2) != first


def test_one_run_has_no_interval():
    estimate = aggregate.aggregate_metrics({"x": X[:1]}, 50, seed=0)["mean"]["x"]
    assert estimate.low == estimate.high == pytest.approx(estimate.value)


def test_resamples_must_be_some():
    with pytest.raises(ConfigurationError, match="repetitions must be positive; got 0"):
        aggregate.aggregate_metrics({"x": X}, 0, seed=0)


def test_matrices_take_as_many_runs_as_every_task_has():
    scores = {("a", "x"): [1.0, 2.0, 3.0], ("b", "x"): [4.0, 5.0], ("a", "y"): [6.0], ("b", "y"): [7.0]}
    arrays = {key: [np.array(value) for value in values] for key, values in scores.items()}
    matrices, numbers = aggregate.score_matrices(arrays, ["a", "b"], ["x", "y"])
    assert numbers == {"x": 2, "y": 1}
    assert matrices["x"].tolist() == [[1.0, 4.0], [2.0, 5.0]] and matrices["y"].tolist() == [[6.0, 7.0]]


def test_quantiles():
    levels, values = curves.quantile_curve([3.0, 1.0, 2.0, 9.0])
    assert levels.tolist() == [0.125, 0.375, 0.625, 0.875] and values.tolist() == [1.0, 2.0, 3.0, 9.0]


def test_parameters_are_numbers_or_not():
    assert curves.as_numbers(["1e-3", "2"]).tolist() == [0.001, 2.0]
    assert curves.as_numbers(["1e-3", "(64, 64)"]) is None
    assert curves.as_numbers(["inf"]) is None


def test_a_broken_rliable_is_one_message(monkeypatch):
    # None in sys.modules is what Python takes for a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "rliable", None)
    with pytest.raises(DependencyError, match="need rliable, which cannot be imported here.*pandas<3"):
        aggregate.aggregate_metrics({"x": X}, 50, seed=0)
