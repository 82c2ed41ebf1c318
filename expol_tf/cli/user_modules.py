"""Modules of the user's own, which programs import by name."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from expol_tf.cli.paths import shown, user_directory
from expol_tf.errors import ConfigurationError
from expol_tf.suggestions import did_you_mean

# Whatever lies beside a config.gin that a run has written.
_OF_A_RUN = (
    "fingerprint.json",
    "configuration.json",
    "environment.json",
    "metrics.csv",
    "checkpoints",
    "policy",
)


class _ModuleOfARun(ConfigurationError):
    """A module lies where a stranger may have put it."""


def import_user_module(name: str) -> bool:
    """Imports the module `name`, which is installed or lies in the directory where the command was typed.

    A run's `config.gin` may name modules, and a run may come from a stranger: nothing is imported from inside
    a run's directory. A line on standard error says what was imported from the user's directory.

    Returns:
      Whether there is such a module.

    Raises:
      ConfigurationError: It lies in the directory of a run.
      ImportError: There is one, but it cannot be imported: something that it imports is not there, or it
        raises. The message says what it raised, in which file and line.
    """
    directory = str(user_directory())
    added = directory not in sys.path
    if added:
        # At the end: a file of the user's must not stand in for an installed module of the same name.
        sys.path.append(directory)
    before = set(sys.modules)
    try:
        _refuse_module_of_a_run(name)
        importlib.import_module(name)
    except _ModuleOfARun:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return False
        raise ImportError(_with_place(error), name=name) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # A module may raise anything, and may end the program.
        raise ImportError(_with_place(error), name=name) from error
    finally:
        if added:
            sys.path.remove(directory)
    _say_imported(sorted(set(sys.modules) - before))
    return True


def _refuse_module_of_a_run(name: str) -> None:
    """Raises a `ConfigurationError` before anything is imported from inside the directory of a run."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        module = ".".join(parts[:end])
        if module in sys.modules:
            continue
        # This imports the packages above the module, which were looked at before.
        spec = importlib.util.find_spec(module)
        if spec is None:
            return
        places = [*([spec.origin] if spec.has_location and spec.origin else [])]
        places += list(spec.submodule_search_locations or [])
        for place in places:
            run = _run_around(Path(place))
            if run is not None:
                raise _ModuleOfARun(
                    f"the module {name!r} must be installed, or lie in the directory where the program is "
                    f"started; {shown(Path(place))} lies in the directory of a run, {run}, from which "
                    "nothing is imported. If you trust it, copy it elsewhere and start the program there."
                )


def _run_around(path: Path) -> Path | None:
    """Returns the run's directory in which a path lies, also by a link; None if it lies in none."""
    for each in (path.absolute(), path.resolve()):
        for directory in (each, *each.parents):
            there = [name for name in _OF_A_RUN if os.path.lexists(directory / name)]
            if there and os.path.lexists(directory / "config.gin"):
                return directory
    return None


def _say_imported(modules: Sequence[str]) -> None:
    files = [getattr(sys.modules.get(module), "__file__", None) for module in modules]
    own = [
        shown(Path(file))
        for module, file in zip(modules, files, strict=True)
        if file and _is_of_the_user(file) and not f"{module}.".startswith("expol_tf.")
    ]
    if own:
        print(f"note: imported from your directory: {', '.join(own)}", file=sys.stderr)


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
    try:
        text = str(error).strip().rstrip(".")
    except Exception:  # The text is the module's to make, which may fail too.
        text = ""
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
