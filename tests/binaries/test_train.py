"""The training program, from flags to files, on a task and networks as small as they come."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

import expol_tf
from expol_tf.cli.commands import train as command_line
from expol_tf.training import load_policy

BINARY = pathlib.Path(expol_tf.__file__).absolute().parents[1] / "binaries" / "train.py"
TIMINGS = {"wall_time_s", "env_steps_per_s"}
SMALL = [
    "--gin_file=gin/gaussian_trpo.gin",
    "--gin_file=gin/tasks/pendulum.gin",
    "--gin_bindings=OnPolicyRunner.iteration_steps = 128",
    "--gin_bindings=GaussianActorNetwork.hidden_units = (4,)",
    "--gin_bindings=expol_tf.ValueNetwork.hidden_units = (4,)",
    "--gin_bindings=Acting.jit_compile = False",
    "--gin_bindings=EVAL_INTERVAL = 256\nEVAL_EPISODES = 2",
]


def train(*arguments: str) -> int:
    return command_line.train_main(["expol-train", *arguments])


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open() as file:
        table = list(csv.DictReader(file))
    return [{name: cell for name, cell in row.items() if name not in TIMINGS} for row in table]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The user's directory, in which one run was trained with the default root."""
    directory = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUILD_WORKING_DIRECTORY", str(directory))
        assert train(*SMALL, "--seed=3", "--num_env_steps=500") == 0
    return directory


@pytest.fixture
def root(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(directory))
    monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY", raising=False)
    return directory / "runs" / "gaussian_trpo+pendulum" / "Pendulum-v1" / "seed3"


def test_the_run_leaves_its_files(root: pathlib.Path) -> None:
    metrics = rows(root / "metrics.csv")
    assert [row["env_step"] for row in metrics] == ["128", "256", "384", "512"]
    assert all(row["kl"] and row["explained_variance"] for row in metrics)
    assert [row["env_step"] for row in rows(root / "evaluation.csv")] == ["256", "512"]
    assert "SEED = 3\n" in (root / "config.gin").read_text()
    assert json.loads((root / "environment.json").read_text())["seed"] == 3
    assert (root / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((root / "tensorboard").iterdir()) and list((root / "checkpoints").iterdir())
    action = load_policy(root).act([1.0, 0.0, 0.0], deterministic=True)
    assert action.shape == (1,) and abs(float(action[0])) <= 2.0


def test_a_finished_run_says_so(root: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    before = (root / "metrics.csv").read_bytes()
    assert train(*SMALL, "--seed=3", "--num_env_steps=500") == 0
    assert "finished at env_step 512" in capsys.readouterr().out
    assert (root / "metrics.csv").read_bytes() == before


def test_the_recorded_configuration_reproduces_the_run(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert train(f"--gin_file={root / 'config.gin'}", f"--root_dir={tmp_path / 'again'}") == 0
    for name in ("metrics.csv", "evaluation.csv"):
        assert rows(tmp_path / "again" / name) == rows(root / name)
    assert (tmp_path / "again" / "config.gin").read_text() == (root / "config.gin").read_text()
    # Its own directory takes it for the same experiment.
    assert train(f"--root_dir={root}") == 0


def test_another_configuration_is_refused_with_the_difference(
    root: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    changed = "--gin_bindings=AdvantageEstimation.gamma = 0.9\nTASK = 'MountainCarContinuous-v0'"
    assert train(*SMALL, changed, f"--root_dir={root}") == 2
    message = capsys.readouterr().err
    assert "holds a run with another configuration" in message
    assert "AdvantageEstimation.gamma" in message and "→ 0.9" in message
    assert "train.task: 'Pendulum-v1' → 'MountainCarContinuous-v0'" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gin_bindings=AdvantageEstimation.gama = 0.9"], "no parameter 'gama'. Did you mean 'gamma'?"),
        (
            ["--gin_bindings=AdvantageEstimaton.gamma = 0.9"],
            "named 'AdvantageEstimaton'. Did you mean 'AdvantageEstimation'?",
        ),
        (["--gin_bindings=TASK = 'Pendulun-v1'"], "Pendulum-v1"),
        (["--gin_bindings=TASK = 'CartPole-v1'"], "Discrete"),
        (["--gin_bindings=FlowActorNetwork.squash = True"], "FlowActorNetwork.squash is bound, but nothing"),
        (["--gin_bindings=AdvantageEstimation.gamma = 1.5"], "gamma must be in [0, 1]; got 1.5"),
        (["--gin_bindings=NUM_ENVS = 1000"], "NUM_ENVS"),
        (["--device=gpu:99"], "device 'gpu:99' is not there"),
        (["--gin_bindings=import no_such_module"], "the module 'no_such_module' cannot be imported"),
    ],
)
def test_mistakes_get_one_message(
    arguments: list[str], words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    assert train(*SMALL, *arguments, f"--root_dir={tmp_path / 'run'}") == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.startswith("expol-train: error: ") and "In call to configurable" not in message
    assert "Traceback" not in message


def test_print_config_trains_nothing(
    root: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    assert train(*SMALL, "--seed=3", "--num_env_steps=500", "--print_config", f"--root_dir={tmp_path}") == 0
    assert capsys.readouterr().out == (root / "config.gin").read_text()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "is_resumed"),
    [(signal.SIGINT, True), pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow)],
)
def test_a_signal_saves_and_prints_the_command_that_resumes(
    number: signal.Signals, is_resumed: bool, root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    environment = {
        **os.environ, "BUILD_WORKING_DIRECTORY": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)
    }  # fmt: skip
    command = [sys.executable, str(BINARY), *SMALL, "--num_env_steps=100000000", "--root_dir=run"]
    metrics = tmp_path / "run" / "metrics.csv"
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if metrics.exists() and len(rows(metrics)) > 1:
                break
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number, error
    resume = shlex.split(error.partition("Resume with:")[2])
    assert resume == ["python", str(BINARY), *command[2:]]
    if not is_resumed:
        return
    # The command goes on where this ended.
    last = int(rows(metrics)[-1]["env_step"])
    resumed = subprocess.run(
        [sys.executable, *resume[1:], f"--num_env_steps={last + 1}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert f"resumed at env_step {last}" in resumed.stdout
    assert int(rows(metrics)[-1]["env_step"]) == last + 128
