"""Paths as a user types and reads them: relative to where the command was typed."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from expol_tf.errors import ConfigurationError

# Linux's.
_LONGEST_NAME, _LONGEST_PATH = 255, 4096


def user_directory() -> pathlib.Path:
    """Returns the directory in which the user typed the command.

    Bazel runs programs inside their runfiles tree and tells the user's own directory by a variable.
    """
    return pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY") or os.getcwd())


def home_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns `path` with `~` and `~somebody` replaced by the home directory, as a shell does it.

    Raises:
      ConfigurationError: There is no such user, or no file can have this name.
    """
    text = os.fspath(path)
    shown_path = repr(text) if len(text) <= 80 else f"{text[:80]!r}…"
    if "\0" in text:
        raise ConfigurationError(f"the path {shown_path} must not contain a NUL character. Leave it out.")
    try:
        sizes = [len(os.fsencode(part)) for part in (*pathlib.Path(text).parts, "")]
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"the path {shown_path} must be one that the file system can write; it is not Unicode."
        ) from error
    if max(sizes) > _LONGEST_NAME or sum(sizes) + len(sizes) > _LONGEST_PATH:
        raise ConfigurationError(
            f"the path {shown_path} must have names of at most {_LONGEST_NAME} bytes and be shorter than "
            f"{_LONGEST_PATH}. Give a shorter one."
        )
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"the path {str(path)!r} begins with the home directory of a user that there is not. "
            "Correct the name after ~, or write ./~… for a directory of that name."
        ) from error


def user_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path that a user means by `path`: from their directory, `~` being their home."""
    return home_path(user_directory() / home_path(path))


def shown(path: pathlib.Path) -> str:
    """Returns the path as a user reads it: from their directory, if it lies below."""
    absolute, here = path.absolute(), user_directory().absolute()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def require_path(argument: str, value: Any) -> pathlib.Path:
    """Returns the path that an argument of a call from Python names; `~` is the user's home there too.

    Raises:
      ConfigurationError: It is no path; the message names the argument.
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not path:
        raise ConfigurationError(
            f"{argument} must be a path, as a string or a pathlib.Path; got {value!r}. "
            'Give one, such as "runs/hopper".'
        )
    return home_path(path)
