from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import expol_tf
from expol_tf.cli.commands import train as command_line
from expol_tf.cli.commands.evaluate import evaluate_main
from expol_tf.errors import ConfigurationError


@pytest.fixture(autouse=True)
def user_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY", raising=False)
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    return tmp_path


def refused(capsys: pytest.CaptureFixture, *arguments: str, program: str = "train") -> str:
    main = command_line.train_main if program == "train" else evaluate_main
    assert main([program, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


# What needs no TensorFlow must not wait for it.
QUICK = """
import sys
from expol_tf.cli.commands import train as command_line
from expol_tf.cli.commands.evaluate import evaluate_main
for arguments, status in (
    (["--help"], 0),
    (["--version"], 0),
    (["--list_experiments"], 0),
    (["--gin_file=missing.gin"], 2),
    (["--gin_file=gin/nfp_trpo.gin", "--gin_bindings=TAKS = 1"], 2),
    ([], 2),
):
    assert command_line.train_main(["expol-train", *arguments]) == status, arguments
    assert "tensorflow" not in sys.modules, arguments
assert evaluate_main(["expol-evaluate", "--root_dir=missing"]) == 2
assert "tensorflow" not in sys.modules
"""


def test_what_needs_no_tensorflow_does_not_import_it() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", QUICK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_names_every_flag(capsys: pytest.CaptureFixture) -> None:
    assert command_line.train_main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    names = ("gin_file", "gin_bindings", "root_dir", "seed", "num_env_steps", "device")
    for name in (*names, "[no]print_config", "[no]list_experiments", "[no]version", "[no]debug"):
        assert f"--{name}:" in text
    assert evaluate_main(["evaluate", "--help"]) == 0
    text = capsys.readouterr().out
    for name in ("root_dir", "episodes", "[no]deterministic", "seed", "video_path", "device"):
        assert f"--{name}:" in text


def test_version(capsys: pytest.CaptureFixture) -> None:
    assert command_line.train_main(["train", "--version"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"expol_tf {expol_tf.__version__}\n") and "tensorflow 2." in text


def test_experiments_are_listed_with_their_titles(capsys: pytest.CaptureFixture) -> None:
    assert command_line.train_main(["train", "--list_experiments"]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert titles["gin/nfp_trpo.gin"] == "A normalizing-flow policy trained with TRPO."
    assert titles["gin/tasks/hopper.gin"].startswith("Hopper: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gin_fil=x"], "Unknown command line flag 'gin_fil'. Did you mean: gin_file"),
        (["--seed=x"], "flag --seed=x"),
        (["--seed=-1"], "not a non-negative integer"),
        (["--num_env_steps=0"], "not a positive integer"),
        (["gin/nfp_trpo.gin"], "Unexpected argument 'gin/nfp_trpo.gin'"),
        ([], "--gin_file must name an experiment"),
        (["--root_dir=runs/none"], "--gin_file must name an experiment"),
        (["--gin_file=gin/nfp_trop.gin"], "Did you mean 'gin/nfp_trpo.gin'?"),
        (["--gin_file=gin/nfp_trpo.gin", "--gin_bindings=TASK=Hopper"], "quotes that reach gin"),
        (["--gin_file=gin/nfp_trpo.gin", "--gin_bindings=NUM_ENV=4"], "Did you mean 'NUM_ENVS'?"),
    ],
)
def test_mistakes_get_one_message(arguments: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--root_dir must name the directory of a run"),
        (["--root_dir=none"], "holds no config.gin"),
        (["--episodes=0"], "not a positive integer"),
    ],
)
def test_mistakes_of_evaluate(arguments: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    assert words in refused(capsys, *arguments, program="evaluate")


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        command_line.train_main(["train", "--debug", "--gin_file=missing.gin"])


def test_default_root() -> None:
    root = command_line._default_root(["gin/nfp_trpo.gin", "/home/me/mine.gin"], "expol/MultiGoal-v0", 3)
    assert root == pathlib.Path("runs/nfp_trpo+mine/expol-MultiGoal-v0/seed3")
