"""Versions of the library and of what its numbers depend on."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable

import expol_tf

# The packages on which the numbers of a run depend, and those of a report.
RUN_PACKAGES = (
    "expol_tf", "python", "tensorflow", "tensorflow-probability", "tf-agents", "keras", "tf-keras",
    "numpy", "gymnasium", "mujoco", "gin-config", "envpool",
)  # fmt: skip
REPORT_PACKAGES = ("rliable", "arch", "pandas", "numpy", "scipy", "matplotlib")


def installed_versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Returns the packages' versions, None for one that is not installed.

    Args:
      packages: Names as pip knows them; "expol_tf" is this library, installed or not, "python" the
        interpreter.
    """
    return {package: _version(package) for package in packages}


def _version(package: str) -> str | None:
    if package == "expol_tf":
        return expol_tf.__version__
    if package == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
