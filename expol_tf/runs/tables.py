"""The tables of a run as CSV files: a row is whole or not there, and equal values are equal text."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from expol_tf.cli import home_path
from expol_tf.errors import RunDirectoryError
from expol_tf.runs import atomic_files

# How much of a file's end `last_row` reads; a row has some hundred characters.
_END_BYTES = 4096


class CsvTable:
    """An append-only CSV file with fixed columns, one of them `env_step`, that can be cut back to a step.

    Floats are written with `repr`, the shortest text that reads back as the same double; an empty cell is
    None. The file appears with the first row.

    Args:
      path: The CSV file.
      columns: The column names, `env_step` among them.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str]):
        if "env_step" not in columns:
            raise ValueError(f"columns must contain 'env_step'; got {list(columns)}.")
        self._path = home_path(path)
        self._columns = tuple(columns)
        self._descriptor: int | None = None

    @property
    def path(self) -> Path:
        """The CSV file."""
        return self._path

    def append(self, row: Mapping[str, Any]) -> None:
        """Writes one row, given to the system before this returns; columns not in `row` stay empty.

        Raises:
          ValueError: `row` has a key that is not a column.
          RunDirectoryError: The file cannot be written; the rows before are whole.
        """
        unknown = [key for key in row if key not in self._columns]
        if unknown:
            raise ValueError(f"row has the keys {unknown}, which are not columns of {self._path.name}.")
        try:
            if self._descriptor is None:
                self._open()
            self._write(_line([_cell(row.get(column)) for column in self._columns]))
        except OSError as error:
            raise RunDirectoryError(_cannot_write(self._path, error)) from error

    def truncate_after(self, env_step: int) -> None:
        """Removes the rows with a later `env_step`, and lines that a kill or a power cut left incomplete.

        The lines kept stay byte for byte the same. The file is replaced in one step.

        Raises:
          RunDirectoryError: The file has other columns, or cannot be written.
        """
        self.close()
        try:
            lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
            if not lines:
                return
            if not lines[0].endswith(b"\n"):
                self._path.unlink()
                return
            self._check_header(lines[0])
            kept = [line for line in lines[1:] if self._belongs(line, env_step)]
            if len(kept) < len(lines) - 1:
                atomic_files.write_atomically(self._path, b"".join([lines[0], *kept]))
        except OSError as error:
            raise RunDirectoryError(_cannot_write(self._path, error)) from error

    def sync(self) -> None:
        """Waits until the rows are on the disk, so that a power cut cannot lose what a checkpoint needs."""
        if self._descriptor is not None:
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise RunDirectoryError(_cannot_write(self._path, error)) from error

    def close(self) -> None:
        """Closes the file; the next `append` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._descriptor, whole)
        if whole == 0:
            self._write(_line(self._columns))
        else:
            self._check_header(content[: content.find(b"\n") + 1])

    def _write(self, line: bytes) -> None:
        """Appends the line with one system call, or leaves the file as it was."""
        assert self._descriptor is not None
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                # A disk that fills up takes a part first; the second attempt names the reason.
                os.write(self._descriptor, line[written:])
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise

    def _check_header(self, header: bytes) -> None:
        if header != _line(self._columns):
            columns = header.decode(errors="replace").strip()
            raise RunDirectoryError(
                f"{self._path} has the columns {columns}; this run writes {','.join(self._columns)}. "
                "Resume with the version and configuration that wrote it, or train in another root directory."
            )

    def _belongs(self, line: bytes, env_step: int) -> bool:
        cells = _parse_line(line)
        if cells is None or len(cells) != len(self._columns):
            return False
        step = _value(cells[self._columns.index("env_step")])
        return isinstance(step, int | float) and step <= env_step


def write_table(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Replaces a table as a whole: a reader sees the old or the new one.

    Args:
      path: The CSV file.
      rows: Its rows; the keys of the first are the columns.

    Raises:
      RunDirectoryError: The file cannot be written; the old one is still there.
    """
    path = home_path(path)
    columns = list(rows[0]) if rows else []
    lines = [_line(columns), *(_line([_cell(row[column]) for column in columns]) for row in rows)]
    try:
        atomic_files.write_atomically(path, b"".join(lines))
    except OSError as error:
        raise RunDirectoryError(_cannot_write(path, error)) from error


def read_lines(path: str | os.PathLike[str]) -> list[list[str]]:
    """Returns the cells of a CSV file's whole lines as text, the header first; none if the file is missing.

    A line that is still being written, or that a kill left incomplete, is left out.
    """
    try:
        lines = home_path(path).read_bytes().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    # Without a whole header the cells below it mean nothing.
    if not lines or (header := _parse_line(lines[0])) is None:
        return []
    return [header, *(cells for line in lines[1:] if (cells := _parse_line(line)))]


def read_text_table(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Returns the complete rows of a CSV file, cells as text; none if it is missing."""
    columns, *rows = read_lines(path) or [[]]
    return [dict(zip(columns, cells, strict=True)) for cells in rows if len(cells) == len(columns)]


def read_table(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the complete rows of a CSV file, cells as int, float, str or None where empty."""
    return [{name: _value(cell) for name, cell in row.items()} for row in read_text_table(path)]


def read_columns(
    path: str | os.PathLike[str], required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Returns columns of a run's table as floats [R], NaN where empty.

    Args:
      path: The CSV file; a missing or empty one has no rows.
      required: Columns that must be there; the first one grows from row to row.
      optional: Columns that are NaN if they are not.

    Raises:
      RunDirectoryError: A required column is missing, the first does not grow, or a cell is no number.
    """
    header, *rows = read_lines(path) or [[*required]]
    try:
        columns = {}
        for name in (*required, *optional):
            if name not in header and name in required:
                raise ValueError(f"no column {name}")
            index = header.index(name) if name in header else len(header)
            cells = [row[index] if index < min(len(row), len(header)) else "" for row in rows]
            columns[name] = np.array([float(cell or "nan") for cell in cells], float)
        if not (np.diff(columns[required[0]], prepend=-1.0) > 0).all():
            raise ValueError(f"{required[0]} does not grow from row to row")
    except ValueError as error:
        raise RunDirectoryError(
            f"{path} is not the table of a run ({error}). Restore it, or move the run out of --root_dir."
        ) from error
    return columns


def last_row(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the last complete row of a table, empty if there is none; reads only the end of the file."""
    try:
        with open(path, "rb") as file:
            header = file.readline()
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(header), size - _END_BYTES))
            lines = file.read().splitlines(keepends=True)
    except OSError:
        return {}
    whole = [line for line in lines if line.endswith(b"\n")]
    columns, cells = (_parse_line(line) for line in (header, whole[-1] if whole else b""))
    if columns is None or cells is None or len(columns) != len(cells):
        return {}
    return dict(zip(columns, map(_value, cells), strict=True))


def _cannot_write(path: Path, error: Exception) -> str:
    return (
        f"cannot write {path}: {atomic_files.reason(error)}. What was written before is kept; free space or "
        "make the directory writable, then start the same command again."
    )


def _line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode()


def _parse_line(line: bytes) -> list[str] | None:
    """Returns the cells of a complete line, None for one that breaks off or is not text."""
    if not line.endswith(b"\n") or b"\0" in line:
        return None
    try:
        return next(csv.reader([line.decode()]), None)
    except (UnicodeDecodeError, csv.Error):
        return None


def _cell(value: Any) -> str:
    """Returns the text of a cell; NumPy and TensorFlow scalars count as their Python values."""
    if value is None:
        return ""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    text = str(value)
    if "\n" in text or "\r" in text:
        raise ValueError(f"a cell must be one line; got {text!r}.")
    return text


def _value(cell: str) -> Any:
    if cell == "":
        return None
    for convert in (int, float):
        try:
            return convert(cell)
        except ValueError:
            continue
    return cell
