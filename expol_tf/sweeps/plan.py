"""The runs of a sweep: their configurations, names and directories."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from expol_tf.checked import checked
from expol_tf.configuration import Binding, find_file, read_bindings, read_files, render
from expol_tf.errors import ConfigurationError
from expol_tf.runs import LOCK, SWEEP_TABLE
from expol_tf.sweeps.sweep import Entry, Sweep

# Where the sweep itself writes, beside its table; and the lock by which a directory is known for a run's.
LOGS = "logs"
SWEEP_LOCK = ".sweep.lock"
_RESERVED = (LOGS, SWEEP_LOCK, SWEEP_TABLE, LOCK)
# What the sweep sets itself, by the arguments of `Sweep` and of `run_sweep` that do it.
_OWN_NAMES = {"SEED": "Sweep.seeds", "train.seed": "Sweep.seeds", "train.root_dir": "--root_dir"}
# Each run takes minutes at the least, and its configuration is checked before the first one starts.
_MOST_RUNS = 10_000
# The longest name of a file, with room for what is appended to it.
_LONGEST_NAME = 240


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
      experiment: The experiment's name.
      task: The task's name.
      parameters: Values of the grid and the draws by parameter, as gin writes them.
      seed: Its seed.
      directory: Its directory, relative to the sweep's: experiment/task/parameters/seed.
      gin_files: The files of its configuration, absolute.
      gin_bindings: The statements that override them.
    """

    experiment: str
    task: str
    parameters: Mapping[str, str]
    seed: int
    directory: PurePosixPath
    gin_files: tuple[str, ...]
    gin_bindings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The run's name in messages: its directory."""
        return str(self.directory)


@dataclasses.dataclass(frozen=True)
class _Part:
    """An experiment or task: its files and statements."""

    name: str
    files: tuple[Path, ...]
    statements: tuple[str, ...]


@checked
def plan_sweep(sweep: Sweep, directory: Path | None = None) -> list[SweepRun]:
    """Returns a sweep's runs: all experiments and tasks with the first seed, then those with the second, …

    In this order an unfinished sweep already compares everything.

    Args:
      sweep: The sweep.
      directory: The directory of the sweep's file, in which gin files are looked for first.

    Raises:
      ConfigurationError: A gin file does not exist, or two runs have the same name.
    """
    count = math.prod(map(len, (sweep.seeds, sweep.experiments, sweep.tasks or " ", *sweep.grid.values())))
    if count > _MOST_RUNS:
        raise ConfigurationError(
            f"Sweep: seeds, experiments, tasks and grid must make {_MOST_RUNS:,} runs or fewer; got "
            f"{count:,}. Make several sweeps of it, or draw values (Sweep.draws) in place of a grid."
        )
    experiments = _parts("experiments", sweep.experiments, directory)
    tasks = _parts("tasks", sweep.tasks, directory) or [_Part("", (), ())]
    _refuse_own_names(sweep, [*experiments, *tasks])
    runs: dict[PurePosixPath, SweepRun] = {}
    for seed, experiment, task, cell in itertools.product(
        sweep.seeds, experiments, tasks, _cells(sweep.grid)
    ):
        values = {**cell, **sweep.drawn(seed)}
        files = (*experiment.files, *task.files)
        settings = tuple(f"{name} = {_written(value)}" for name, value in values.items())
        statements = (*experiment.statements, *task.statements, *sweep.bindings, *settings)
        task_name = task.name or _task(files, statements) or "task"
        parts = [experiment.name, task_name, *([_tag(values)] if values else []), f"seed{seed}"]
        place = PurePosixPath(*map(_file_name, parts))
        longest = max(place.parts, key=len)
        if len(longest.encode()) > _LONGEST_NAME:
            raise ConfigurationError(
                f"Sweep: {longest[:80]!r}… would be a directory's name of {len(longest.encode())} bytes, "
                f"where {_LONGEST_NAME} are possible. Give shorter names, or fewer settings."
            )
        if place in runs:
            raise ConfigurationError(
                f"Sweep: two runs would be called {place}. Give experiments and tasks names that differ "
                '({"name": [...]}), and every value of the grid once.'
            )
        shown = {name: _written(value) for name, value in values.items()}
        paths = tuple(map(str, files))
        runs[place] = SweepRun(experiment.name, task_name, shown, seed, place, paths, statements)
    return list(runs.values())


def _parts(name: str, entries: Mapping[str, Entry] | Sequence[Entry], directory: Path | None) -> list[_Part]:
    """Returns the experiments or the tasks with their names."""
    if isinstance(entries, str) or not isinstance(entries, Mapping | list | tuple):
        raise ConfigurationError(
            f'Sweep.{name} must be a mapping {{"name": gin files}} or a sequence of gin files; '
            f"got {entries!r}."
        )
    named = entries.items() if isinstance(entries, Mapping) else ((None, entry) for entry in entries)
    parts = []
    for given, entry in named:
        where = f"Sweep.{name}" if given is None else f"Sweep.{name}[{given!r}]"
        if given is not None and not isinstance(given, str):
            raise ConfigurationError(f"{where}: the name must be a text; got {given!r}.")
        items = [entry] if isinstance(entry, str) else entry
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ConfigurationError(
                f"{where} must be gin files and statements, each a string; got {entry!r}."
            )
        names = [item for item in items if re.fullmatch(r"[^=\n]*\.gin", item.strip())]
        files = tuple(find_file(item.strip(), where, directory) for item in names)
        statements = tuple(item for item in items if item not in names)
        read_bindings(statements, where)
        label = given if given is not None else _default_name(name, files, statements)
        if _file_name(label) in _RESERVED or not label.strip("."):
            raise ConfigurationError(f"{where}: the name {label!r} is not possible here; give another one.")
        parts.append(_Part(label, files, statements))
    return parts


def _default_name(kind: str, files: Sequence[Path], statements: Sequence[str]) -> str:
    task = _task(files, statements) if kind == "tasks" else None
    if task or files:
        return task or "+".join(path.stem for path in files)
    raise ConfigurationError(
        f'Sweep.{kind}: {list(statements)} has no gin file to be named after. Write {{"name": [...]}}.'
    )


def _task(files: Sequence[Path | str], statements: Sequence[str]) -> str | None:
    """Returns the Gymnasium id that files and statements set, as far as it is written there."""
    task = None
    for statement in [*read_files([str(path) for path in files]), *read_bindings(statements, "Sweep")]:
        if (
            isinstance(statement, Binding)
            and isinstance(statement.value, str)
            and statement.name.removeprefix("expol_tf.") in ("TASK", "train.task")
        ):
            task = statement.value
    return task


def _cells(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Returns all combinations of the grid's values."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _written(value: Any) -> str:
    """Returns gin syntax for the value; what has none is refused when the runs are checked."""
    return render(value) or repr(value)


def _tag(values: Mapping[str, Any]) -> str:
    """Returns `max_kl=0.003471,num_transformations=2`; the whole name where the last part is ambiguous."""
    last = [name.rpartition(".")[2] for name in values]
    parts = []
    for name, value in values.items():
        short = name.rpartition(".")[2]
        parts.append(f"{short if last.count(short) == 1 else name}={_short(value)}")
    return ",".join(parts)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "-".join(map(_short, value))
    return str(value)


def _file_name(text: str) -> str:
    """Returns `text` as one readable component of a path."""
    return re.sub(r"[^\w.,=+-]+", "-", text).strip("-") or "-"


def _refuse_own_names(sweep: Sweep, parts: Sequence[_Part]) -> None:
    statements = [*sweep.bindings, *(statement for part in parts for statement in part.statements)]
    names = [*sweep.grid, *sweep.draws]
    names += [item.name for item in read_bindings(statements, "Sweep") if isinstance(item, Binding)]
    for name in names:
        setter = _OWN_NAMES.get(name.removeprefix("expol_tf."))
        if setter:
            raise ConfigurationError(f"Sweep: {name} is set by {setter}; remove it elsewhere.")
