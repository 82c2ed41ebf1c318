"""Imports packages where only their own dependencies are at hand, as in their Bazel targets."""

from __future__ import annotations

import importlib
import pkgutil

# The program above everything: it starts whatever the others offer.
ABOVE = "expol_tf.cli.commands"


def import_all(package: str) -> list[str]:
    """Imports every module of `expol_tf.<package>`, and returns their names."""
    root = importlib.import_module(f"expol_tf.{package}")
    names = [
        module.name
        for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")
        if not module.name.startswith(ABOVE)
    ]
    for name in names:
        importlib.import_module(name)
    return names
