"""The program `expol-figures`: pictures, numbers, and messages about mistakes."""

from __future__ import annotations

import csv
import functools
import os

import matplotlib.image
import pytest

from expol_tf.cli.commands.figures import figures_main
from expol_tf.errors import ConfigurationError
from expol_tf.papers import FIGURES, make_figure
from expol_tf.papers.bandits.bandits import POLICIES
from expol_tf.papers.kl_ball import kl_ball


def run(*arguments):
    return figures_main(["figures", *arguments])


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_bandit_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    small = functools.partial(POLICIES["NFP"], num_transformations=1, hidden_units=(8,))
    few = {"Gaussian": POLICIES["Gaussian"], "NFP": small}
    monkeypatch.setattr("expol_tf.papers.bandits.bandits.train_all.__defaults__", (few,))
    monkeypatch.setattr("expol_tf.papers.bandits.bandits.POLICIES", few)
    arguments = ("--num_seeds=1", "--iterations=1", "--seed=4")
    assert run("--figure=bimodal_bandit", "--output_dir=out/new", *arguments) == 0
    rows = rows_of(tmp_path / "out" / "new" / "bimodal_bandit.csv")
    assert [(row["policy"], row["seed"]) for row in rows] == [
        ("optimum", ""),
        ("Gaussian", "4"),
        ("NFP", "4"),
    ]
    assert float(rows[0]["kl_to_target"]) == 0.0 and float(rows[2]["kl_to_target"]) > 0.0
    assert float(rows[1]["left_mass"]) == pytest.approx(0.5, abs=0.1)
    picture = matplotlib.image.imread(tmp_path / "out" / "new" / "bimodal_bandit.png")
    assert min(picture.shape[:2]) > 300 and picture[..., :3].std() > 0.01
    printed = capsys.readouterr()
    assert "| NFP |" in printed.out and "out/new/bimodal_bandit.csv" in printed.out
    assert "bimodal_bandit: 2 / 2 parts (100%) | NFP, seed 4" in printed.err


def test_the_kl_ball_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("expol_tf.papers.kl_ball.kl_ball._FRESH_SAMPLES", 2000)
    small = functools.partial(kl_ball.Flow, num_transformations=1)
    families = {"Gaussian": kl_ball.FactorizedGaussian, "flow": small}
    monkeypatch.setattr("expol_tf.papers.kl_ball.kl_ball.FAMILIES", families)
    assert run("--figure=kl_ball", f"--output_dir={tmp_path}", "--num_seeds=1", "--iterations=3") == 0
    rows = rows_of(tmp_path / "kl_ball.csv")
    assert [row["constraint"] for row in rows] == ["KL = 0.01", "H = -1", "H = -4"] * 2
    assert {row["reached"] for row in rows} == {"False"} and {row["steps"] for row in rows} == {"3"}
    assert "0 of 1" in capsys.readouterr().out
    assert matplotlib.image.imread(tmp_path / "kl_ball.png").shape[1] > 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--figure=gausian_bandit", "--output_dir=x"), "Did you mean 'gaussian_bandit'?"),
        (
            ("--figure=7", "--output_dir=x"),
            "figure must be one of bimodal_bandit, gaussian_bandit, calibration, entropy, goal_calibration, ",
        ),
        (("--output_dir=x",), "--figure must name one of these"),
        (("--figure=kl_ball",), "--output_dir must name"),
        (("--figure=kl_ball", "--output_dir=x", "--root_dir=y"), "--root_dir is for figures of runs"),
        (("--figure=kl_ball", "--output_dir=x", "--num_seeds=0"), "num_seeds"),
        (("--figure=calibration", "--output_dir=x", "--num_seeds=2"), "num_seeds must be 1 for calibration"),
        (("--figure=interaction", "--output_dir=x", "--num_seeds=2"), "num_seeds must be 1 for interaction"),
        (("--figure=goal_calibration", "--output_dir=x", "--num_seeds=2"), "num_seeds must be 1 for goal_"),
        (("--figure=kl_ball", "--output_dir=x", "--iteration=3"), "iteration"),
        (("kl_ball",), "Unexpected argument 'kl_ball'"),
    ],
)
def test_mistakes_get_one_message(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err and not printed.out
    assert not list(tmp_path.iterdir())


def test_an_output_directory_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run("--figure=gaussian_bandit", f"--output_dir={tmp_path / 'file' / 'below'}") == 2
    assert "--output_dir must be a directory that can be written" in capsys.readouterr().err
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if not os.access(locked, os.W_OK):  # The superuser may write anywhere.
        assert run("--figure=gaussian_bandit", f"--output_dir={locked}") == 2


def test_help_and_version(capsys):
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in FIGURES) and "--output_dir" in printed
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("expol_tf ")


@pytest.mark.parametrize("arguments", [{"num_seeds": 0}, {"iterations": -1}, {"seed": -1}])
def test_numbers_out_of_range(arguments, tmp_path):
    with pytest.raises(ConfigurationError, match=f"{next(iter(arguments))} must be"):
        make_figure("kl_ball", tmp_path, **arguments)
