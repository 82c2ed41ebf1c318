"""Paths as a user types and reads them: relative to where the command was typed."""

from __future__ import annotations

import os
import pathlib


def user_directory() -> pathlib.Path:
    """Returns the directory in which the user typed the command.

    Bazel runs programs inside their runfiles tree and tells the user's own directory by a variable.
    """
    return pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY") or os.getcwd())


def user_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path that a user means by `path`: from their directory, `~` being their home."""
    return user_directory() / pathlib.Path(path).expanduser()


def shown(path: pathlib.Path) -> str:
    """Returns the path as a user reads it: from their directory, if it lies below."""
    absolute, here = path.absolute(), user_directory().absolute()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
