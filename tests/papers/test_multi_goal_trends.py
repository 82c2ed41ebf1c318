"""Numbers of runs with several goals against the temperature."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest

from expol_tf.diagnostics import soft_value_iteration
from expol_tf.papers import make_figure
from expol_tf.papers.multi_goal import examination as multi_goal
from expol_tf.papers.multi_goal import trends as multi_goal_trends
from expol_tf.papers.multi_goal.examination import Extent, best_of, examine, goal_run
from expol_tf.reports import find_runs
from tests.papers.goal_runs import write_run

SMALL = Extent(episodes=20, oracle_episodes=40, map_nodes=5, samples=16, states=10, q_nodes=9)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Coarse optima and few episodes."""
    monkeypatch.setattr(multi_goal, "EXTENT", SMALL)
    monkeypatch.setattr(
        multi_goal, "soft_value_iteration", lambda *world: soft_value_iteration(*world, 29, 8)
    )


def write_runs(directory):
    for experiment, std in (("sql", 0.1), ("sac", 0.3)):
        for temperature in (1.0, 5.0):
            for seed in (0, 1):
                place = directory / experiment / "expol-MultiGoal-v0" / f"temperature={temperature:g}"
                write_run(place / f"seed{seed}", seed=seed, temperature=temperature, std=std, gamma=0.8)


def examined_in(directory):
    runs = [goal_run(run) for run in find_runs([directory]).runs]
    best = {run.temperature: best_of(run) for run in runs}
    return [examine(run, best[run.temperature]) for run in runs]


def test_the_figure_of_a_sweep_over_temperatures(tmp_path):
    write_runs(tmp_path / "runs")
    figure = make_figure("multigoal", tmp_path / "out", root_dirs=[tmp_path / "runs"])
    picture = tmp_path / "out" / "multigoal_trends.png"
    assert picture in figure.files and matplotlib.image.imread(picture).std() > 0.05


def test_a_line_for_each_algorithm_with_the_means_over_seeds(tmp_path):
    write_runs(tmp_path)
    examined = examined_in(tmp_path)
    assert multi_goal_trends.comparable(examined)
    assert not multi_goal_trends.comparable([each for each in examined if each.run.temperature == 1.0])
    drawn = multi_goal_trends.trends(examined)
    returns = next(axes for axes in drawn.axes if axes.get_title() == "return")
    *lines, optimum = (line.get_ydata() for line in returns.get_lines())
    names = list(dict.fromkeys(each.run.run.experiment.split(" ")[0].rstrip(",") for each in examined))
    assert sorted(names) == ["sac", "sql"] and len(lines) == 2
    for line, name in zip(lines, names, strict=True):
        for value, temperature in zip(line, (1.0, 5.0), strict=True):
            group = [
                each.learned.numbers.return_mean
                for each in examined
                if each.run.run.experiment.startswith(name) and each.run.temperature == temperature
            ]
            assert len(group) == 2
            assert np.isclose(value, np.mean(group))
    assert list(optimum) == [
        next(each.optimal.numbers.return_mean for each in examined if each.run.temperature == alpha)
        for alpha in (1.0, 5.0)
    ]


def test_the_left_share_counts_episodes_that_reach_a_goal(tmp_path):
    write_run(tmp_path / "sql" / "expol-MultiGoal-v0" / "seed0")
    (each,) = examined_in(tmp_path)
    shares = np.array([0.1, 0.3, 0.1, 0.1])  # Goals (5, 0), (−5, 0), (0, 5), (0, −5).
    numbers = each.learned.numbers._replace(goal_shares=shares)
    behaviour = each.learned._replace(numbers=numbers)
    assert np.isclose(multi_goal_trends.left_share(each, behaviour), 0.5)
    assert multi_goal_trends.least_goal(each, behaviour) == 0.1
    none = each.learned._replace(numbers=numbers._replace(goal_shares=np.zeros(4)))
    assert np.isnan(multi_goal_trends.left_share(each, none))
