"""Finished and unfinished runs, read from their directories."""

from __future__ import annotations

import csv
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from expol_tf.errors import RunDirectoryError
from expol_tf.reports import recorded

SWEEP = "sweep.csv"
_NEEDED = ("experiment", "task", "seed", "directory", "status")
# The others are the sweep's parameters.
_SWEEP_COLUMNS = (*_NEEDED, "attempts", "env_step", "message")


@dataclasses.dataclass(frozen=True, eq=False)
class Episodes:
    """The rows of `metrics.csv` in which episodes ended.

    Attributes:
      env_step: [R] environment steps at the row's end.
      return_mean: [R] mean return of the episodes that ended in the row.
      count: [R] how many they were.
    """

    env_step: np.ndarray
    return_mean: np.ndarray
    count: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluations:
    """The rows of `evaluation.csv`: [E] environment steps and [E] mean returns of the policy then."""

    env_step: np.ndarray
    return_mean: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One run as it was found.

    Attributes:
      directory: Where it is.
      experiment: The name under which it ran: a sweep's, or the directory above its task's.
      task: From the recorded configuration.
      seed: From the record.
      settings: What makes its experiment this one, by name, as text; without seed and length.
      drawn: The sweep's parameters, by name, as text.
      values: The whole configuration, defaults too, by name, as text.
      target_env_steps: The length that was asked for, None if unknown.
      env_step: Environment steps done.
      wall_time_s: Seconds that they took.
      episodes: The training returns.
      evaluations: The evaluations' returns.
      failure: Why the sweep gave it up, None if it did not.
      versions: Package → version under which it ran.
    """

    directory: Path
    experiment: str
    task: str
    seed: int
    settings: Mapping[str, str]
    drawn: Mapping[str, str]
    values: Mapping[str, str]
    target_env_steps: int | None
    env_step: int
    wall_time_s: float
    episodes: Episodes
    evaluations: Evaluations
    failure: str | None
    versions: Mapping[str, str]

    @property
    def outcome(self) -> str:
        """`finished`, `unfinished` or `failed`."""
        if self.failure is not None:
            return "failed"
        if self.target_env_steps is not None and self.env_step < self.target_env_steps:
            return "unfinished"
        return "finished"


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies under the given directories.

    Attributes:
      runs: All runs, in the order of their sweep or else of their directories.
      lost: A line for each run of a sweep that left no directory.
    """

    runs: tuple[Run, ...]
    lost: tuple[str, ...]


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
        root = Path(given)
        if not root.is_dir():
            raise RunDirectoryError(
                f"--root_dir must name a directory with runs; there is no directory {root}. Give the one "
                "that expol-train or expol-sweep wrote."
            )
        sweep: dict[Path, dict[str, str]] = {}
        directories = []
        for directory in _walk(root):
            if (directory / SWEEP).is_file():
                sweep |= _read_sweep(directory / SWEEP)
            if recorded.is_run(directory):
                directories.append(directory)
        if not directories:
            raise RunDirectoryError(
                f"--root_dir must hold runs (directories with {recorded.CONFIG} and {recorded.METRICS}); "
                f"{root} holds none. Give the directory that expol-train or expol-sweep wrote, or one above."
            )
        # In the order of a sweep's table, which is its author's; others follow by name.
        order = {directory: index for index, directory in enumerate(sweep)}
        for directory in sorted(directories, key=lambda each: order.get(each.resolve(), len(order))):
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
    values = recorded.read_configuration(directory / recorded.CONFIG)
    settings = recorded.read_json(directory / recorded.FINGERPRINT)
    environment = recorded.read_json(directory / recorded.ENVIRONMENT)
    task = recorded.literal(values.get("train.task") or settings.get("train.task"))
    seed = environment.get("seed")
    if seed is None:
        seed = recorded.literal(values.get("train.seed"))
    for name, value in (("task", task), ("seed", seed)):
        if value is None:
            raise RunDirectoryError(
                f"{directory} holds no run that can be reported: its {recorded.CONFIG} has no train.{name}. "
                "Move it out of --root_dir."
            )
    row = row or {}
    target = recorded.literal(values.get("train.num_env_steps"))
    metrics = recorded.read_columns(
        directory / recorded.METRICS, ("env_step", "episode_return_mean", "episodes"), ("wall_time_s",)
    )
    evaluation = recorded.read_columns(directory / recorded.EVALUATION, ("env_step", "return_mean"))
    finite = np.isfinite(evaluation["return_mean"])
    steps = metrics["env_step"]
    return Run(
        directory=directory,
        experiment=row.get("experiment")
        or experiment_name(directory, root or directory, str(task), int(seed)),
        task=str(task),
        seed=int(seed),
        settings={name: str(value) for name, value in settings.items()},
        drawn={name: value for name, value in row.items() if name not in _SWEEP_COLUMNS and value},
        values=values,
        target_env_steps=target if isinstance(target, int) else None,
        env_step=int(steps[-1]) if len(steps) else 0,
        wall_time_s=float(metrics["wall_time_s"][-1]) if len(steps) else 0.0,
        episodes=_episodes(metrics),
        evaluations=Evaluations(evaluation["env_step"][finite], evaluation["return_mean"][finite]),
        failure=_failure(row),
        versions=_versions(environment),
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
    if recorded.is_run(root):
        return
    for entry in sorted(root.iterdir(), key=_natural):
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _walk(entry)


def _natural(path: Path) -> list[tuple[int, str]]:
    """`seed10` comes after `seed9`."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name) if part
    ]


def _read_sweep(path: Path) -> dict[Path, dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise RunDirectoryError(
                f"{path} is not the table of a sweep: it has no column {missing[0]}. Restore it, or remove "
                "it to report the runs without it."
            )
        rows = [row for row in reader if row["directory"]]
    # A directory is relative to the table, so that a sweep may be moved.
    return {
        (path.parent / row["directory"]).resolve(): {k: v or "" for k, v in row.items() if k} for row in rows
    }


def _failure(row: Mapping[str, str]) -> str | None:
    if row.get("status") != "failed":
        return None
    return (row.get("message") or "no message").splitlines()[0]


def _episodes(metrics: Mapping[str, np.ndarray]) -> Episodes:
    count = np.diff(np.nan_to_num(metrics["episodes"]), prepend=0.0)
    ended = (count > 0) & np.isfinite(metrics["episode_return_mean"])
    return Episodes(metrics["env_step"][ended], metrics["episode_return_mean"][ended], count[ended])


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    versions = environment.get("versions")
    return (
        {name: str(value) for name, value in versions.items() if value} if isinstance(versions, dict) else {}
    )
