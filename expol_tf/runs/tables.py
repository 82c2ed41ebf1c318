"""The tables of a run as CSV files: a row is whole or not there, and equal values are equal text."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.errors import RunDirectoryError
from expol_tf.runs import atomic_files, reading

# How much of a file's end `last_row` reads; a row has some hundred characters.
_END_BYTES = 4096
# What may be there of a header that is still being written.
_BEGINNING = re.compile(rb"([A-Za-z_][\w/ .,-]*)?")
# Whole numbers up to here are themselves in double precision.
_LARGEST_STEP = 2.0**53


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
        self._steps: list[int] = []
        self._digest = hashlib.sha256()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns."""
        return self._columns

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
            line = _line([_cell(row.get(column)) for column in self._columns])
            self._write(line)
            self._note([line])
        except OSError as error:
            raise RunDirectoryError(_cannot_write(self._path, error)) from error

    def truncate_after(self, env_step: int) -> None:
        """Removes the rows with a later `env_step`, and lines that a kill or a power cut left incomplete.

        The lines kept stay byte for byte the same. The file is replaced in one step.

        Raises:
          RunDirectoryError: The file has other columns, or cannot be written.
        """
        self.close()
        self._steps, self._digest = [], hashlib.sha256()
        try:
            lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
            if not lines:
                return
            if not lines[0].endswith(b"\n"):
                self._path.unlink()
                return
            self._check_header(lines[0])
            kept = [line for line in lines[1:] if self._belongs(line, env_step)]
            self._note(kept)
            if len(kept) < len(lines) - 1:
                atomic_files.write_atomically(self._path, b"".join([lines[0], *kept]))
        except OSError as error:
            raise RunDirectoryError(_cannot_write(self._path, error)) from error

    def written(self) -> tuple[np.ndarray, str]:
        """Returns the `env_step` of every row written or kept by this object, int64 [R], and their SHA-256."""
        return np.array(self._steps, np.int64), self._digest.hexdigest()

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

    def _note(self, lines: Sequence[bytes]) -> None:
        """Adds rows to what `written` returns."""
        for line in lines:
            cells = _parse_line(line) or []
            self._steps.append(int(cells[self._columns.index("env_step")]))
            self._digest.update(line)

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
        return isinstance(step, int) and 0 <= step <= env_step


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


def read_lines(path: str | os.PathLike[str], remedy: str = reading.REMEDY) -> list[list[str]]:
    """Returns the cells of a CSV file's lines as text, the header first; none if the file is missing.

    A last line that is still being written, or that a kill left incomplete, is left out.

    Args:
      path: The file.
      remedy: What to do about one that cannot be read.

    Raises:
      RunDirectoryError: It cannot be read, or a whole line has other cells than the header.
    """
    path = home_path(path)
    if not reading.is_there(path):
        return []
    try:
        return _lines(reading.read_bytes(path))
    except reading.Damage as damage:
        raise reading.unreadable(path, damage, remedy) from damage


def _lines(data: bytes) -> list[list[str]]:
    """Returns the cells of a table's whole lines; raises a `Damage` for what no run writes."""
    if b"\0" in data:
        raise reading.Damage("it holds bytes of zero, as a power cut leaves them")
    # A line that is being written may break off within a character.
    whole = data.rfind(b"\n") + 1
    reading.decoded(data[:whole])
    if not whole and not _BEGINNING.fullmatch(data):
        reading.decoded(data)
        raise reading.Damage("it does not begin with the names of columns")
    rows: list[list[str]] = []
    for number, line in enumerate(data[:whole].splitlines(keepends=True), 1):
        cells = _parse_line(line)
        if cells is None or not cells:
            raise reading.Damage(f"line {number} is no row")
        if rows and len(cells) != len(rows[0]):
            raise reading.Damage(f"line {number} has {len(cells)} cells instead of {len(rows[0])}")
        rows.append(cells)
    return rows


def read_text_table(path: str | os.PathLike[str], remedy: str = reading.REMEDY) -> list[dict[str, str]]:
    """Returns the rows of a CSV file, cells as text; none if it is missing. See `read_lines`."""
    columns, *rows = read_lines(path, remedy) or [[]]
    return [dict(zip(columns, cells, strict=True)) for cells in rows]


@checked
def read_table(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the rows of a CSV file, cells as int, float, str or None where empty. See `read_lines`."""
    return [{name: _value(cell) for name, cell in row.items()} for row in read_text_table(path)]


def read_columns(
    path: str | os.PathLike[str], required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Returns columns of a run's table as floats [R], NaN where empty.

    Args:
      path: The CSV file; a missing or empty one has no rows.
      required: Columns that must be there; the first one holds whole numbers that grow from row to row.
      optional: Columns that are NaN if they are not.

    Raises:
      RunDirectoryError: The file cannot be read, a required column is missing, the first does not grow, or a
        cell is no number.
    """
    header, *rows = read_lines(path) or [[*required]]
    try:
        columns = {}
        for name in (*required, *optional):
            if name not in header and name in required:
                raise ValueError(f"no column {name}")
            cells = [row[header.index(name)] for row in rows] if name in header else [""] * len(rows)
            columns[name] = np.array([float(cell or "nan") for cell in cells], float)
        first = columns[required[0]]
        if not (np.diff(first, prepend=-1.0) > 0).all() or not np.all(first == np.floor(first)):
            raise ValueError(f"{required[0]} does not grow from row to row, in whole numbers")
        if np.any(first > _LARGEST_STEP):
            raise ValueError(f"{required[0]} is above {_LARGEST_STEP:g}")
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
