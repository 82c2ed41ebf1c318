"""Finished and unfinished runs, read from their directories."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.errors import RunDirectoryError
from expol_tf.reports import recorded
from expol_tf.runs import (
    LOCK,
    SWEEP_TABLE,
    DirectoryLock,
    Episodes,
    Evaluations,
    RunFiles,
    atomic_files,
    read_metrics,
    read_text_table,
    reading,
)

_NEEDED = ("experiment", "task", "seed", "directory", "status")
# The others are the sweep's parameters.
_SWEEP_COLUMNS = (*_NEEDED, "attempts", "env_step", "message")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a run was made with, by name.

    Attributes:
      settings: The settings that its experiment changes, as text; without seed and length.
      drawn: The sweep's parameters, as text.
      values: The whole configuration, defaults too, as text.
      versions: Package → version with which it was trained.
    """

    settings: Mapping[str, str]
    drawn: Mapping[str, str]
    values: Mapping[str, str]
    versions: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class RunProgress:
    """How far a run came.

    Attributes:
      target_env_steps: The length that was asked for, None if unknown.
      env_step: Environment steps done.
      wall_time_s: Seconds that they took.
      failure: Why the sweep gave it up, None if it did not.
      trained: Whether it made any update; True where the record does not say, as before 0.2.
    """

    target_env_steps: int | None
    env_step: int
    wall_time_s: float
    failure: str | None
    trained: bool = True

    @property
    def outcome(self) -> str:
        """`finished`, `unfinished` or `failed`."""
        if self.failure is not None:
            return "failed"
        if self.target_env_steps is not None and self.env_step < self.target_env_steps:
            return "unfinished"
        return "finished"


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One run, as its directory records it.

    Attributes:
      directory: The run's directory.
      experiment: The name under which it ran: a sweep's, or the directory above its task's.
      task: The task's name, from the recorded configuration.
      seed: The seed, from the record.
      record: What it was made with.
      progress: How far it came.
      episodes: The training returns.
      evaluations: The evaluations' returns.
    """

    directory: Path
    experiment: str
    task: str
    seed: int
    record: RunRecord
    progress: RunProgress
    episodes: Episodes
    evaluations: Evaluations


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies under the given directories.

    Attributes:
      runs: All runs, in the order of their sweep or else of their directories.
      lost: A line for each run of a sweep that left no directory.
    """

    runs: tuple[Run, ...]
    lost: tuple[str, ...]


@checked
def find_runs(root_dirs: Sequence[str | os.PathLike[str]]) -> Found:
    """Returns every run under the directories, each once.

    A run is a directory with `config.gin` and `metrics.csv`, at any depth. A `sweep.csv` above runs gives
    their experiments' names, parameters and failures.

    Raises:
      RunDirectoryError: A directory does not exist or holds no runs, or a run's record cannot be read.
    """
    runs: dict[Path, Run] = {}
    lost: list[str] = []
    for given in root_dirs:
        root = home_path(given)
        if not root.is_dir():
            raise RunDirectoryError(
                f"--root_dir must name a directory with runs; there is no directory {root}. Give the one "
                "that expol-train or expol-sweep wrote."
            )
        sweep: dict[Path, dict[str, str]] = {}
        directories = []
        for directory in _walk(root):
            if reading.is_there(directory / SWEEP_TABLE):
                sweep |= _read_sweep(directory / SWEEP_TABLE)
            if RunFiles(directory).is_run:
                directories.append(directory)
        if not directories:
            raise RunDirectoryError(
                f"--root_dir must hold runs (directories with config.gin and metrics.csv); {root} holds "
                f"none. {_starting(root)}Give the directory that expol-train or expol-sweep wrote, or one "
                "above."
            )
        # In the order of a sweep's table, which is its author's; others follow by name.
        order = {directory: index for index, directory in enumerate(sweep)}
        for directory in sorted(directories, key=lambda path: order.get(path.resolve(), len(order))):
            resolved = directory.resolve()
            if resolved not in runs:
                runs[resolved] = read_run(directory, root, sweep.get(resolved))
        lost += [
            f"{row['experiment']} on {row['task']}, seed {row['seed']}: {_failure(row) or row['status']}"
            for directory, row in sweep.items()
            if directory not in runs
        ]
    return Found(tuple(runs.values()), tuple(dict.fromkeys(lost)))


def read_run(directory: Path, root: Path | None = None, row: Mapping[str, str] | None = None) -> Run:
    """Returns one run.

    Args:
      directory: The run's directory.
      root: The directory in which it was looked for; the run's name is at most what lies below.
      row: Its row of a sweep's table.

    Raises:
      RunDirectoryError: Its record cannot be read, or names no task or seed.
    """
    files = RunFiles(directory)
    values = recorded.read_configuration(files)
    settings, environment = files.read_fingerprint(), files.read_environment()
    task = recorded.literal(values.get("train.task") or settings.get("train.task"))
    seed = environment.get("seed")
    if seed is None:
        seed = recorded.literal(values.get("train.seed"))
    _require(files, "task", task, isinstance(task, str), "a name")
    _require(files, "seed", seed, not reading.is_count(seed), "a whole number, 0 or more")
    row = row or {}
    target = recorded.literal(values.get("train.num_env_steps"))
    known = target is None or (isinstance(target, int | float) and target > 0)
    _require(files, "num_env_steps", target, known, "a number of environment steps")
    metrics = read_metrics(files.metrics_csv)
    steps = metrics["env_step"]
    return Run(
        directory=directory,
        experiment=row.get("experiment")
        or experiment_name(directory, root or directory, str(task), int(seed)),
        task=str(task),
        seed=int(seed),
        record=RunRecord(
            settings={name: str(value) for name, value in settings.items()},
            drawn={name: value for name, value in row.items() if name not in _SWEEP_COLUMNS and value},
            values=values,
            versions=_versions(environment),
        ),
        progress=RunProgress(
            target_env_steps=None if target is None else math.ceil(target),
            env_step=int(steps[-1]) if len(steps) else 0,
            wall_time_s=float(metrics["wall_time_s"][-1]) if len(steps) else 0.0,
            failure=_failure(row),
            trained=environment.get("trained") is not False,
        ),
        episodes=Episodes.of(metrics),
        evaluations=Evaluations.read(files.evaluation_csv),
    )


def _require(files: RunFiles, name: str, value: Any, is_good: bool, rule: str) -> None:
    """Raises a `RunDirectoryError` if a run's configuration has another value than `rule` says."""
    if value is None and not is_good:
        raise RunDirectoryError(
            f"{files.root} holds no run that can be reported: its config.gin has no train.{name}. "
            "Move it out of --root_dir."
        )
    if not is_good:
        raise RunDirectoryError(
            f"{files.root} holds no run that can be reported: its train.{name} must be {rule}; got {value!r}."
            " Restore its record, or move it out of --root_dir."
        )


def experiment_name(directory: Path, root: Path, task: str, seed: int) -> str:
    """Returns the name of a run's experiment from where it lies.

    Where a directory of the path is called like the recorded task, as in `<experiment>/<task>/…/seed<k>`, it
    is the directory above that one; otherwise the path below `root`, without a last `seed<k>`.
    """
    parts = directory.absolute().parts
    called = re.sub(r"[^\w.-]+", "-", task)
    for index in range(len(parts) - 1, 1, -1):
        if parts[index] == called:
            return parts[index - 1]
    below = directory.absolute().relative_to(root.absolute()).parts or parts[-1:]
    if len(below) > 1 and re.fullmatch(rf"seed[-_]?{seed}", below[-1]):
        below = below[:-1]
    return "/".join(below)


def _walk(root: Path) -> Iterator[Path]:
    """The directories under `root` in the order of their names, but not what is inside a run."""
    yield root
    if RunFiles(root).is_run:
        return
    try:
        below = sorted(root.iterdir(), key=_natural)
    except OSError as error:
        raise RunDirectoryError(
            f"--root_dir: the directory {root} cannot be read: {atomic_files.reason(error)}. Make it "
            "readable, or move it away."
        ) from error
    for entry in below:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _walk(entry)


def _starting(root: Path) -> str:
    """Returns a sentence about a run that is being started in or below a directory without runs."""
    for directory in _walk(root):
        if reading.is_there(directory / LOCK) and (holder := DirectoryLock(directory / LOCK).holder()):
            return (
                f"One is being started in {directory} ({holder}): it can be reported when its first episode "
                "has ended. "
            )
    return ""


def _natural(path: Path) -> list[tuple[int, str]]:
    """`seed10` comes after `seed9`."""
    return [
        (int(text), "") if text.isdecimal() else (-1, text) for text in re.split(r"(\d+)", path.name) if text
    ]


def _read_sweep(path: Path) -> dict[Path, dict[str, str]]:
    rows = read_text_table(path, "Restore it, or remove it to report the runs without it.")
    missing = [name for name in _NEEDED if any(name not in row for row in rows)]
    if missing:
        raise RunDirectoryError(
            f"{path} is not the table of a sweep: it has no column {missing[0]}. Restore it, or remove "
            "it to report the runs without it."
        )
    # A directory is relative to the table, so that a sweep may be moved.
    return {(path.parent / row["directory"]).resolve(): row for row in rows if row["directory"]}


def _failure(row: Mapping[str, str]) -> str | None:
    if row.get("status") != "failed":
        return None
    return (row.get("message") or "no message").splitlines()[0]


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    versions = environment.get("versions")
    return (
        {name: str(value) for name, value in versions.items() if value} if isinstance(versions, dict) else {}
    )
