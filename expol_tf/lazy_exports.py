"""Packages whose names are imported when they are asked for, so that a program starts without TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from expol_tf.removed_names import missing


def lazy_exports(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns a package's `__getattr__`, `__dir__` and `__all__`.

    Args:
      package: The package's `__name__`.
      homes: Maps each public name to the module, relative to the package, that defines it.
    """

    def get(name: str) -> Any:
        """Imports the module that defines a name, and returns what the name stands for."""
        if name not in homes:
            raise missing(package, name)
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get, lambda: list(homes), list(homes)
