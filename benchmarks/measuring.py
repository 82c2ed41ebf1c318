"""Single measurements, each in a fresh process of its own: parts of an iteration, whole training, a peer."""

from __future__ import annotations

import csv
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

# Not resolved: under Bazel every file is a link, and the programs lie beside this one in the tree of links.
PROJECT = Path(__file__).absolute().parents[1]
# The library is found whether or not it is installed.
sys.path.append(str(PROJECT))

from expol_tf.configuration import gin_syntax  # noqa: E402  (without TensorFlow)

# Compilation, first touches of memory: what a run pays once is not its speed.
WARM_UP_ITERATIONS = 2
_OFF_POLICY_RUNNER = "OffPolicyRunner"
DEFAULT_RANDOM_STEPS = 10_000
# Programs of benchmarks/peers, and which of them learn from a replay buffer.
PEERS = {"trpo_sb3": False, "ppo_sb3": False, "ppo_sbx": False, "sac_sb3": True, "sac_sbx": True}


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
      warm_up_steps: Env steps of random actions before the first update, if it learns from a replay buffer;
        None leaves the file's.
    """

    gin_file: str
    task: str | None = None
    backend: str = "sync"
    bindings: tuple[str, ...] = ()
    evaluate: bool = False
    warm_up_steps: int | None = None

    @cached_property
    def _bindings(self) -> list[gin_syntax.Binding]:
        statements = gin_syntax.read_files([self.gin_file]) + gin_syntax.read_bindings(self.bindings)
        return [binding for binding in statements if isinstance(binding, gin_syntax.Binding)]

    @cached_property
    def off_policy(self) -> bool:
        """Whether it learns from a replay buffer: its gin file, or what that includes, sets up the runner."""
        values = [binding.value for binding in self._bindings]
        names = [binding.selector for binding in self._bindings]
        names += [value.name for value in values if isinstance(value, gin_syntax.Reference)]
        return any(name.split(".")[-1] == _OFF_POLICY_RUNNER for name in names)

    @cached_property
    def random_steps(self) -> int:
        """Env steps of random actions before the first update; none on-policy."""
        if not self.off_policy:
            return 0
        if self.warm_up_steps is not None:
            return self.warm_up_steps
        bound = [binding.value for binding in self._bindings if binding.parameter == "warm_up_steps"]
        return bound[-1] if bound else DEFAULT_RANDOM_STEPS

    @property
    def name(self) -> str:
        """Short name for tables."""
        return f"{Path(self.gin_file).stem} ({self.backend})"

    def statements(self) -> list[str]:
        """Returns the gin statements that follow the file's own."""
        statements = [] if self.task is None else [f"TASK = {self.task!r}"]
        statements += [f"BACKEND = {self.backend!r}"]
        statements += [] if self.evaluate else ["EVAL_INTERVAL = 0"]
        statements += self.bindings
        if self.off_policy:
            statements += [f"{_OFF_POLICY_RUNNER}.warm_up_steps = {self.random_steps}"]
        return statements

    def flags(self) -> list[str]:
        """Returns the flags that `train` and `parts` share."""
        bindings = [f"--gin_bindings={statement}" for statement in self.statements()]
        return [f"--gin_file={self.gin_file}", *bindings]


def measure_parts(experiment: Experiment) -> dict[str, Any]:
    """Returns env steps/s of `environment`, `collection` and `update` alone."""
    program = str(PROJECT / "benchmarks" / "parts.py")
    kind = ["--off_policy"] if experiment.off_policy else []
    output = _run([sys.executable, program, *experiment.flags(), *kind], _environment())
    return json.loads(output.splitlines()[-1])


def measure_training(experiment: Experiment, num_env_steps: int, seed: int) -> dict[str, Any]:
    """Trains by the program and returns env steps/s of the whole, from the run's `metrics.csv`.

    The time runs from the row of the second iteration that learns to the last row: off-policy, iterations
    of random actions come before. `env_steps_per_s` takes it from the table's times of modification, so that
    all work between two rows counts; `reported_env_steps_per_s` from its column `wall_time_s`.
    """
    with tempfile.TemporaryDirectory(prefix="expol_throughput_") as directory:
        root = Path(directory) / "run"
        command = [sys.executable, str(PROJECT / "binaries" / "train.py"), *experiment.flags()]
        command += [f"--num_env_steps={num_env_steps}", f"--seed={seed}", f"--root_dir={root}"]
        clock = _RowClock(root / "metrics.csv")
        _run(command, _environment(), clock.look)
        rows = _rows(root / "metrics.csv")
        warm_up_rows = sum(row["env_step"] <= experiment.random_steps for row in rows)
        warm_up_rows += WARM_UP_ITERATIONS
        written = clock.first_time(warm_up_rows)
        if written is None or written.rows >= len(rows):
            raise MeasurementError(
                f"{experiment.name}: warming up took {warm_up_rows} of the run's {len(rows)} rows; "
                "raise --num_env_steps."
            )
        # Two rows may have appeared between two looks.
        first, last = rows[written.rows - 1], rows[-1]
        steps = int(last["env_step"] - first["env_step"])
        elapsed = (root / "metrics.csv").stat().st_mtime - written.time
        seen = clock.last()
        cpu_steps = rows[seen.rows - 1]["env_step"] - first["env_step"]
        checkpoints = sorted(path.name for path in (root / "checkpoints").iterdir())
        return {
            "env_steps_per_s": steps / elapsed,
            "reported_env_steps_per_s": steps / (last["wall_time_s"] - first["wall_time_s"]),
            "cpu_ms_per_env_step": 1e3 * (seen.cpu_seconds - written.cpu_seconds) / (cpu_steps or math.nan),
            "measured_env_steps": steps,
            "off_policy": experiment.off_policy,
            "warm_up_steps": experiment.random_steps,
            "iteration_steps": int(last["env_step"] - rows[-2]["env_step"]),
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


class _Written(NamedTuple):
    """When a run's table was seen to have so many rows, and the run's processor time then."""

    rows: int
    time: float
    cpu_seconds: float


class _RowClock:
    """Notes when a run's table gets its rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = -1
        self._written: list[_Written] = []

    def look(self, process: int) -> None:
        """Looks once, at the run and the process that does it; costs little while nothing has changed."""
        if not self._path.exists():
            return
        before = self._path.stat()
        if before.st_size == self._size:
            return
        rows = self._path.read_bytes().count(b"\n") - 1  # But for the heading.
        # Only a time that surely belongs to the last of these rows.
        if self._path.stat().st_mtime == before.st_mtime:
            self._size = before.st_size
            self._written.append(_Written(rows, before.st_mtime, _cpu_seconds(process)))

    def first_time(self, rows: int) -> _Written | None:
        """Returns when so many rows, or more, were there for the first time."""
        return next((written for written in self._written if written.rows >= rows), None)

    def last(self) -> _Written:
        """Returns what was seen last."""
        return self._written[-1]


def _cpu_seconds(process: int) -> float:
    """Returns a process's processor time so far, NaN where the system does not say (not Linux)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _environment() -> dict[str, str]:
    """Returns the variables of our processes, which find the library whether or not it is installed."""
    path = [str(PROJECT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _run(command: list[str], environment: dict[str, str], look: Callable[[int], None] | None = None) -> str:
    """Runs a command to its end and returns its standard output; calls `look` with its id meanwhile."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=errors, text=True)
        try:
            while look is not None and process.poll() is None:
                look(process.pid)
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
