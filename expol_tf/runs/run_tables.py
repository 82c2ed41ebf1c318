"""The two tables of a run that is trained, and what its checkpoints know of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from expol_tf.errors import RunDirectoryError
from expol_tf.runs import atomic_files, reading
from expol_tf.runs.reading import entries, is_text, optional, sequence
from expol_tf.runs.run_files import RunFiles
from expol_tf.runs.tables import CsvTable

_PREFIX = "rows/"
_REMEDY = "Remove it, and start the same command again: the run goes on without its rows."
# Gaps that a message names one by one.
_NAMED = 3

# The checksum of a table without rows.
_OF_NO_ROWS = hashlib.sha256().hexdigest()


def _is_columns(value: Any) -> str | None:
    """Checks for the columns of a table: one line of different names, among them the step."""
    if problem := sequence(is_text)(value):
        return problem
    if broken := [name for name in value if any(sign in name for sign in "\n\r\0")]:
        return f"must be names of one line; got {broken[0]!r}"
    if twice := [name for i, name in enumerate(value) if name in value[:i]]:
        return f"must have different names; got {twice[0]!r} twice"
    return None if "env_step" in value else "must have 'env_step' among its names"


_TABLE = entries(columns=_is_columns, sha256=is_text)
# The part of a checkpoint's values that `RunTables.get_values` returns. A table appears with its first row,
# but the columns of the evaluations are known before.
TABLES_SCHEMA = entries(**{"metrics.csv": optional(_TABLE), "evaluation.csv": _TABLE})


class RunTables:
    """Writes `metrics.csv` and `evaluation.csv`, and compares them with a checkpoint when a run resumes.

    Args:
      run: The run's files.
      columns: The first columns of `metrics.csv`; others that its first row has follow.
      evaluation_columns: The columns of `evaluation.csv`.
    """

    def __init__(self, run: RunFiles, columns: Sequence[str], evaluation_columns: Sequence[str]) -> None:
        self._run = run
        self._first_columns = tuple(columns)
        # Columns that are not known beforehand come with the first row.
        self._metrics: CsvTable | None = None
        self._evaluations = CsvTable(run.evaluation_csv, evaluation_columns)

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        """Appends a row to `metrics.csv`."""
        if self._metrics is None:
            own = [name for name in row if name not in self._first_columns]
            self._metrics = CsvTable(self._run.metrics_csv, (*self._first_columns, *own))
        self._metrics.append(row)

    def add_evaluation(self, row: Mapping[str, Any]) -> None:
        """Appends a row to `evaluation.csv`."""
        self._evaluations.append(row)

    def sync(self) -> None:
        """Waits until all rows are on the disk."""
        for table in self._tables():
            table.sync()

    def close(self) -> None:
        """Closes the files."""
        for table in self._tables():
            table.close()

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the environment steps of all rows, for a checkpoint's arrays."""
        return {f"{_PREFIX}{table.path.name}": table.written()[0] for table in self._tables()}

    def get_values(self) -> dict[str, Any]:
        """Returns columns and checksum of both tables, for a checkpoint's values."""
        return {
            table.path.name: {"columns": list(table.columns), "sha256": table.written()[1]}
            for table in self._tables()
        }

    def problem_with(
        self, env_step: int, state: Mapping[str, np.ndarray], values: Mapping[str, Mapping[str, Any]]
    ) -> str | None:
        """Returns what is wrong with what a checkpoint knows of the tables, None if nothing is.

        Args:
          env_step: The checkpoint's; no row is from later.
          state: The checkpoint's arrays, those of `get_state` among them.
          values: What `get_values` returned, of the form `TABLES_SCHEMA`.
        """
        own = {
            self._run.metrics_csv.name: self._first_columns,
            self._run.evaluation_csv.name: self._evaluations.columns,
        }
        for file, columns in own.items():
            name, known = f"{_PREFIX}{file}", values.get(file)
            rows = state.get(name)
            if known is None:
                if rows is not None:
                    return f"manifest.json: values: 'tables' has no {file!r}"
                continue
            # A row of this run could not be written to a table without them.
            if lacking := [column for column in columns if column not in known["columns"]]:
                return f"manifest.json: values: 'tables' {file!r} 'columns' has no {lacking[0]!r}"
            if rows is None:
                return f"arrays.npz: it has no {name!r}"
            if rows.ndim != 1 or rows.dtype.kind != "i":
                return f"arrays.npz: {name!r} must be integers of rank 1; got {rows.dtype} of rank {rows.ndim}"
            if np.any((rows < 0) | (rows > env_step)):
                return f"arrays.npz: {name!r} must be steps from 0 to {env_step}"
            if (len(rows) == 0) != (known["sha256"] == _OF_NO_ROWS):
                return f"arrays.npz: {name!r} has {len(rows)} rows, which are not those of its checksum"
        return None

    def restore(
        self,
        env_step: int,
        evaluated_at: int,
        state: Mapping[str, np.ndarray],
        values: Mapping[str, Mapping[str, Any]],
    ) -> list[str]:
        """Removes the rows after a checkpoint, and compares the others with what it knows.

        A table with the columns of another run is set aside.

        Args:
          env_step: The last step of a row of `metrics.csv`.
          evaluated_at: The last step of a row of `evaluation.csv`.
          state: What `get_state` returned, among others.
          values: What `get_values` returned; nothing of a table that the checkpoint does not know.

        Returns:
          A sentence for each table whose rows are not all there.

        Raises:
          RunDirectoryError: A table cannot be read or written.
        """
        known = values.get(self._run.metrics_csv.name)
        notes = []
        header = _header(self._run.metrics_csv)
        if known is not None:
            self._metrics = CsvTable(self._run.metrics_csv, known["columns"])
        elif header is not None and tuple(header[: len(self._first_columns)]) == self._first_columns:
            self._metrics = CsvTable(self._run.metrics_csv, header)
        elif header is not None:
            notes += _set_aside(self._run.metrics_csv)
        for table, last in ((self._metrics, env_step), (self._evaluations, evaluated_at)):
            if table is None:
                continue
            header = _header(table.path)
            if header is not None and tuple(header) != table.columns:
                notes += _set_aside(table.path)
            table.truncate_after(last)
            steps = state.get(f"{_PREFIX}{table.path.name}")
            if steps is not None and table.path.name in values:
                notes += _compare(table, steps, values[table.path.name]["sha256"], env_step)
        return notes

    def _tables(self) -> list[CsvTable]:
        return [self._evaluations] if self._metrics is None else [self._metrics, self._evaluations]


def _header(path: Path) -> list[str] | None:
    """Returns the columns of a table, no columns if its first line is no text, None if it has no first line."""
    if not reading.is_there(path):
        return None
    try:
        first, end, _ = reading.read_bytes(path).partition(b"\n")
    except reading.Damage as damage:
        raise reading.unreadable(path, damage, _REMEDY) from damage
    if not end:
        return None
    try:
        return first.decode().rstrip("\r").split(",")
    except UnicodeDecodeError:
        return []


def _set_aside(path: Path) -> list[str]:
    """Renames a table that is not this run's; returns the sentence that says so."""
    try:
        target = atomic_files.set_aside(path)
    except OSError as error:
        raise RunDirectoryError(
            f"{path} has not the columns of this run and cannot be set aside: {atomic_files.reason(error)}. "
            "Make the directory writable, or move the file away."
        ) from error
    return [f"{path.name} has not the columns of this run; it is kept as {target.name}."]


def _compare(table: CsvTable, known: np.ndarray, digest: str, env_step: int) -> list[str]:
    """Returns a sentence if the rows that are there are not those that the checkpoint knows."""
    there, present = table.written()
    if present == digest:
        return []
    name, checkpoint = table.path.name, f"the checkpoint of env_step {env_step:,}"
    missing = ~np.isin(known, there)
    if not missing.any():
        return [
            f"{name} has rows that are not those of {checkpoint}: another run's, or edited. They are kept."
        ]
    return [
        f"{name} has {len(there)} of the {len(known)} rows that {checkpoint} knows of; missing are those at "
        f"env_step {_gaps(known, missing)}. The run goes on without them."
    ]


def _gaps(known: np.ndarray, missing: np.ndarray) -> str:
    """Returns the steps of the missing rows, neighbours together: "2,048 to 8,192, 12,288"."""
    edges = np.flatnonzero(np.diff(missing.astype(int), prepend=0, append=0))
    gaps = [(known[first], known[end - 1]) for first, end in zip(edges[::2], edges[1::2], strict=True)]
    named: Iterable[str] = (f"{a:,}" if a == b else f"{a:,} to {b:,}" for a, b in gaps[:_NAMED])
    more = f" and {len(gaps) - _NAMED} more gaps" if len(gaps) > _NAMED else ""
    return ", ".join(named) + more
