"""What densities report on the task with three goals: the experiment's critic and sampler, and the figure."""

from __future__ import annotations

import csv
import math

import gin
import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf

from expol_tf.cli.commands.figures import figures_main
from expol_tf.distributions import SteinSampler
from expol_tf.papers.entropy import calibration, goal_calibration


def test_the_figure_end_to_end(tmp_path, monkeypatch, capsys):
    for name, value in {"FEW": 400, "MANY": 1_000, "DETERMINED": 40}.items():
        monkeypatch.setattr(calibration, name, value)
    asked = []

    def trained(alpha, steps, seed):
        asked.append((alpha, steps, seed))
        return calibration.known_targets()[0], SteinSampler(4, 2)

    monkeypatch.setattr(goal_calibration, "trained_goal_critic", trained)
    arguments = ("--num_seeds=1", "--seed=3", "--iterations=520")
    assert figures_main(["figures", "--figure=goal_calibration", f"--output_dir={tmp_path}", *arguments]) == 0
    assert asked == [(alpha, 520, 3) for alpha in (0.2, 1.0, 5.0)]
    with (tmp_path / "goal_calibration.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["size"], row["num_particles"], row["start_std"]) for row in rows] == [("2", "4", "0.85")] * 3
    assert all(math.isfinite(float(row[density])) for row in rows for density in calibration.DENSITIES)
    picture = matplotlib.image.imread(tmp_path / "goal_calibration.png")
    assert picture.shape[1] > 300 and picture[..., :3].std() > 0.01
    assert f"| 0.2 | {float(rows[0]['joint_trace']):.2f} |" in capsys.readouterr().out


@pytest.mark.slow
def test_the_critic_and_the_sampler_are_the_experiments(capsys):
    target, sampler = goal_calibration.trained_goal_critic(1.0, 1_050, seed=0)
    assert (sampler.num_particles, sampler.num_sampler_steps, sampler.step_size) == (10, 10, 0.05)
    assert sampler.density_change == "printed"
    u = tf.random.stateless_normal([calibration.NUM_STATES, 6, 2], [0, 1])
    score = target.score(u, 1.0)
    assert score.shape == u.shape and np.isfinite(score).all()
    assert len(np.unique(score.numpy()[:, 0, 0])) == calibration.NUM_STATES
    assert not gin.config_str().strip()
    assert "1,000 / 1,050" in capsys.readouterr().out
