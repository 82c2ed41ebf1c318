"""Reads the files of a run as what they are: data that somebody else may have written.

A file may be empty, cut off, a directory, a link to nothing, unreadable, no text, or nested without end. Each
reader says which file, what is wrong with it and what to do, and never something that is not in the file.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from expol_tf.errors import RunDirectoryError
from expol_tf.runs import atomic_files

REMEDY = "Restore it from a copy, or leave this run out: give another root_dir."
# No record of a run is nested deeper; Python's own functions give up at a thousand.
_DEEPEST = 100

# Whole numbers up to here are themselves in double precision; no run counts further.
LARGEST = 2**53

# Says what is wrong with a value, None if nothing is.
Check = Callable[[Any], str | None]


class Damage(ValueError):
    """What is wrong with a file or with a value in it, in a few words."""


def is_there(path: Path) -> bool:
    """Whether the directory has an entry of this name, be it a link to nothing."""
    return os.path.lexists(path)


def read_bytes(path: Path) -> bytes:
    """Returns the content of a regular file, or of one that a link leads to.

    Raises:
      Damage: It cannot be read, or is no file.
    """
    try:
        # A pipe would otherwise be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Damage("it is a link to nothing" if path.is_symlink() else "it is missing") from None
    except (OSError, ValueError) as error:
        raise Damage(atomic_files.reason(error)) from error
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        raise Damage("it is a directory" if stat.S_ISDIR(kind) else "it is no regular file")
    try:
        with open(descriptor, "rb") as file:
            return file.read()
    except OSError as error:
        raise Damage(atomic_files.reason(error)) from error


def read_text(path: Path, remedy: str = REMEDY) -> str:
    """Returns the content of a text file.

    Raises:
      RunDirectoryError: It cannot be read, or is not UTF-8.
    """
    try:
        return decoded(read_bytes(path))
    except Damage as damage:
        raise unreadable(path, damage, remedy) from damage


def read_json(path: Path, check: Check | None = None, remedy: str = REMEDY) -> dict[str, Any]:
    """Returns the object that a JSON file holds.

    Args:
      path: The file.
      check: Says what is wrong with the object.
      remedy: What to do about a damaged file.

    Raises:
      RunDirectoryError: It cannot be read, holds something else, or `check` finds something.
    """
    try:
        content = parse_json(read_bytes(path))
        if check is not None and (problem := check(content)):
            raise Damage(problem)
    except Damage as damage:
        raise unreadable(path, damage, remedy) from damage
    return content


def parse_json(data: bytes) -> dict[str, Any]:
    """Returns the object in the text of a JSON file.

    Raises:
      Damage: There is none.
    """
    text = decoded(data)
    if not text.strip():
        raise Damage("it is empty")
    try:
        content = json.loads(text)
    except RecursionError:
        raise Damage(_too_deep()) from None
    except ValueError as error:
        raise Damage(f"it is not whole: {error}") from None
    if not isinstance(content, dict):
        raise Damage(f"it must hold an object; got {_shown(content)}")
    _check_leaves(content)
    return content


def unreadable(path: Path, damage: Exception | str, remedy: str = REMEDY) -> RunDirectoryError:
    """Returns the error that says what is wrong with a file."""
    return RunDirectoryError(f"{path} is damaged or cannot be read: {damage}. {remedy}")


def entries(**checks: Check) -> Check:
    """Returns a check of an object's entries by name; others may be there as well."""

    def check(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return f"must be an object; got {_shown(value)}"
        for name, check_entry in checks.items():
            if name not in value:
                # Optional entries accept that they are not there.
                problem = check_entry(_MISSING)
                if problem:
                    return f"it has no {name!r}"
            elif problem := check_entry(value[name]):
                return f"{name!r} {problem}"
        return None

    return check


def optional(check: Check) -> Check:
    """Returns a check that also accepts null, and that the entry is missing."""
    return lambda value: None if value is _MISSING or value is None else check(value)


def nullable(check: Check) -> Check:
    """Returns a check that also accepts null; the entry must be there."""
    return lambda value: None if value is None else check(value)


def mapping(check: Check) -> Check:
    """Returns a check of all values of an object."""

    def check_all(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return f"must be an object; got {_shown(value)}"
        problems = (f"{name!r} {problem}" for name, item in value.items() if (problem := check(item)))
        return next((f"has a wrong entry: {problem}" for problem in problems), None)

    return check_all


def sequence(check: Check) -> Check:
    """Returns a check of all items of a list."""

    def check_all(value: Any) -> str | None:
        if not isinstance(value, list):
            return f"must be a list; got {_shown(value)}"
        return next((f"has a wrong item: it {problem}" for item in value if (problem := check(item))), None)

    return check_all


def is_text(value: Any) -> str | None:
    """Checks for a text."""
    return None if isinstance(value, str) else f"must be a text; got {_shown(value)}"


def is_count(value: Any) -> str | None:
    """Checks for a whole number from 0 on."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if good else f"must be a whole number, 0 or more; got {_shown(value)}"


def is_bounded_count(value: Any) -> str | None:
    """Checks for a whole number from 0 to `LARGEST`, as numbers of steps and of episodes are."""
    good = is_count(value) is None and value <= LARGEST
    return None if good else f"must be a whole number from 0 to 2**53; got {_shown(value)}"


def is_real(value: Any) -> str | None:
    """Checks for a number, which may be infinite or NaN; a whole one must be exact in double precision."""
    good = isinstance(value, float) or _is_exact(value)
    return None if good else f"must be a number; got {_shown(value)}"


def is_duration(value: Any) -> str | None:
    """Checks for a finite number from 0 on."""
    good = (isinstance(value, float) and 0 <= value < math.inf) or (_is_exact(value) and value >= 0)
    return None if good else f"must be a finite number, 0 or more; got {_shown(value)}"


def _is_exact(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_flag(value: Any) -> str | None:
    """Checks for true or false."""
    return None if isinstance(value, bool) else f"must be true or false; got {_shown(value)}"


def is_object(value: Any) -> str | None:
    """Checks for an object."""
    return None if isinstance(value, Mapping) else f"must be an object; got {_shown(value)}"


class _Missing:
    """Stands for an entry that is not there."""

    def __repr__(self) -> str:
        return "nothing"


_MISSING = _Missing()


def decoded(data: bytes) -> str:
    """Returns the text of UTF-8 bytes.

    Raises:
      Damage: They are none.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Damage(f"it is not UTF-8 text (byte {error.start})") from None


def _check_leaves(content: Any) -> None:
    """Raises a `Damage` for nesting beyond all use, and for text that can be written nowhere."""
    level = [content]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                try:
                    value.encode()
                except UnicodeEncodeError:
                    raise Damage(f"it holds text that is no Unicode: {ascii(value)[:40]}") from None
        if not below:
            return
        level = below
    raise Damage(_too_deep())


def _too_deep() -> str:
    return f"it is nested deeper than {_DEEPEST}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
