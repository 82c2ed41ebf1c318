"""Runs on the tasks with several goals beside their optimum: numbers, files, pictures, mistakes."""

from __future__ import annotations

import csv
import math

import matplotlib.image
import numpy as np
import pytest

from expol_tf.cli.commands.figures import figures_main
from expol_tf.diagnostics import EpisodeNumbers, soft_value_iteration
from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.papers import RunOptions, make_figure
from expol_tf.papers.multi_goal import examination as multi_goal
from expol_tf.papers.multi_goal import optima as multi_goal_optima
from expol_tf.papers.multi_goal.examination import Extent, best_of, examine, goal_run, load_critic
from expol_tf.papers.multi_goal.table import goal_distance
from expol_tf.reports import find_runs
from tests.papers.goal_runs import write_run

SMALL = Extent(episodes=40, oracle_episodes=60, map_nodes=5, samples=16, states=10, q_nodes=9)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Coarse optima and few episodes."""
    monkeypatch.setattr(multi_goal, "EXTENT", SMALL)
    monkeypatch.setattr(
        multi_goal, "soft_value_iteration", lambda *world: soft_value_iteration(*world, 29, 8)
    )


def run_of(directory):
    (run,) = find_runs([directory]).runs
    return run


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_a_run_s_record_says(tmp_path):
    run = run_of(write_run(tmp_path / "sql" / "expol-MultiGoal-v0" / "seed3", seed=3, gamma=0.99))
    found = goal_run(run)
    assert (found.discount, found.temperature, found.max_steps) == (0.99, 10.0, 30)
    assert found.physics is found.test and found.physics.wall is None and found.name == "sql, seed 3"
    walled = goal_run(run, temperature=2.0, discount=0.5, obstacle=True)
    assert (walled.discount, walled.temperature) == (0.5, 2.0)
    assert walled.test.wall is not None and walled.physics.wall is None
    kwargs = {"goal_threshold": 2.0, "max_episode_steps": 9}
    other = goal_run(run_of(write_run(tmp_path / "b", temperature=0.0, make_kwargs=kwargs)))
    assert (other.max_steps, other.physics.goal_threshold) == (9, 2.0)
    assert other.temperature == multi_goal.SMALL_TEMPERATURE
    none = goal_run(run_of(write_run(tmp_path / "c", temperature=None)))
    assert none.temperature == multi_goal.SMALL_TEMPERATURE


def test_numbers_of_a_known_policy_and_critic(tmp_path):
    run = goal_run(run_of(write_run(tmp_path / "run")))
    extent = SMALL._replace(samples=128)
    best = best_of(run, 1, extent)
    found = examine(run, best, 1, extent)
    learned = found.learned
    # By the sign of s₁: right or left, and nowhere else; greedily to the right.
    assert learned.numbers.any_goal == 1.0 and learned.numbers.goal_shares[2:].sum() == 0
    assert 0.2 < learned.numbers.goal_shares[0] < 0.8
    assert (found.greedy.goal == 0).all() and (found.greedy.actions[:, 0] == [np.float32(0.6), 0]).all()
    np.testing.assert_array_equal(found.greedy.states[:, 0], learned.episodes.states[:, 0])
    states, actions = learned.episodes.visited()
    gradient = np.abs(-60 * np.clip(actions, -0.9, 0.9) + [8, 0]).sum(axis=1) / 2
    assert learned.gradient == pytest.approx(gradient.mean(), rel=1e-3)
    assert learned.curvature == pytest.approx(120 / 4, rel=1e-2)
    assert learned.curvature_map == pytest.approx(np.full((5, 5), 30.0), rel=1e-2)
    gaussian = math.log(2 * math.pi * math.e * 0.2**2)
    assert learned.entropy == pytest.approx(gaussian, abs=0.15)
    nodes = np.linspace(-1, 1, 9)
    expected = -30 * (nodes[:, np.newaxis] ** 2 + nodes**2) + 8 * nodes[:, np.newaxis]
    np.testing.assert_allclose(learned.q_values, [expected] * 3, atol=1e-4)
    assert learned.q_actions[0, :, 0].mean() == pytest.approx(-0.6, abs=0.1)  # at s₁ = −2.5
    assert found.optimal.numbers.return_mean > learned.numbers.return_mean - 100
    again = examine(run, best_of(run, 1, extent), 1, extent)
    np.testing.assert_array_equal(again.learned.episodes.states, learned.episodes.states)
    assert again.optimal.entropy == found.optimal.entropy


def test_a_critic_is_read_where_there_is_one(tmp_path):
    critic = load_critic(write_run(tmp_path / "a"))
    values = critic(np.zeros((3, 2)), np.array([[0.5, 0.0], [0.0, 0.5], [0.0, 0.0]]))
    np.testing.assert_allclose(values, [-3.5, -7.5, 0.0])
    assert load_critic(write_run(tmp_path / "b", critic=False)) is None


def test_one_run_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    write_run(tmp_path / "runs" / "seed0")
    assert figures_main(["figures", "--figure=multigoal", "--root_dir=runs/seed0"]) == 0
    printed = capsys.readouterr()
    assert "runs/seed0/figures/multigoal.csv" in printed.out and "| run | α |" in printed.out
    assert "multigoal: 1 / 1 parts (100%) | seed0, seed 0: return" in printed.err
    (row,) = rows_of(tmp_path / "runs" / "seed0" / "figures" / "multigoal.csv")
    assert (row["temperature"], row["discount"], row["episodes"], row["obstacle"]) == (
        "10",
        "0.9",
        "40",
        "False",
    )
    number = {name: float(value) for name, value in row.items() if name.startswith(("goal", "return"))}
    assert sum(number[f"goal_{i}"] for i in range(4)) == pytest.approx(float(row["any_goal"]), abs=1e-6)
    ratio = float(row["return_mean"]) / float(row["oracle_return_mean"])
    assert number["return_ratio"] == pytest.approx(ratio, rel=1e-4)
    assert row["greedy_goal_0"] == "1" and float(row["m2"]) == pytest.approx(30, rel=1e-2)
    assert row["success_after_hit"] == ""  # There is no wall.
    # The last two of twenty rows.
    assert float(row["reported_entropy"]) == pytest.approx(1.95) and "| 1.95 |" in printed.out
    picture = matplotlib.image.imread(tmp_path / "runs" / "seed0" / "figures" / "multigoal.png")
    assert min(picture.shape[:2]) > 600 and picture[..., :3].std() > 0.05


def test_several_runs_and_the_wall(tmp_path):
    write_run(tmp_path / "runs" / "a")
    write_run(tmp_path / "runs" / "b", "expol/AsymmetricMultiGoal-v0", critic=False, temperature=None)
    out = tmp_path / "out"
    figure = make_figure(
        "multigoal", out, root_dirs=[tmp_path / "runs"], run_options=RunOptions(obstacle=True)
    )
    assert [path.name for path in figure.files] == [
        "multigoal.csv",
        "multigoal.png",
        "multigoal_1_a_seed_0.png",
        "multigoal_2_b_seed_0.png",
    ]
    assert all(path.stat().st_size > 1000 for path in figure.files)
    first, second = rows_of(out / "multigoal.csv")
    assert (first["goal_3"] != "", second["goal_3"], second["m1"]) == (True, "", "")
    assert float(second["oracle_m1"]) > 0 and second["temperature"] == "0.1"
    assert second["reported_entropy"] == ""
    assert {first["obstacle"], second["obstacle"]} == {"True"}
    names = list(first)
    assert names.index("goal_3") == names.index("goal_2") + 1
    assert len(figure.table.splitlines()) == 4 and "success after a hit" in figure.table


def test_goal_distance_is_that_of_distributions():
    def numbers(*shares):
        return EpisodeNumbers(np.array(shares), sum(shares), 0.0, 0.0, 0.0, 0.0, 0.0)

    assert goal_distance(numbers(0.5, 0.5), numbers(0.5, 0.5)) == 0
    assert goal_distance(numbers(1.0, 0.0), numbers(0.0, 1.0)) == 1
    assert goal_distance(numbers(0.5, 0.2), numbers(0.5, 0.5)) == pytest.approx(0.3)


def test_mistakes_are_named(tmp_path):
    def figure(*runs, output=None, **options):
        return make_figure("multigoal", output, root_dirs=runs, run_options=RunOptions(**options))

    with pytest.raises(ConfigurationError, match="--root_dir must name a directory with runs; got none"):
        figure(output=tmp_path / "x")
    with pytest.raises(ConfigurationError, match="--output_dir must name .* 2 --root_dir"):
        figure(tmp_path, tmp_path)
    with pytest.raises(RunDirectoryError, match="there is no directory"):
        figure(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match="num_seeds and iterations are not for multigoal"):
        make_figure("multigoal", tmp_path, num_seeds=3, root_dirs=[tmp_path])
    pendulum = write_run(tmp_path / "pendulum", "Pendulum-v1")
    with pytest.raises(ConfigurationError, match=r"must hold runs of expol/MultiGoal-v0 or .*Pendulum-v1"):
        figure(pendulum)
    unknown = write_run(tmp_path / "unknown", gamma=None)
    with pytest.raises(ConfigurationError, match="--discount must be given: .* has no gamma"):
        figure(unknown)
    no_policy = write_run(tmp_path / "bare")
    (no_policy / "policy" / "saved_model.pb").unlink()
    with pytest.raises(RunDirectoryError, match="policy is damaged .it has no saved_model.pb"):
        figure(no_policy)
    with pytest.raises(ConfigurationError, match="temperature must be positive"):
        figure(no_policy, temperature=-1.0)
    with pytest.raises(ConfigurationError, match="--root_dir is for figures of runs"):
        make_figure("kl_ball", tmp_path, run_options=RunOptions(obstacle=True))


def test_the_optima_s_figure(tmp_path, monkeypatch):
    few = [world._replace(temperatures=world.temperatures[-1:]) for world in multi_goal_optima.WORLDS]
    monkeypatch.setattr(multi_goal_optima, "WORLDS", tuple(few))
    monkeypatch.setattr(
        multi_goal_optima, "soft_value_iteration", lambda *world: soft_value_iteration(*world, 29, 10)
    )
    figure = make_figure("multigoal_optima", tmp_path, iterations=150)
    four, three = rows_of(tmp_path / "multigoal_optima.csv")
    assert (four["temperature"], three["temperature"], three["goal_3"]) == ("10", "20", "")
    assert float(four["any_goal"]) > 0.95 and float(three["any_goal"]) < 0.5
    assert float(four["m1"]) > 0 and float(three["hit_share"]) > 0.1
    assert len(figure.table.splitlines()) == 4
    assert matplotlib.image.imread(tmp_path / "multigoal_optima.png").shape[0] > 600
