"""Functions and classes by what they do: digests of their code, whatever file and line it stands in."""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib
import importlib.util
import inspect
import itertools
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator, Mapping
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
    """Returns what a function reads from outside of itself, by name.

    These are globals, and what the function imports in its body. Of a module of the user's it is what the
    function reads of that, or the module, where it reads more than attributes. A function that calls
    `globals()` may read all of them. Modules of the user's that it imports are imported, as calling it would.
    """
    values = {}
    for name, value, attributes in _reads(function.__code__, function.__globals__, {}):
        for attribute in attributes:
            if not isinstance(value, types.ModuleType) or is_installed(value.__name__):
                break
            if not hasattr(value, attribute):
                break
            name, value = f"{name}.{attribute}", getattr(value, attribute)
        values[name] = value
    return values


def closure_values(function: types.FunctionType) -> dict[str, Any]:
    """Returns what a function's closure holds, by name; Ellipsis where nothing was assigned to a name yet."""

    def content(cell: types.CellType) -> Any:
        """What a cell holds."""
        try:
            return cell.cell_contents
        except ValueError:
            return Ellipsis

    cells = map(content, function.__closure__ or ())
    return dict(zip(function.__code__.co_freevars, cells, strict=True))


def module_values(names: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the user has put into the names of a module, in alphabetical order."""
    own = (name for name in names if not (name.startswith("__") and name.endswith("__")))
    return {name: names[name] for name in sorted(own)}


# A name, its value, and the attributes that the code goes on to read.
_Read = tuple[str, Any, list[str]]


def _reads(
    code: types.CodeType, names: dict[str, Any], imported: Mapping[str, tuple[str, Any]]
) -> Iterator[_Read]:
    """Yields what code reads of `names`, which are its globals, and of the modules that it imports.

    `imported` has the modules that code around it imported, by the variables that hold them.
    """
    instructions = [item for item in dis.get_instructions(code) if item.opname != "EXTENDED_ARG"]
    imported = dict(imported)
    for index, instruction in enumerate(instructions):
        if instruction.opname != "IMPORT_NAME":
            continue
        level, parts = instructions[index - 2].argval, instructions[index - 1].argval
        package = _resolved(str(instruction.argval), level, names)
        if package is None or is_installed(package):
            continue
        module, following = _module(package), instructions[index + 1 :]
        if parts:
            for part in parts:
                yield f"import {package}.{part}", _part_of(module, package, part), []
        elif following[0].opname == "IMPORT_FROM":  # `import a.b as c`, which stores the last module.
            store = next((item for item in following if item.opname.startswith("STORE_")), following[0])
            imported[str(store.argval)] = (f"import {package}", module)
        else:
            top = package.partition(".")[0]
            imported[str(following[0].argval)] = (f"import {top}", _module(top))
    for index, instruction in enumerate(instructions):
        chain = [
            str(item.argval)
            for item in itertools.takewhile(
                lambda item: item.opname in ("LOAD_ATTR", "LOAD_METHOD"), instructions[index + 1 :]
            )
        ]
        name = str(instruction.argval)
        if instruction.opname in ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_NAME", "LOAD_GLOBAL"):
            if name in imported:
                yield (*imported[name], chain)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if name in names:
                yield name, names[name], chain
            elif name == "globals":
                yield "globals()", _own_module(names), []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _reads(constant, names, imported)


def _resolved(name: str, level: int, names: Mapping[str, Any]) -> str | None:
    """Returns the full name of a module that code imports, None where it is relative to nothing."""
    package = names.get("__package__") or str(names.get("__name__", "")).rpartition(".")[0]
    try:
        return importlib.util.resolve_name("." * level + name, package)
    except (ImportError, ValueError):
        return None


def _module(name: str) -> types.ModuleType | None:
    """Returns a module of the user's, None if it cannot be imported: the code can do no more."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit):
        return None


def _part_of(module: types.ModuleType | None, name: str, part: str) -> Any:
    """Returns what `from module import part` gives."""
    return getattr(module, part) if hasattr(module, part) else _module(f"{name}.{part}")


def _own_module(names: dict[str, Any]) -> Any:
    """Returns the module whose globals these are, or what the user has put into them."""
    module = sys.modules.get(str(names.get("__name__")))
    return module if module is not None and vars(module) is names else module_values(names)


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module is Python's, this library's or an installed package's, whose versions are recorded."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or _file_of(top)
    if file is None:
        return False
    path, own = Path(file), sysconfig.get_paths()
    installed = (Path(own[name]).resolve() for name in ("purelib", "platlib"))
    return not _PLACES.isdisjoint(path.parts) or any(map(path.resolve().is_relative_to, installed))


def _file_of(top: str) -> str | None:
    """Returns where a top-level module or package lies, which need not be imported yet."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # It was made by a program, as `__main__` is.
        return None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if place and Path(place).exists()), None)


def is_importable(target: Any) -> bool:
    """Whether a function or class is what its module has under its name, and not one of many made there."""
    value: Any = sys.modules.get(target.__module__)
    for name in target.__qualname__.split("."):
        value = getattr(value, name, None)
    return value is target
