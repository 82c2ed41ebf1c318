"""Where the files that come with the library are, however it was installed."""

from __future__ import annotations

import pathlib


def gin_root(package: pathlib.Path | None = None) -> pathlib.Path:
    """Returns the directory that holds the library's gin files (`nfp_trpo.gin`, `policies/`, ...).

    It is `expol_tf/gin_files` where the library was installed with pip, and `gin` beside the package in a
    checkout and in the runfiles tree of a Bazel target.

    Args:
      package: The directory of the package `expol_tf`; by default, the one that this module belongs to.

    Raises:
      FileNotFoundError: If neither directory is there: the installation is incomplete.
    """
    # Not resolved: in a runfiles tree every file is a link into the checkout, whose own `gin` may hold files
    # that the target does not declare.
    package = package or pathlib.Path(__file__).absolute().parent.parent
    installed, beside = package / "gin_files", package.parent / "gin"
    if installed.is_dir():
        return installed
    # Beside an installed package, `gin` is the Python package gin-config.
    if beside.is_dir() and not (beside / "__init__.py").exists():
        return beside
    raise FileNotFoundError(
        f"The library's gin files are neither in {installed} nor in {beside}; install expol-tf again."
    )
