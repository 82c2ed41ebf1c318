"""What a run's directory records about itself: configuration, seed, versions, tables.

Files are read as they are, also while the run is still writing them: a table's last line counts only when it
is whole.
"""

from __future__ import annotations

import ast
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from expol_tf.errors import RunDirectoryError

CONFIG = "config.gin"
FINGERPRINT = "fingerprint.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.csv"
EVALUATION = "evaluation.csv"

# `name = value` of a recorded configuration, which has one statement a line and no includes; what only Python
# can give stands in comments.
_STATEMENT = re.compile(r"^(?:# )?([\w./]+) = (.*?)(?:  # default)?$")
_MACRO = re.compile(r"%([\w.]+)")


def is_run(directory: Path) -> bool:
    """Whether the directory holds a run: a configuration, and rows or the fingerprint that precedes them."""
    return (directory / CONFIG).is_file() and any(
        (directory / name).is_file() for name in (METRICS, FINGERPRINT)
    )


def read_configuration(path: Path) -> dict[str, str]:
    """Returns the values of a run's `config.gin` as text, by `Configurable.parameter`, macros replaced."""
    statements = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _STATEMENT.match(line)
        if match:
            statements[match.group(1).removeprefix("expol_tf.")] = match.group(2)
    return {
        name: _MACRO.sub(lambda match: statements.get(match.group(1), match.group(0)), value)
        for name, value in statements.items()
        if "." in name
    }


def read_json(path: Path) -> dict[str, Any]:
    """Returns the file's object; an empty one if it is missing.

    Raises:
      RunDirectoryError: It is no JSON object.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunDirectoryError(
            f"{path} is damaged ({error}). Restore it, or move the run out of --root_dir."
        ) from error
    return content if isinstance(content, dict) else {}


def read_columns(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Returns columns of a run's table as floats, NaN where empty, without a half-written last line.

    Args:
      path: The CSV file; a missing or empty one has no rows.
      required: Columns that must be there; the first one grows from row to row.
      optional: Columns that are NaN if they are not.

    Raises:
      RunDirectoryError: A required column is missing, the first does not grow, or a cell is no number.
    """
    import pandas

    names = (*required, *optional)
    content = path.read_bytes() if path.is_file() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        return {name: np.empty(0) for name in names}
    try:
        # Without index_col a first row with a cell too many would shift the others.
        table = pandas.read_csv(io.BytesIO(whole), usecols=lambda name: name in names, index_col=False)
        missing = [name for name in required if name not in table]
        if missing:
            raise ValueError(f"no column {missing[0]}")
        columns = {
            name: table[name].to_numpy(float) if name in table else np.full(len(table), np.nan)
            for name in names
        }
        if not (np.diff(columns[required[0]], prepend=-1.0) > 0).all():
            raise ValueError(f"{required[0]} does not grow from row to row")
        return columns
    except ValueError as error:
        raise RunDirectoryError(
            f"{path} is not the table of a run ({error}). Restore it, or move the run out of --root_dir."
        ) from error


def literal(text: str | None) -> Any:
    """Returns the Python value of a gin literal, the text itself if it is none, None for None."""
    if text is None:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
