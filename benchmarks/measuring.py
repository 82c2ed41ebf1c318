"""Single measurements, each in a fresh process of its own: parts of an iteration, whole training, a peer."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Not resolved: under Bazel every file is a link, and the programs lie beside this one in the tree of links.
PROJECT = Path(__file__).absolute().parents[1]
# Compilation, first touches of memory: what a run pays once is not its speed.
WARM_UP_ITERATIONS = 2
# Programs of benchmarks/peers.
PEERS = ("trpo_sb3", "ppo_sb3", "ppo_sbx")


class MeasurementError(RuntimeError):
    """A measured process failed; the message ends with its last lines."""


@dataclass(frozen=True)
class Experiment:
    """What is measured of ours.

    Attributes:
      gin_file: The experiment's file, as `train` takes it.
      task: Gymnasium id; None leaves the file's.
      backend: "sync" or "envpool".
      bindings: More gin statements, later ones winning.
      evaluate: Whether evaluations run, too.
    """

    gin_file: str
    task: str | None = None
    backend: str = "sync"
    bindings: tuple[str, ...] = ()
    evaluate: bool = False

    @property
    def name(self) -> str:
        """Short name for tables."""
        return f"{Path(self.gin_file).stem} ({self.backend})"

    def statements(self) -> list[str]:
        """Returns the gin statements that follow the file's own."""
        statements = [] if self.task is None else [f"TASK = {self.task!r}"]
        statements += [f"BACKEND = {self.backend!r}"]
        statements += [] if self.evaluate else ["EVAL_INTERVAL = 0"]
        return [*statements, *self.bindings]

    def flags(self) -> list[str]:
        """Returns the flags that `train` and `parts` share."""
        bindings = [f"--gin_bindings={statement}" for statement in self.statements()]
        return [f"--gin_file={self.gin_file}", *bindings]


def measure_parts(experiment: Experiment) -> dict[str, Any]:
    """Returns env steps/s of `environment`, `collection` and `update` alone."""
    program = str(PROJECT / "benchmarks" / "parts.py")
    output = _run([sys.executable, program, *experiment.flags()], _environment())
    return json.loads(output.splitlines()[-1])


def measure_training(experiment: Experiment, num_env_steps: int, seed: int) -> dict[str, Any]:
    """Trains by the program and returns env steps/s of the whole, from the run's `metrics.csv`.

    The time runs from the row of the second iteration to the last row. `env_steps_per_s` takes it from the
    table's times of modification, so that all work between two rows counts; `reported_env_steps_per_s`
    from its column `wall_time_s`.
    """
    with tempfile.TemporaryDirectory(prefix="expol_throughput_") as directory:
        root = Path(directory) / "run"
        command = [sys.executable, str(PROJECT / "binaries" / "train.py"), *experiment.flags()]
        command += [f"--num_env_steps={num_env_steps}", f"--seed={seed}", f"--root_dir={root}"]
        row_written = _RowClock(root / "metrics.csv", WARM_UP_ITERATIONS)
        _run(command, _environment(), row_written.poll)
        rows = _rows(root / "metrics.csv")
        if len(rows) < WARM_UP_ITERATIONS + 1 or row_written.time is None:
            raise MeasurementError(f"{experiment.name}: the run has {len(rows)} rows; raise --num_env_steps.")
        # Two rows may have appeared between two looks.
        first, last = rows[row_written.rows - 1], rows[-1]
        steps = int(last["env_step"] - first["env_step"])
        elapsed = (root / "metrics.csv").stat().st_mtime - row_written.time
        checkpoints = sorted(path.name for path in (root / "checkpoints").iterdir())
        return {
            "env_steps_per_s": steps / elapsed,
            "reported_env_steps_per_s": steps / (last["wall_time_s"] - first["wall_time_s"]),
            "measured_env_steps": steps,
            "iteration_steps": int(first["env_step"] // first["iteration"]),
            "checkpoints_kept": len(checkpoints),
            "record": json.loads((root / "environment.json").read_text()),
        }


def check_peer(python: Path) -> None:
    """Raises a `MeasurementError` if the peers' environment is not there."""
    if not python.exists():
        raise MeasurementError(
            f"--peer: there is no {python}. Make the peers' environment with benchmarks/peers/make_env.sh "
            "[DIRECTORY], and name another directory than its default with --peer_env."
        )


def measure_peer(
    python: Path, peer: str, task: str, num_env_steps: int, seed: int, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns what one of `PEERS` prints, run by the Python of the peers' own environment."""
    script = PROJECT / "benchmarks" / "peers" / f"{peer}.py"
    flags = [f"--task={task}", f"--num_env_steps={num_env_steps}", f"--seed={seed}", *options]
    # Nothing of ours may leak into the peer's process.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return json.loads(_run([str(python), str(script), *flags], environment).splitlines()[-1])


def _rows(path: Path) -> list[dict[str, float]]:
    """Returns the columns of a finished run's table that speak of its speed."""
    with path.open(newline="") as file:
        columns = ("iteration", "env_step", "wall_time_s")
        return [{name: float(row[name]) for name in columns} for row in csv.DictReader(file)]


class _RowClock:
    """Notes when a run's table had so many rows for the first time."""

    def __init__(self, path: Path, rows: int) -> None:
        self._path = path
        self._wanted = rows
        self.rows = 0
        self.time: float | None = None

    def poll(self) -> bool:
        """Looks; false when there is nothing left to wait for."""
        if self.time is None and self._path.exists():
            modified = self._path.stat().st_mtime
            rows = self._path.read_bytes().count(b"\n") - 1  # But for the heading.
            # Only a time that surely belongs to the last of these rows.
            if rows >= self._wanted and self._path.stat().st_mtime == modified:
                self.rows, self.time = rows, modified
        return self.time is None


def _environment() -> dict[str, str]:
    """Returns the variables of our processes, which find the library whether or not it is installed."""
    path = [str(PROJECT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _run(command: list[str], environment: dict[str, str], poll: Any = None) -> str:
    """Runs a command to its end and returns its standard output; looks with `poll` while that is true."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=errors, text=True)
        try:
            while poll is not None and process.poll() is None and poll():
                time.sleep(0.02)
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            lines = (output.read() + errors.read()).splitlines()[-15:]
            failure = f"{shlex.join(command)} failed with {process.returncode}:"
            raise MeasurementError("\n".join([failure, *lines]))
        return output.read()
