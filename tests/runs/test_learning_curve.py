import sys

import numpy as np
import pytest
from matplotlib import image

from expol_tf.errors import RunDirectoryError
from expol_tf.runs.learning_curve import plot_learning_curve, running_mean
from expol_tf.runs.tables import CsvTable


def _write_metrics(path, num_rows, seed=0):
    random = np.random.default_rng(seed)
    table = CsvTable(path, ["iteration", "env_step", "episode_return_mean", "episodes"])
    episodes = 0
    for iteration in range(num_rows):
        ended = int(random.integers(0, 9))
        episodes += ended
        mean = 2000 * (1 - np.exp(-iteration / 100)) + random.normal(0, 300) if ended else None
        row = {"iteration": iteration, "env_step": 2048 * (iteration + 1), "episode_return_mean": mean}
        table.append({**row, "episodes": episodes})
    table.close()


def _write_evaluations(path, steps):
    table = CsvTable(path, ["env_step", "return_mean", "return_std", "length_mean", "episodes"])
    for step in steps:
        mean = 2200 * (1 - np.exp(-step / 200_000))
        table.append({"env_step": step, "return_mean": mean, "return_std": 100.0, "episodes": 10})
    table.close()


def _colours(png, rgb):
    """Returns how many pixels are close to the colour."""
    return int((np.abs(image.imread(png)[..., :3] - np.array(rgb) / 255).max(axis=-1) < 0.06).sum())


def test_the_picture_shows_training_and_evaluation(tmp_path):
    _write_metrics(tmp_path / "metrics.csv", 488)
    _write_evaluations(tmp_path / "evaluation.csv", range(50_000, 1_000_001, 50_000))
    png = tmp_path / "learning_curve.png"
    plot_learning_curve(tmp_path / "metrics.csv", tmp_path / "evaluation.csv", png, title="Hopper-v5, seed 0")
    assert image.imread(png).shape[:2] == (504, 840)
    assert _colours(png, (0x00, 0x72, 0xB2)) > 500
    assert _colours(png, (0xD5, 0x5E, 0x00)) > 200
    plot_learning_curve(tmp_path / "metrics.csv", tmp_path / "missing.csv", png)
    assert _colours(png, (0xD5, 0x5E, 0x00)) == 0


@pytest.mark.parametrize("num_rows", [0, 1, 2])
def test_few_or_no_episodes_are_no_error(tmp_path, num_rows):
    _write_metrics(tmp_path / "metrics.csv", num_rows, seed=1)
    plot_learning_curve(tmp_path / "metrics.csv", tmp_path / "evaluation.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_one_message(tmp_path):
    with pytest.raises(RunDirectoryError, match="cannot write .*curve.png"):
        plot_learning_curve(tmp_path / "none", tmp_path / "none", tmp_path / "missing" / "curve.png")


def test_matplotlibs_global_state_is_not_touched(tmp_path):
    loaded = "matplotlib.pyplot" in sys.modules
    plot_learning_curve(tmp_path / "none", tmp_path / "none", tmp_path / "curve.png")
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize("window", [1, 7, 20, 1000])
def test_the_running_mean_equals_a_loop(window):
    random = np.random.default_rng(window)
    values, weights = random.normal(size=60), random.integers(1, 6, size=60).astype(float)
    expected = []
    for end in range(1, 61):
        start = end - 1
        while start > 0 and weights[start:end].sum() < window:
            start -= 1
        expected.append(np.average(values[start:end], weights=weights[start:end]))
    np.testing.assert_allclose(running_mean(values, weights, window), expected, rtol=1e-9)
