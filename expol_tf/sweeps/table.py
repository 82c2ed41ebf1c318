"""The index of a sweep: `sweep.csv`, a row a run, and the table printed in the end."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from expol_tf.runs import SWEEP_TABLE, RunFiles, last_row, read_text_table, reading, write_table
from expol_tf.sweeps.check import CheckedRun

STATUSES = ("pending", "running", "finished", "failed", "interrupted")


@dataclasses.dataclass
class RunState:
    """The state of a run.

    Attributes:
      checked: The run.
      status: One of `STATUSES`; a run that was not reached is "pending".
      attempts: Processes started for it, over all starts of the sweep.
      env_step: Environment steps done, None before the first iteration.
      message: Why it failed, in one line.
      episode_return: The last return that it recorded, None before an episode has ended.
    """

    checked: CheckedRun
    status: str = "pending"
    attempts: int = 0
    env_step: int | None = None
    message: str = ""
    episode_return: float | None = None

    @property
    def name(self) -> str:
        """What messages call the run."""
        return self.checked.run.name

    def files(self, root: Path) -> RunFiles:
        """Returns the run's own files, in the sweep's directory `root`."""
        return RunFiles(root / self.checked.run.directory)

    def read_progress(self, root: Path) -> None:
        """Puts down the environment steps and the return of the run's last row, where they are numbers."""
        row = last_row(self.files(root).metrics_csv)
        if isinstance(row.get("env_step"), int):
            self.env_step = row["env_step"]
        if isinstance(row.get("episode_return_mean"), int | float):
            self.episode_return = row["episode_return_mean"]


def write_index(root: Path, states: Sequence[RunState]) -> None:
    """Replaces `sweep.csv`; a reader sees the old or the new one.

    Columns: experiment, task, seed, a column for each parameter of the sweep's grid and draws, directory
    (relative to the file's), status, attempts, env_step, message.

    Raises:
      RunDirectoryError: It cannot be written.
    """
    parameters = dict.fromkeys(name for state in states for name in state.checked.run.parameters)
    rows = []
    for state in states:
        run = state.checked.run
        rows.append(
            {"experiment": run.experiment, "task": run.task, "seed": run.seed}
            | {name: run.parameters.get(name) for name in parameters}
            | {"directory": run.directory, "status": state.status, "attempts": state.attempts}
            | {"env_step": state.env_step, "message": state.message}
        )
    write_table(root / SWEEP_TABLE, rows)


def read_index(root: Path) -> dict[str, dict[str, str]]:
    """Returns the rows of an existing `sweep.csv` by directory; none if there is no whole one.

    Raises:
      RunDirectoryError: It cannot be read, or a number of attempts is none.
    """
    remedy = "Restore it, or remove it: the sweep then looks at the runs alone, and counts attempts anew."
    rows = read_text_table(root / SWEEP_TABLE, remedy)
    for row in rows:
        if not re.fullmatch("[0-9]{0,9}", row.get("attempts", "")):
            problem = f"attempts must be whole numbers; got {row['attempts']!r}"
            raise reading.unreadable(root / SWEEP_TABLE, problem, remedy)
    return {row["directory"]: row for row in rows if "directory" in row}


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
