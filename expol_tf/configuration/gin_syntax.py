"""gin files and bindings as plain data: finding, reading and writing them, before any name is looked up.

gin's own parser binds while it reads, so that a mistake leaves half a configuration behind, and it needs
every configurable imported (seconds of TensorFlow) to notice a file that is not there. Here the same grammar
(gin's tokenizer and parser) gives statements only: `training` looks at their names and hands them to gin, and
`distributed` reads sweeps.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import tokenize
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gin import config_parser

from expol_tf.cli import did_you_mean, shown, user_directory
from expol_tf.configuration import resources as _resources
from expol_tf.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@scope/name`, the configurable itself, or, with `evaluate`, `@scope/name()`, what a call returns."""

    name: str
    evaluate: bool = False

    def __str__(self) -> str:
        return f"@{self.name}{'()' if self.evaluate else ''}"


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%NAME`: the value that the macro has when the configuration is used."""

    name: str

    def __str__(self) -> str:
        return f"%{self.name}"


@dataclasses.dataclass(frozen=True)
class Binding:
    """`scope/selector.parameter = value`; a macro's definition has an empty `parameter`."""

    scope: str
    selector: str
    parameter: str
    value: Any
    location: str

    @property
    def is_macro(self) -> bool:
        """Whether this defines a macro."""
        return not self.parameter

    @property
    def name(self) -> str:
        """The left-hand side as it is written in a file."""
        scoped = f"{self.scope}/{self.selector}" if self.scope else self.selector
        return scoped if self.is_macro else f"{scoped}.{self.parameter}"


@dataclasses.dataclass(frozen=True)
class Import:
    """`import package.module`, which registers the configurables of a user's own module."""

    module: str
    location: str


class _Symbols(config_parser.ParserDelegate):
    """Keeps references and macros as symbols instead of looking them up."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        return Reference(scoped_configurable_name, evaluate)

    def macro(self, macro_name: str) -> Macro:
        return Macro(macro_name)


def find_file(name: str, directory: pathlib.Path | None = None) -> pathlib.Path | None:
    """Returns the gin file that `name` stands for, or None.

    An absolute path stands for itself. Others are looked for in `directory`, that of the including file, the
    user's directory and the library's gin tree, where `gin/nfp_trpo.gin` and `nfp_trpo.gin` are the same.
    """
    for candidate in _candidates(name, directory):
        if candidate.is_file():
            return candidate
    return None


def _candidates(name: str, directory: pathlib.Path | None) -> list[pathlib.Path]:
    path = pathlib.Path(name).expanduser()
    if path.is_absolute():
        return [path]
    candidates = [] if directory is None else [directory / path]
    candidates.append(user_directory() / path)
    root = _resources.gin_root()
    if path.parts and path.parts[0] == "gin":
        candidates.append(root.joinpath(*path.parts[1:]))
    candidates.append(root / path)
    return list(dict.fromkeys(candidates))


def missing_file(what: str, name: str, directory: pathlib.Path | None = None, included_by: str = "") -> str:
    """Returns the message about a gin file that is not there: the nearest name, and where it was looked for.

    Args:
      what: Where the file is named, such as a flag.
      name: The file as it is named there.
      directory: That of the file in which it is named.
      included_by: Lines that tell how that file was come upon.
    """
    looked = "\n".join(f"  {candidate}" for candidate in _candidates(name, directory))
    known = [library_name(found) for found in _resources.gin_root().rglob("*.gin")]
    return (
        f"{what}: the gin file {name!r} does not exist.{did_you_mean(name, known)}{included_by}\n"
        f"Looked for:\n{looked}"
    )


def read_files(names: Sequence[str]) -> list[Binding | Import]:
    """Returns the statements of gin files in the order in which they take effect, includes in their place.

    Args:
      names: The files as the user named them; see `find_file`.

    Raises:
      ConfigurationError: A file or an include does not exist, includes itself, or is not valid gin.
    """
    statements: list[Binding | Import] = []
    for name in names:
        statements.extend(_read_file(name, chain=()))
    return statements


def _read_file(name: str, chain: tuple[tuple[pathlib.Path, str], ...]) -> Iterator[Binding | Import]:
    """Yields the statements of `name`; `chain` holds the files that led here and where each one includes."""
    included_by = "".join(f"\n  included at {location}" for _, location in reversed(chain))
    directory = chain[-1][0].parent if chain else None
    path = find_file(name, directory)
    if path is None:
        what = "include" if chain else "--gin_file"
        raise ConfigurationError(
            f"{missing_file(what, name, directory, included_by)}\n"
            "Give an existing file; expol-train --list_experiments lists the library's own experiments."
        )
    if any(path.resolve() == other.resolve() for other, _ in chain):
        raise ConfigurationError(f"include: the gin file {name!r} includes itself.{included_by}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The gin file {path} cannot be read: {error}.{included_by}") from error

    def include(filename: str, location: str) -> Iterator[Binding | Import]:
        yield from _read_file(filename, (*chain, (path, location)))

    yield from _parse(text, shown(path), include)


def library_name(path: pathlib.Path) -> str:
    """Returns the name by which a file of the library is found from anywhere: `gin/nfp_trpo.gin`."""
    return str("gin" / path.relative_to(_resources.gin_root()))


def read_bindings(bindings: Sequence[str], source: str = "--gin_bindings") -> list[Binding | Import]:
    """Returns the statements of strings in gin's syntax; includes are looked for in the user's directory."""

    def include(filename: str, location: str) -> Iterator[Binding | Import]:
        # The user's directory comes first, as if a file there had the include.
        yield from _read_file(filename, ((user_directory() / "statement", location),))

    statements: list[Binding | Import] = []
    for text in bindings:
        statements.extend(_parse(text, source, include))
    return statements


def _parse(
    text: str, source: str, include: Callable[[str, str], Iterator[Binding | Import]]
) -> Iterator[Binding | Import]:
    try:
        # The parser reads a token ahead, so that even making it can fail.
        parser = config_parser.ConfigParser(text, _Symbols())
        for statement in parser:
            location = f"{source}:{statement.location.line_num}"
            if isinstance(statement, config_parser.BindingStatement):
                yield _binding(statement, location)
            elif isinstance(statement, config_parser.ImportStatement):
                if statement.module.startswith("__gin__"):
                    raise ConfigurationError(
                        f"{location}: {statement.format()!r} is not supported; import the module itself."
                    )
                yield Import(statement.module, location)
            elif isinstance(statement, config_parser.IncludeStatement):
                yield from include(statement.filename, location)
    except SyntaxError as error:
        line = (error.text or "").strip()
        # The parser quotes a node of Python's syntax tree before it says which token it is about.
        problem = (error.msg or "").splitlines()[-1].strip()
        # The shell takes the quotes of --gin_bindings=TASK='Hopper-v5' away.
        hint = (
            "A string needs quotes that reach gin: --gin_bindings=\"TASK='Hopper-v5'\"."
            if "Failed to parse token" in problem
            else "A line is `Name.parameter = value`, `MACRO = value`, `include 'file.gin'` or `import x.y`."
        )
        shown = f" In: {line}" if line else ""
        raise ConfigurationError(
            f"{source}:{error.lineno or 1}: not valid gin syntax: {problem}{shown}\n{hint}"
        ) from error
    except tokenize.TokenError as error:
        message, (line_number, _) = error.args
        raise ConfigurationError(
            f"{source}:{line_number}: not valid gin syntax: {message} (a bracket or string is not closed)."
        ) from error


def _binding(statement: config_parser.BindingStatement, location: str) -> Binding:
    scope, selector, parameter = statement.scope, statement.selector, statement.arg_name
    if selector in ("macro", "gin.macro") and parameter == "value":
        # gin's long form of a macro: NAME/macro.value.
        scope, _, selector = scope.rpartition("/")
        parameter = ""
    return Binding(scope, selector, parameter, statement.value, location)


def walk(value: Any) -> Iterator[Any]:
    """Yields the leaves of a (nested) value: literals, references and macros."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(key)
            yield from walk(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from walk(item)
    else:
        yield value


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """Returns the (nested) value with `function` applied to each leaf."""
    if isinstance(value, dict):
        return {map_leaves(function, key): map_leaves(function, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([map_leaves(function, item) for item in value])
    return function(value)


def render(value: Any) -> str | None:
    """Returns gin syntax that parses to `value`, or None if there is none."""
    if isinstance(value, Reference | Macro):
        return str(value)
    if value is None or isinstance(value, bool | int | str | bytes) and type(value).__module__ == "builtins":
        return repr(value)
    if type(value) is float:
        if math.isnan(value):
            return None
        # `inf` is no literal, but a literal that overflows is.
        return repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}1e999"
    if type(value) in (list, tuple):
        items = [render(item) for item in value]
        if any(item is None for item in items):
            return None
        inner = ", ".join(item for item in items if item is not None)
        if type(value) is list:
            return f"[{inner}]"
        return f"({inner},)" if len(items) == 1 else f"({inner})"
    if type(value) is dict:
        pairs = [(render(key), render(item)) for key, item in value.items()]
        if any(key is None or item is None for key, item in pairs):
            return None
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    return None
