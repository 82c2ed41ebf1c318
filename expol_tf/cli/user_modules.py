"""Modules of the user's own, which programs import by name."""

from __future__ import annotations

import importlib
import sys

from expol_tf.cli.paths import user_directory


def import_user_module(name: str) -> bool:
    """Imports the module `name`, which is installed or lies in the directory where the command was typed.

    Returns:
      Whether there is such a module.

    Raises:
      ImportError: There is one, but something that it imports cannot be imported.
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
        raise
    finally:
        if added:
            sys.path.remove(directory)
    return True
