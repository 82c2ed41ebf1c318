"""The index of a sweep: `sweep.csv`, a row a run, and the table printed in the end."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expol_tf.errors import RunDirectoryError
from expol_tf.sweeps.check import CheckedRun

FILE_NAME = "sweep.csv"
# A run that was not reached has the status "pending".
STATUSES = ("pending", "running", "finished", "failed", "interrupted")


@dataclasses.dataclass
class RunState:
    """How far a run is.

    Attributes:
      checked: The run.
      status: One of `STATUSES`.
      attempts: Processes started for it, over all starts of the sweep.
      env_step: Environment steps done, None before the first iteration.
      message: Why it failed, in one line.
    """

    checked: CheckedRun
    status: str = "pending"
    attempts: int = 0
    env_step: int | None = None
    message: str = ""

    @property
    def name(self) -> str:
        """What messages call the run."""
        return self.checked.run.name

    def metrics_csv(self, root: Path) -> Path:
        """Returns the run's own table."""
        return root / self.checked.run.directory / "metrics.csv"


def write_index(root: Path, states: Sequence[RunState]) -> None:
    """Replaces `sweep.csv`; a reader sees the old or the new one.

    Columns: experiment, task, seed, a column for each parameter of the sweep's grid and draws, directory
    (relative to the file's), status, attempts, env_step, message.

    Raises:
      RunDirectoryError: It cannot be written.
    """
    parameters = list(dict.fromkeys(name for state in states for name in state.checked.run.parameters))
    columns = ["experiment", "task", "seed", *parameters]
    columns += ["directory", "status", "attempts", "env_step", "message"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for state in states:
        run = state.checked.run
        row: list[Any] = [run.experiment, run.task, run.seed]
        row += [run.parameters.get(name, "") for name in parameters]
        row += [run.directory, state.status, state.attempts]
        row += ["" if state.env_step is None else state.env_step, state.message]
        writer.writerow(row)
    temporary = root / f".{FILE_NAME}.tmp"
    try:
        temporary.write_text(buffer.getvalue(), encoding="utf-8")
        os.replace(temporary, root / FILE_NAME)
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {root / FILE_NAME}: {error.strerror}. Runs that were finished are kept; free "
            "space or make the directory writable, then start the same command again."
        ) from error


def read_index(root: Path) -> dict[str, dict[str, str]]:
    """Returns the rows of an existing `sweep.csv` by directory; none if there is no whole one."""
    try:
        with open(root / FILE_NAME, newline="", encoding="utf-8") as file:
            return {row["directory"]: row for row in csv.DictReader(file)}
    except (OSError, KeyError, csv.Error, UnicodeDecodeError):
        return {}


def last_row(metrics_csv: Path) -> dict[str, str]:
    """Returns the last complete row of a run's `metrics.csv`, empty if there is none; reads only the end."""
    try:
        with open(metrics_csv, "rb") as file:
            header = file.readline()
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(header), size - 4096))
            lines = file.read().splitlines(keepends=True)
    except OSError:
        return {}
    whole = [line for line in lines if line.endswith(b"\n")]
    if not whole:
        return {}
    columns, cells = (next(csv.reader([line.decode(errors="replace")]), []) for line in (header, whole[-1]))
    return dict(zip(columns, cells, strict=True)) if len(columns) == len(cells) else {}


def env_step(metrics_csv: Path) -> int | None:
    """Returns the environment steps that a run has recorded."""
    cell = last_row(metrics_csv).get("env_step", "")
    return int(cell) if cell.isdigit() else None


def summary(states: Sequence[RunState]) -> str:
    """Returns the table of experiments and tasks with their runs by status, and a line for every failure."""
    groups: dict[tuple[str, str], list[RunState]] = {}
    for state in states:
        groups.setdefault((state.checked.run.experiment, state.checked.run.task), []).append(state)
    shown = [status for status in STATUSES if any(state.status == status for state in states)]
    rows = [("experiment", "task", "runs", *shown)]
    for (experiment, task), group in groups.items():
        counts = [sum(state.status == status for state in group) for status in shown]
        rows.append((experiment, task, str(len(group)), *map(str, counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{cell:<{width}}" if i < 2 else f"{cell:>{width}}" for i, (cell, width) in enumerate(
            zip(row, widths, strict=True)
        )]  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    for state in states:
        if state.status == "failed":
            lines.append(f"failed: {state.name} (attempts: {state.attempts}): {state.message}")
    return "\n".join(lines)
