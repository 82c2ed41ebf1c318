"""What Stein policies report as their entropy, against nearest neighbours and bounds."""

from __future__ import annotations

import csv
import math

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate

from expol_tf.cli.commands.figures import figures_main
from expol_tf.distributions import SteinSampler
from expol_tf.errors import ConfigurationError
from expol_tf.papers.entropy import calibration
from expol_tf.training import TrainingResult

FLAT, TWO_MODES, *QUADRATIC = calibration.known_targets()


@pytest.fixture
def few(monkeypatch):
    """Samples enough for a tolerance of 0.1 nats a component, and no more."""
    for name, value in {"FEW": 1_000, "MANY": 5_000, "DETERMINED": 200}.items():
        monkeypatch.setattr(calibration, name, value)


def test_without_steps_every_density_is_the_starts(few):
    """A Gaussian of deviation σ within three deviations, squashed; its entropy by quadrature."""
    row = calibration.calibrate(2, 0.61, FLAT, 1.0, SteinSampler(10, 0), seed=0)
    u = np.linspace(-3 * 0.61, 3 * 0.61, 10_001)
    density = np.exp(-0.5 * (u / 0.61) ** 2)
    density /= integrate.trapezoid(density, u)
    entropy = 2 * integrate.trapezoid(density * (np.log(1 - np.tanh(u) ** 2) - np.log(density)), u)
    for density_change in calibration.DENSITIES:
        assert getattr(row, density_change) == pytest.approx(entropy, abs=0.15)
    assert row.measured.nearest_neighbour == pytest.approx(entropy, abs=0.1) and row.measured.counted
    assert row.measured.marginals == pytest.approx(entropy, abs=0.1)
    assert (
        row.measured.uniform == pytest.approx(2 * math.log(2.0))
        and row.limited_share == row.dropped_share == 0
    )


@pytest.mark.parametrize("target", [FLAT, TWO_MODES, *QUADRATIC], ids=lambda target: target.name)
def test_the_default_is_calibrated_in_six_dimensions_and_the_printed_density_is_not(few, target):
    row = calibration.calibrate(6, 0.61, target, 1.0, SteinSampler(10, 3), seed=0)
    # Five thousand samples in six dimensions err by some 0.02 a component.
    assert -0.1 < row.excess() < 0.05 + 0.02
    assert abs(row.joint_trace - row.joint_logdet) < 0.35
    assert row.excess("printed") > 0.04


def test_the_truth_is_the_least_bound_where_neighbours_do_not_count(few):
    row = calibration.calibrate(17, 0.61, FLAT, 1.0, SteinSampler(10, 3), seed=0)
    assert not row.measured.counted and row.measured.truth == min(
        row.measured.marginals, row.measured.radial, row.measured.uniform
    )
    known = row._replace(measured=row.measured._replace(counted_by="neighbours", nearest_neighbour=1.0))
    assert known.measured.truth == 1.0 and known.excess("printed") == (row.printed - 1.0) / 17


def test_a_target_is_the_score_before_the_squash(tmp_path):
    """∇[Q(s, tanh u) + α Σ log(1 − tanh² u)], against differences, for Q = s₀·a with a in (−2, 2)."""

    class Critic(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 3], name="observation"),
                tf.TensorSpec([None, 1], name="action"),
            ]
        )
        def q(self, observation, action):
            return {"q": observation[:, 0] * action[:, 0]}

    critic = Critic()
    tf.saved_model.save(critic, str(tmp_path / "critic"), signatures={"q": critic.q})
    target = calibration.critic_target("critic", "Pendulum-v1", tmp_path, seed=0)
    states, _ = calibration._states("Pendulum-v1", 0)
    u, alpha, step = np.linspace(-1.0, 1.0, 5), 0.7, 1e-4

    def value(u):
        return states[:, :1].numpy() * 2.0 * np.tanh(u) + alpha * np.log(1 - np.tanh(u) ** 2)

    found = target.score(tf.constant(np.tile(u, [4, 1])[..., np.newaxis], tf.float32), alpha)
    expected = (value(u + step) - value(u - step)) / (2 * step)
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-3)


@pytest.mark.parametrize("stopped", [None, 2])
def test_a_critic_whose_training_was_stopped_is_not_measured(stopped, monkeypatch):
    result = TrainingResult(None, 1_000, None, stopped)
    monkeypatch.setattr(calibration, "train", lambda *arguments, **keywords: result)
    monkeypatch.setattr(calibration, "critic_target", lambda *arguments: "target")
    if stopped is None:
        assert calibration.trained_critic(1, 2_000, seed=0) == "target"
    else:
        with pytest.raises(KeyboardInterrupt):
            calibration.trained_critic(1, 2_000, seed=0)


def test_a_critic_is_not_one_that_no_update_has_trained():
    with pytest.raises(ConfigurationError, match="iterations must be more than the 500 .*; got 500"):
        calibration.trained_critic(1, 500, seed=0)


@pytest.mark.slow
def test_a_trained_critic_is_a_smooth_target():
    """Its score at four states of the task, whose derivative is there."""
    target = calibration.trained_critic(1, 520, seed=0)
    u = tf.random.stateless_normal([calibration.NUM_STATES, 6, 1], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(u)
        score = target.score(u, 0.1)
    curvature = tape.gradient(score, u)
    assert score.shape == u.shape and np.isfinite(score).all() and np.isfinite(curvature).all()
    assert len(np.unique(score.numpy()[:, 0])) == calibration.NUM_STATES


def test_the_figure_end_to_end(few, tmp_path, monkeypatch, capsys):
    # Training takes a minute; the slow tests do it.
    critic = TWO_MODES._replace(name="critic of Pendulum-v1", num_states=2)
    monkeypatch.setattr(calibration, "trained_critic", lambda size, steps, seed: critic)
    monkeypatch.setattr(calibration, "NUM_PARTICLES", {1: (4,)})
    monkeypatch.setattr(calibration, "STARTS", ((1, 0.61),))
    monkeypatch.setattr(calibration, "TEMPERATURES", (1.0,))
    arguments = ("--num_seeds=1", "--seed=3", "--iterations=520")
    assert figures_main(["figures", "--figure=calibration", f"--output_dir={tmp_path}", *arguments]) == 0
    with (tmp_path / "calibration.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == calibration.num_calibrations() == 5
    assert [row["target"] for row in rows] == [
        *(target.name for target in calibration.known_targets()), "critic of Pendulum-v1",
    ]  # fmt: skip
    for row in rows:
        assert math.isfinite(float(row["joint_trace"])) and row["counted_by"] in ("neighbours", "radius", "")
    picture = matplotlib.image.imread(tmp_path / "calibration.png")
    assert picture.shape[1] > 300 and picture[..., :3].std() > 0.01
    assert "| 1 | 4 | 1 | flat | 1 |" in capsys.readouterr().out


# The bound is loose where particles have come to rest against each other; docs/samplers.md says so. A, M, L,
# target, α.
LOOSE = {
    (6, 10, 20, "two modes", 1.0): 0.15,
    (6, 10, 20, "score −5u", 1.0): 0.22,
    (6, 10, 20, "score −20u", 0.04): 1.5,
    (6, 10, 20, "score −20u", 1.0): 3.0,
    (6, 32, 20, "score −20u", 0.04): 0.27,
    (6, 32, 20, "score −20u", 1.0): 0.35,
    (17, 10, 20, "score −20u", 0.04): 0.25,
    (17, 10, 20, "score −20u", 1.0): 0.65,
}


@pytest.mark.slow
def test_the_whole_table():
    """The bound is never above the truth; for A ≥ 6 it is near; the printed density is above."""
    rows = list(calibration.calibrate_all(seed=0, critic_steps=2000))
    above = [row for row in rows if row.excess() > 0.05]
    assert not above, above
    for row in rows:
        key = (row.size, row.num_particles, row.num_steps, row.target, row.temperature)
        assert row.measured.counted or row.size == 17, row
        if row.size >= 6 and row.measured.counted:
            assert row.excess() > -LOOSE.get(key, 0.1), row
    failing = [row for row in rows if row.excess("printed") > 0.05]
    assert len(failing) > len(rows) / 3
