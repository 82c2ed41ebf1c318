"""The sweep program on Ray, with runs as small as they come."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import expol_tf
from expol_tf.cli.commands import sweep as sweep_command
from expol_tf.cli.commands import train as command_line

BINARY = pathlib.Path(expol_tf.__file__).absolute().parents[1] / "binaries" / "sweep.py"
TIMINGS = {"wall_time_s", "env_steps_per_s"}
SMALL = """
EVAL_INTERVAL = 0
CHECKPOINT_INTERVAL = 256
OnPolicyRunner.iteration_steps = 128
GaussianActorNetwork.hidden_units = (4,)
expol_tf.ValueNetwork.hidden_units = (4,)
Acting.jit_compile = False
"""
SWEEP = """
Sweep.experiments = {{"tiny": "gin/gaussian_trpo.gin"}}
Sweep.tasks = [{tasks}]
Sweep.seeds = (0, 1)
Sweep.bindings = [{small!r}, "NUM_ENV_STEPS = {steps}"]
"""
PENDULUM = '"gin/tasks/pendulum.gin"'
# Its actions are looked at when a run makes its environment.
DISCRETE = '["gin/tasks/pendulum.gin", "TASK = \'Acrobot-v1\'"]'


def write_sweep(directory: pathlib.Path, steps: int, tasks: str = PENDULUM) -> pathlib.Path:
    path = directory / "sweep.gin"
    path.write_text(SWEEP.format(tasks=tasks, small=SMALL, steps=steps))
    return path


def command(path: pathlib.Path, root: pathlib.Path, *options: str) -> list[str]:
    return [sys.executable, str(BINARY), f"--sweep_file={path}", f"--root_dir={root}", *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def start(path: pathlib.Path, root: pathlib.Path, *options: str) -> subprocess.Popen:
    """Starts a sweep in a process group of its own, as a shell does."""
    return subprocess.Popen(
        command(path, root, *options), env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open() as file:
        table = list(csv.DictReader(file))
    return [{name: cell for name, cell in row.items() if name not in TIMINGS} for row in table]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate(timeout=60)
        time.sleep(0.02)


def uninterrupted(root: pathlib.Path, seed: int, directory: pathlib.Path) -> list[dict[str, str]]:
    """The rows of this seed's run, trained without a sweep by the configuration that the sweep recorded."""
    recorded = root / "logs/tiny/Pendulum-v1" / f"seed{seed}.gin"
    arguments = [f"--gin_file={recorded}", f"--seed={seed}", f"--root_dir={directory / f'alone{seed}'}"]
    assert command_line.train_main(["expol-train", *arguments]) == 0
    return rows(directory / f"alone{seed}" / "metrics.csv")


def test_a_sweep_leaves_ordinary_runs(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    path = write_sweep(tmp_path, 256)
    done = subprocess.run(command(path, root), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Nothing of Ray's own, neither warnings nor where its dashboard is.
    assert done.stderr == ""
    assert "tiny/Pendulum-v1/seed0: finished at env_step 256" in done.stdout
    assert [row["status"] for row in rows(root / "sweep.csv")] == ["finished", "finished"]
    runs = [root / row["directory"] for row in rows(root / "sweep.csv")]
    for seed, run in enumerate(runs):
        assert [row["env_step"] for row in rows(run / "metrics.csv")] == ["128", "256"]
        assert json.loads((run / "environment.json").read_text())["seed"] == seed
        # Only what `train` leaves.
        assert {each.name for each in run.iterdir()} == {
            ".lock", "checkpoints", "config.gin", "configuration.json", "environment.json",
            "fingerprint.json", "learning_curve.png", "metrics.csv", "policy", "tensorboard",
        }  # fmt: skip
    assert rows(runs[0] / "metrics.csv") != rows(runs[1] / "metrics.csv")


@pytest.mark.slow
def test_failures_are_reported_and_the_others_done(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    path = write_sweep(tmp_path, 256, f"{DISCRETE}, {PENDULUM}")
    done = subprocess.run(command(path, root), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed: tiny/Acrobot-v1/seed0 (attempts: 1): exit status 2: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    index = {row["directory"]: row for row in rows(root / "sweep.csv")}
    for seed in (0, 1):
        assert index[f"tiny/Pendulum-v1/seed{seed}"]["status"] == "finished"
        assert index[f"tiny/Acrobot-v1/seed{seed}"]["status"] == "failed"
        assert "Acrobot" in index[f"tiny/Acrobot-v1/seed{seed}"]["message"]


@pytest.mark.slow
def test_a_killed_run_is_resumed_as_if_it_had_not_been(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    run = root / "tiny/Pendulum-v1/seed0"
    process = start(write_sweep(tmp_path, 20_000), root)
    wait_until(lambda: len(rows(run / "metrics.csv")) > 10, process)
    os.kill(json.loads((run / ".lock").read_text())["pid"], signal.SIGKILL)
    output, error = process.communicate(timeout=400)
    assert process.returncode == 0, output + error
    assert "seed0: killed by SIGKILL (out of memory?)" in output and "seed0: started, attempt 2" in output
    assert [row["attempts"] for row in rows(root / "sweep.csv")] == ["2", "1"]
    assert "resumed at env_step" in (root / "logs/tiny/Pendulum-v1/seed0.log").read_text()
    assert rows(run / "metrics.csv") == uninterrupted(root, 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_sweep_saves_and_goes_on(number: signal.Signals, tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    runs = [root / "tiny/Pendulum-v1" / f"seed{seed}" for seed in (0, 1)]
    process = start(write_sweep(tmp_path, 20_000), root, "--max_parallel=2")
    wait_until(lambda: all(len(rows(run / "metrics.csv")) > 10 for run in runs), process)
    if number == signal.SIGINT:
        # A Ctrl-C goes to all processes of the terminal's group, Ray's among them.
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, error = process.communicate(timeout=240)
    assert process.returncode == 128 + number, output + error
    index = rows(root / "sweep.csv")
    assert [row["status"] for row in index] == ["interrupted", "interrupted"]
    for run, row in zip(runs, index, strict=True):
        # Saved where it ended: nothing is lost.
        last = rows(run / "metrics.csv")[-1]["env_step"]
        assert last == row["env_step"] and list((run / "checkpoints").glob(f"*{last}"))
    resume = shlex.split(error.partition("Resume with:")[2])
    assert resume[:2] == ["python", str(BINARY)]
    done = subprocess.run(
        [sys.executable, *resume[1:]], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["status"] for row in rows(root / "sweep.csv")] == ["finished", "finished"]
    assert rows(runs[1] / "metrics.csv") == uninterrupted(root, 1, tmp_path)
    # And once more there is nothing to do, for which Ray is not even started.
    again = subprocess.run(
        command(tmp_path / "sweep.gin", root), env=environment(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0 and "started" not in again.stdout


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_process_behind(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    run = root / "tiny/Pendulum-v1/seed0"
    process = start(write_sweep(tmp_path, 100_000_000), root)
    wait_until(lambda: len(rows(run / "metrics.csv")) > 2, process)
    trained_by = json.loads((run / ".lock").read_text())["pid"]
    process.kill()
    deadline = time.monotonic() + 60
    while pathlib.Path("/proc", str(trained_by)).exists():
        assert time.monotonic() < deadline, "the run goes on without its sweep"
        time.sleep(0.1)
    # Its end was an orderly one.
    last = rows(run / "metrics.csv")[-1]["env_step"]
    assert list((run / "checkpoints").glob(f"*{last}"))
    process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sweep_file=gin/sweeps/on_polcy.gin"], "Did you mean 'gin/sweeps/on_policy.gin'?"),
        ([], "--sweep_file must name a sweep"),
        (["--max_parallel=0"], "max_parallel"),
        (["gin/sweeps/on_policy.gin"], "every option starts with --"),
    ],
)
def test_mistakes_get_one_message(
    arguments: list[str], words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "root"
    assert sweep_command.sweep_main(["expol-sweep", f"--root_dir={root}", *arguments]) == 2
    message = capsys.readouterr().err
    assert words in message and "Traceback" not in message
    assert not root.exists()


def test_help(capsys: pytest.CaptureFixture) -> None:
    assert sweep_command.sweep_main(["expol-sweep", "--help"]) == 0
    assert "--sweep_file" in capsys.readouterr().out


@pytest.mark.slow
def test_a_dry_run_starts_nothing(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    path = write_sweep(tmp_path, 256)
    options = [f"--sweep_file={path}", f"--root_dir={tmp_path / 'root'}", "--dry_run"]
    assert sweep_command.sweep_main(["expol-sweep", *options]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "tiny/Pendulum-v1/seed0: 256 steps",
        "tiny/Pendulum-v1/seed1: 256 steps",
        "2 runs, 512 steps",
    ]
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
def test_an_address_where_nothing_listens_is_named_at_once(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    path = write_sweep(tmp_path, 256)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        options = [f"--sweep_file={path}", f"--root_dir={tmp_path / 'root'}", f"--address={address}"]
        assert sweep_command.sweep_main(["expol-sweep", *options]) == 2
    assert f"'{address}' does not answer" in capsys.readouterr().err
