"""Functions and classes by what they do: digests of their code, whatever file and line it stands in."""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Bytecode means something to one version of Python only.
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_PLACES = {"site-packages", "dist-packages"}


class CodeDigest(NamedTuple):
    """The digests of a function's or a class's bytecode and of its source, None where there is none."""

    code: str
    source: str | None


def digest(content: bytes | str) -> str:
    """Returns 16 hexadecimal digits, which two different contents do not share."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


def code_digest(target: Any, parts: Iterable[str]) -> CodeDigest:
    """Returns the digests of a function or class; `parts` is all that decides what its code does."""
    try:
        source = digest(inspect.getsource(target))
    except (OSError, TypeError):  # It was typed into an interpreter, or made by `exec`.
        source = None
    return CodeDigest(digest("\n".join(parts)), source)


def code_text(code: types.CodeType) -> str:
    """Returns instructions, names and constants of code as text, without lines and docstrings."""
    constants = list(code.co_consts)
    # A function's docstring is its first constant; comprehensions and lambdas have none.
    if constants and isinstance(constants[0], str) and not code.co_name.startswith("<"):
        constants[0] = None
    parts = [
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        *map(_constant_text, constants),
        repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
        repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)),
    ]
    return "\n".join(parts)


def _constant_text(constant: Any) -> str:
    if isinstance(constant, types.CodeType):
        return f"code {constant.co_name}\n{code_text(constant)}"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_constant_text, constant))})"
    if isinstance(constant, frozenset):
        return f"frozenset({sorted(map(_constant_text, constant))})"
    # With its type: 1, 1.0 and True are equal.
    return f"{type(constant).__name__} {constant!r}"


def global_values(function: types.FunctionType) -> dict[str, Any]:
    """Returns the globals that a function reads, by name; of a module of the user's what it reads of that."""
    values = {}
    for first, *rest in _loaded_globals(function.__code__):
        if first not in function.__globals__:
            continue  # A builtin, or a name that there is not yet.
        name, value = first, function.__globals__[first]
        for attribute in rest:
            if not isinstance(value, types.ModuleType) or is_installed(value.__name__):
                break
            if not hasattr(value, attribute):
                break
            name, value = f"{name}.{attribute}", getattr(value, attribute)
        values[name] = value
    return values


def _loaded_globals(code: types.CodeType) -> Iterator[list[str]]:
    """Yields the global names that code reads, each with the attributes that it goes on to read."""
    instructions = list(dis.get_instructions(code))
    for index, instruction in enumerate(instructions):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            chain = [str(instruction.argval)]
            for following in instructions[index + 1 :]:
                if following.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                    break
                chain.append(str(following.argval))
            yield chain
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _loaded_globals(constant)


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module is Python's, this library's or an installed package's, whose versions are recorded."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return False
    path, own = Path(file), sysconfig.get_paths()
    installed = (Path(own[name]).resolve() for name in ("purelib", "platlib"))
    return not _PLACES.isdisjoint(path.parts) or any(map(path.resolve().is_relative_to, installed))


def is_importable(target: Any) -> bool:
    """Whether a function or class is what its module has under its name, and not one of many made there."""
    value: Any = sys.modules.get(target.__module__)
    for name in target.__qualname__.split("."):
        value = getattr(value, name, None)
    return value is target
