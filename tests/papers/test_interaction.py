"""How strongly particles act on each other, against a loop, and its figure from end to end."""

from __future__ import annotations

import csv
import math

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf

from expol_tf.cli.commands.figures import figures_main
from expol_tf.distributions import SteinSampler
from expol_tf.papers.entropy import calibration, interaction

FLAT = calibration.known_targets()[0]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name, value in {"FEW": 400, "MANY": 1_000, "DETERMINED": 40}.items():
        monkeypatch.setattr(calibration, name, value)
    monkeypatch.setattr(interaction, "_SETS", 20)


def test_a_row_against_a_loop(monkeypatch):
    samplers = {"mean": SteinSampler(5, 2), "median": SteinSampler(5, 2, bandwidth="median")}
    monkeypatch.setattr(interaction, "VARIANTS", samplers)
    for variant, sampler in samplers.items():
        row = interaction.interact(FLAT, 1.0, variant, seed=3)
        policy = calibration.policy_of(6, 0.61, FLAT, 1.0, sampler)
        u = policy.sample(100, seed=tf.constant([2, 3], tf.int32)).numpy().reshape(20, 5, 6)
        sums, spreads = [], []
        for particles in u.astype(np.float64):
            squares = [((x - y) ** 2).sum() for i, x in enumerate(particles) for y in particles[:i]]
            # docs/samplers.md: h = median / log(M + 1), or mean / (2 log(M + 1)).
            middle = np.median(squares) if variant == "median" else np.mean(squares) / 2
            sums.append(2 * np.exp(-np.array(squares) * math.log(6) / middle).sum() / 5)
            spreads.append(particles.std(axis=0).mean())
        assert row.neighbours == pytest.approx(np.mean(sums), rel=1e-3)
        # The statistics' displacement is the distance from the same starts without steps.
        start = calibration.policy_of(6, 0.61, FLAT, 1.0, SteinSampler(5, 0)).sample(
            100, seed=tf.constant([2, 3], tf.int32)
        )
        moved = np.linalg.norm(u - start.numpy().reshape(20, 5, 6), axis=-1).mean()
        assert row.displacement == pytest.approx(moved / (math.sqrt(6) * np.mean(spreads)), rel=1e-3)
        assert row.calibration.target == "flat" and row.variant == variant


def test_a_wider_kernel_makes_particles_act_on_each_other():
    mean, median, many = (
        interaction.interact(FLAT, 1.0, variant, seed=0).neighbours
        for variant in ("10 particles, mean", "10 particles, median", "32 particles, mean")
    )
    assert mean < 0.6 and median > 2 * mean and many < median


def test_the_figure_end_to_end(tmp_path, monkeypatch, capsys):
    critic = FLAT._replace(name="critic of HalfCheetah-v5", num_states=2)
    monkeypatch.setattr(interaction, "trained_critic", lambda size, steps, seed: critic)
    monkeypatch.setattr(interaction, "known_targets", lambda: [FLAT])
    monkeypatch.setattr(interaction, "VARIANTS", {"few": SteinSampler(3, 1), "more": SteinSampler(4, 1)})
    arguments = ("--num_seeds=1", "--seed=3", "--iterations=520")
    assert figures_main(["figures", "--figure=interaction", f"--output_dir={tmp_path}", *arguments]) == 0
    with (tmp_path / "interaction.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == interaction.num_interactions() == 8
    assert [row["variant"] for row in rows] == ["few", "more"] * 4
    assert all(math.isfinite(float(row["neighbours"])) for row in rows)
    picture = matplotlib.image.imread(tmp_path / "interaction.png")
    assert picture.shape[1] > 300 and picture[..., :3].std() > 0.01
    assert "| flat | 0.04 | few |" in capsys.readouterr().out
