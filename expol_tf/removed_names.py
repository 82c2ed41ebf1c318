"""Errors in Python for modules and names of earlier versions: they say what `renamed.MOVED` says.

Python looks up a name in two ways, and both are answered:

* `expol_tf.agents.SacBackup` asks the package, whose `__getattr__` raises an AttributeError with the answer;
* `import expol_tf.seeding` asks the finders. So does `from expol_tf.agents import SacBackup` where the
  package has no such attribute, as the name could be a module's. The last finder raises an ImportError.

Fields of a NamedTuple are answered as well, by a decorator.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

from expol_tf.errors import ConfigurationError
from expol_tf.renamed import MOVED, moved, renamed

T = TypeVar("T")


# No `importlib.abc.MetaPathFinder`, whose import takes as long as that of all else here.
class _RemovedNames:
    """Finds nothing, and says so with the answer for names in the table; about others it keeps silent."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MOVED:
            # Without the attribute `name`: with it `from package import module` would drop the message.
            raise ModuleNotFoundError(moved(fullname))
        return None


def install() -> None:
    """Lets imports of removed names be answered. The finder stands last, so that it hides no module."""
    if not any(isinstance(finder, _RemovedNames) for finder in sys.meta_path):
        sys.meta_path.append(_RemovedNames())


def missing(package: str, name: str) -> AttributeError:
    """Returns the error for a name that a package does not have: the answer, or what Python says."""
    if f"{package}.{name}" in MOVED:
        return AttributeError(moved(f"{package}.{name}"))
    return AttributeError(f"module {package!r} has no attribute {name!r}")


def answer_removed_names(package: str) -> None:
    """Gives a package a `__getattr__` that answers its removed names.

    Set here, not where type checkers see it: for them a package with a `__getattr__` has every name.
    """

    def get(name: str) -> Any:
        raise missing(package, name)

    vars(sys.modules[package])["__getattr__"] = get


def answers_renamed_fields(cls: type[T]) -> type[T]:
    """Decorates a NamedTuple that lost fields: with an old name, making and reading give the new one.

    The constructor raises a `ConfigurationError`, reading an AttributeError. Other names are left to Python.
    """
    make: Any = cls.__new__

    @functools.wraps(make)
    def __new__(kind: type[T], *args: Any, **kwargs: Any) -> T:
        for name in kwargs:
            answer = renamed(f"{cls.__name__}.{name}")
            if answer is not None:
                raise ConfigurationError(answer)
        return make(kind, *args, **kwargs)

    def __getattr__(self: T, name: str) -> Any:
        answer = renamed(f"{cls.__name__}.{name}")
        raise AttributeError(answer or f"{cls.__name__!r} object has no attribute {name!r}")

    cls.__new__ = __new__  # type: ignore[method-assign, assignment]
    cls.__getattr__ = __getattr__  # type: ignore[attr-defined]
    return cls
