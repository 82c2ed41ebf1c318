"""Modules of the user's own, which programs import by name."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from expol_tf.cli.paths import shown, user_directory
from expol_tf.suggestions import did_you_mean


def import_user_module(name: str) -> bool:
    """Imports the module `name`, which is installed or lies in the directory where the command was typed.

    Returns:
      Whether there is such a module.

    Raises:
      ImportError: There is one, but it cannot be imported: something that it imports is not there, or it
        raises. The message says what it raised, in which file and line.
    """
    directory = str(user_directory())
    added = directory not in sys.path
    if added:
        # At the end: a file of the user's must not stand in for an installed module of the same name.
        sys.path.append(directory)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return False
        raise ImportError(_with_place(error), name=name) from error
    except (Exception, SystemExit) as error:  # A module may raise anything, and may end the program.
        raise ImportError(_with_place(error), name=name) from error
    finally:
        if added:
            sys.path.remove(directory)
    return True


def nearest_module(name: str) -> str:
    """Returns ' Did you mean …?' with the most similar module in the user's directory, or an empty string."""
    if not name.isidentifier():
        return ""
    files = user_directory().glob("*.py")
    packages = user_directory().glob("*/__init__.py")
    return did_you_mean(name, [*(path.stem for path in files), *(path.parent.name for path in packages)])


def _with_place(error: BaseException) -> str:
    """Returns what a module raised, with the line of a file of the user's that led to it."""
    if isinstance(error, SyntaxError):
        return (
            f"{type(error).__name__}: {error.msg} ({shown(Path(error.filename or '?'))}, line {error.lineno})"
        )
    text = str(error).strip().rstrip(".")
    # Import errors name their kind themselves: "No module named 'no_such_package'".
    if not isinstance(error, ImportError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_the_user(frame.filename)]
    # The last one: a module may import others.
    return f"{text} ({shown(Path(frames[-1].filename))}, line {frames[-1].lineno})" if frames else text


def _is_of_the_user(filename: str) -> bool:
    """Whether a file lies in the user's directory, but for packages that are installed there."""
    path = Path(filename)
    return path.is_relative_to(user_directory().absolute()) and "site-packages" not in path.parts
