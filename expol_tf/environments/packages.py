"""Which installed packages an error of an environment has to do with, and their versions."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import sys
import types
from collections.abc import Iterator

# What environments are built on: a package that needs one of these has environments, or makes some.
_FOUNDATIONS = ("gymnasium", "mujoco")
_PAGE = "docs/third_party_tasks.md"


def package_versions(error: BaseException, maker: str | None = None) -> str:
    """Returns the packages that an error has to do with, such as "Shimmy 2.0.1, mujoco 3.17.0".

    These are the package of `maker` and those of the code that was running, as far as they need Gymnasium
    or MuJoCo, and then these two, in the versions that are installed. The text is empty if there are none
    but these two, which means that code of the user's own raised.

    Args:
      error: What was raised.
      maker: The module that has the environment's class or maker, if it is known.
    """
    owners = importlib.metadata.packages_distributions()
    modules = [*([maker] if maker else []), *_modules(error)]
    names = dict.fromkeys(owner for module in modules for owner in owners.get(module.partition(".")[0], ()))
    third_party = [name for name in names if name not in _FOUNDATIONS and _has_environments(name)]
    if not third_party:
        return ""
    # MuJoCo is named only if it was in use.
    foundations = [name for name in reversed(_FOUNDATIONS) if name in sys.modules]
    return ", ".join(f"{name}{_version(name)}" for name in (*third_party, *foundations))


def versions_remedy(versions: str) -> str:
    """Returns the sentence that follows an error in which these packages have a part, see above."""
    return f" Installed are {versions}; {_PAGE} lists versions that work together."


def _version(name: str) -> str:
    """Returns " " and a version, or "" where there is no metadata, as in a tree of sources on the path."""
    try:
        return f" {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        version = getattr(sys.modules.get(name), "__version__", "")
        return f" {version}" if version else ""


def _modules(error: BaseException) -> Iterator[str]:
    """Yields the modules whose code an error went through, and those of what caused it."""
    cause: BaseException | None = error
    while cause is not None:
        frames: types.TracebackType | None = cause.__traceback__
        while frames is not None:
            yield str(frames.tb_frame.f_globals.get("__name__") or "")
            frames = frames.tb_next
        cause = cause.__cause__


@functools.cache
def _has_environments(name: str) -> bool:
    """Whether a distribution needs Gymnasium or MuJoCo, perhaps for one of its extras."""
    needed = importlib.metadata.requires(name) or []
    names = {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in needed}
    return name != "expol-tf" and not names.isdisjoint(_FOUNDATIONS)
