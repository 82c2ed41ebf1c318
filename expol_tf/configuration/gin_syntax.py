"""gin files and bindings as plain data: finding, reading and writing them, before any name is looked up.

gin's own parser binds while it reads, so that a mistake leaves half a configuration behind, and it needs
every configurable imported (seconds of TensorFlow) to notice a file that is not there. Here the same grammar
(gin's tokenizer and parser) gives statements only: `resolution` looks up their names, and `sweeps` reads its
own files with them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from gin import config_parser

from expol_tf.cli import did_you_mean, home_path, shown, user_directory
from expol_tf.configuration import resources as _resources
from expol_tf.errors import ConfigurationError

# Who wrote a statement: a file of the library, a recorded configuration, or the user.
Author = Literal["library", "record", "user"]
# Scope, complete selector and parameter of a binding.
Key = tuple[str, str, str]
# No experiment needs as much, and more would end in Python's own limits, or never.
_DEEPEST_INCLUDE = 50
_MOST_FILES = 200
_DEEPEST_VALUE = 20
_DEEPEST_MACRO = 50
_MOST_LEAVES = 100_000
_LONGEST_NAME = 1_000
# The first line of every recorded configuration.
RECORD_TITLE = "# The complete configuration of this run; train it again with --gin_file."


@dataclasses.dataclass(frozen=True, repr=False)
class Reference:
    """`@scope/name`, the configurable itself, or, with `evaluate`, `@scope/name()`, what a call returns."""

    name: str
    evaluate: bool = False

    def __repr__(self) -> str:
        return f"@{self.name}{'()' if self.evaluate else ''}"


@dataclasses.dataclass(frozen=True, repr=False)
class Macro:
    """`%NAME`: the value that the macro has when the configuration is used."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


# The types of leaves that gin syntax can express.
_RENDERED = (Reference, Macro, type(None), bool, int, float, str, bytes)


@dataclasses.dataclass(frozen=True)
class Binding:
    """`scope/selector.parameter = value`; a macro's definition has an empty `parameter`.

    Attributes:
      scope: Outer scopes first, "a/b"; empty for none.
      selector: The configurable as it is written, or the macro's name.
      parameter: The parameter's name.
      value: Literals, references and macros, also in containers.
      location: File and line, or the flag.
      author: Who wrote it.
    """

    scope: str
    selector: str
    parameter: str
    value: Any
    location: str
    author: Author = dataclasses.field(default="user", compare=False)

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


def find_file(
    name: str,
    what: str = "--gin_file",
    directory: pathlib.Path | None = None,
    included_by: str = "",
    remedy: str = "",
) -> pathlib.Path:
    """Returns the gin file that `name` stands for.

    An absolute path stands for itself. Others are looked for in `directory`, that of the including file, the
    user's directory and the library's gin tree, where `gin/nfp_trpo.gin` and `nfp_trpo.gin` are the same.

    Args:
      name: The file as it is named.
      what: Where it is named, such as a flag; the error's message begins with it.
      directory: The directory of the file that names it.
      included_by: Lines that tell how that file was come upon.
      remedy: The last line of the message.

    Raises:
      ConfigurationError: There is none; the message tells the nearest known name.
    """
    path, root = home_path(name), _resources.gin_root()
    is_directory = os.path.basename(name) in ("", os.curdir, os.pardir)  # A pathlib.Path forgets it.
    inside = [root.joinpath(*path.parts[1:])] if path.parts[:1] == ("gin",) else []
    places = [*([directory] if directory else []), user_directory()]
    # An absolute path is the same in every place.
    candidates = list(dict.fromkeys([*(place / path for place in places), *inside, root / path]))
    for candidate in candidates:
        if not is_directory and _is_file(candidate):
            return candidate
    is_directory = bool(name) and (is_directory or any(map(_is_directory, candidates)))
    problem = "is a directory" if is_directory else "does not exist"
    if len(name) > _LONGEST_NAME:
        raise ConfigurationError(f"{what}: the gin file {name[:80]!r}… does not exist.{included_by}{remedy}")
    looked = "\n".join(f"  {candidate}" for candidate in candidates)
    known = [library_name(found) for found in root.rglob("*.gin")]
    raise ConfigurationError(
        f"{what}: the gin file {name!r} {problem}.{did_you_mean(name, known)}{included_by}\n"
        f"Looked for:\n{looked}{remedy}"
    )


def _is_file(path: pathlib.Path) -> bool:
    """Whether there is a file, which may still be unreadable; False for a name that no file can have."""
    try:
        return path.is_file()
    except PermissionError:
        return True
    except OSError:  # The name is too long.
        return False


def _is_directory(path: pathlib.Path) -> bool:
    with contextlib.suppress(OSError):
        return path.is_dir()
    return False


def read_files(names: Sequence[str]) -> list[Binding | Import]:
    """Returns the statements of gin files in the order in which they take effect, includes in their place.

    Args:
      names: The files as the user named them; see `find_file`.

    Raises:
      ConfigurationError: A file or an include does not exist, includes itself, or is not valid gin.
    """
    reader = _Reader()
    return [statement for name in names for statement in reader.read(name, chain=())]


def read_bindings(bindings: Sequence[str], source: str = "--gin_bindings") -> list[Binding | Import]:
    """Returns the statements of strings in gin's syntax; includes are looked for in the user's directory."""
    # As if a file in the user's directory had the statements.
    here, reader = user_directory() / "statement", _Reader()
    return [statement for text in bindings for statement in reader.parse(text, source, "user", here, ())]


def library_name(path: pathlib.Path) -> str:
    """Returns the name by which a file of the library is found from anywhere: `gin/nfp_trpo.gin`."""
    return str("gin" / path.relative_to(_resources.gin_root()))


# The files of a configuration that led to a place, and where each one includes the next.
_Chain = tuple[tuple[pathlib.Path, str], ...]


class _Reader:
    """Reads files and what they include, and counts them: files may include each other without end."""

    def __init__(self) -> None:
        self._files = 0

    def read(self, name: str, chain: _Chain) -> Iterator[Binding | Import]:
        """Yields the statements of the file `name`, to which `chain` led."""
        included_by = "".join(f"\n  included at {location}" for _, location in reversed(chain[-5:]))
        directory = chain[-1][0].parent if chain else None
        remedy = (
            "\nGive an existing file; expol-train --list_experiments lists the library's own experiments."
        )
        path = find_file(name, "include" if chain else "--gin_file", directory, included_by, remedy)
        if any(path.resolve() == other.resolve() for other, _ in chain):
            raise ConfigurationError(f"include: the gin file {name!r} includes itself.{included_by}")
        self._files += 1
        if len(chain) > _DEEPEST_INCLUDE or self._files > _MOST_FILES:
            limit = (
                f"within more than {_DEEPEST_INCLUDE} others"
                if len(chain) > _DEEPEST_INCLUDE
                else f"after {_MOST_FILES} others"
            )
            raise ConfigurationError(
                f"include: the gin file {name!r} is included {limit}, which is more than is read. Write what "
                f"is needed into fewer files.{included_by}"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The gin file {path} cannot be read: {error}.{included_by}") from error
        author: Author = (
            "record" if text.startswith(RECORD_TITLE) else "library" if _is_ours(path) else "user"
        )
        yield from self.parse(text, shown(path), author, path, chain)

    def parse(
        self, text: str, source: str, author: Author, path: pathlib.Path, chain: _Chain
    ) -> Iterator[Binding | Import]:
        """Yields the statements of the text of `path`, to which `chain` led."""
        for statement in _statements(text, source):
            location = f"{source}:{statement.location.line_num}"
            if isinstance(statement, config_parser.BindingStatement):
                yield _binding(statement, location, author)
            elif isinstance(statement, config_parser.IncludeStatement):
                yield from self.read(statement.filename, (*chain, (path, location)))
            elif isinstance(statement, config_parser.ImportStatement):
                if statement.module.startswith("__gin__"):
                    raise ConfigurationError(
                        f"{location}: {statement.format()!r} is not supported; import the module itself."
                    )
                yield Import(statement.module, location)


def _is_ours(path: pathlib.Path) -> bool:
    """Whether a file is one of the library's, also where Bazel shows it elsewhere by a link."""
    candidates = [_resources.gin_root().joinpath(*path.parts[-depth:]) for depth in (1, 2)]
    return any(candidate.exists() and candidate.samefile(path) for candidate in candidates)


def _binding(statement: Any, location: str, author: Author) -> Binding:
    scope, selector, parameter = statement.scope, statement.selector, statement.arg_name
    if selector in ("macro", "gin.macro") and parameter == "value":
        # gin's long form of a macro: NAME/macro.value.
        scope, _, selector = scope.rpartition("/")
        parameter = ""
        if not selector:
            raise ConfigurationError(f"{location}: a macro needs a name. Write NAME = value.")
    if _is_deep(statement.value):
        raise ConfigurationError(
            f"{location}: the value has more than {_DEEPEST_VALUE} containers within each other. Make it in "
            "Python code."
        )
    return Binding(scope, selector, parameter, statement.value, location, author)


def _is_deep(value: Any) -> bool:
    """Whether containers are nested deeper than any value needs; all that follows is recursive."""
    level = [value]
    for _ in range(_DEEPEST_VALUE):
        containers = [item for item in level if type(item) in (dict, list, tuple)]
        level = [
            each for item in containers for each in (*item, *(item.values() if type(item) is dict else ()))
        ]
        if not level:
            return False
    return True


def _statements(text: str, source: str) -> Iterator[Any]:
    """Yields the statements of a text as gin's parser makes them."""
    line = 1
    try:
        # The parser reads a token ahead, so that even making it can fail.
        parser = config_parser.ConfigParser(text, _Symbols())
        while True:
            try:
                statement = next(parser)
            except StopIteration:
                return
            line = statement.location.line_num
            yield statement
    except SyntaxError as error:
        # The parser quotes a node of Python's syntax tree before it says which token it is about.
        problem = _cut((error.msg or "").splitlines()[-1].strip())
        # The shell takes the quotes of --gin_bindings=TASK='Hopper-v5' away.
        hint = (
            "A string needs quotes that reach gin: --gin_bindings=\"TASK='Hopper-v5'\"."
            if "Failed to parse token" in problem
            else "A line is `Name.parameter = value`, `MACRO = value`, `include 'file.gin'` or `import x.y`."
        )
        quoted = f" In: {_cut(error.text.strip())}" if error.text and error.text.strip() else ""
        raise ConfigurationError(
            f"{source}:{error.lineno or 1}: not valid gin syntax: {problem}{quoted}\n{hint}"
        ) from error
    except tokenize.TokenError as error:
        message, (line_number, _) = error.args
        # Python 3.11 names the line after the last, later ones the last.
        line_number = min(line_number, len(text.splitlines()))
        raise ConfigurationError(
            f"{source}:{line_number}: not valid gin syntax: {message} (a bracket or string is not closed)."
        ) from error
    except (ValueError, TypeError, RecursionError, MemoryError, OverflowError) as error:
        # A list as a key, brackets that nest a thousand deep, a number of more digits than Python reads.
        reason = (
            "too many brackets within each other"
            if isinstance(error, RecursionError | MemoryError)
            else error
        )
        raise ConfigurationError(
            f"{source}:{line} or after it: not valid gin syntax: {_cut(str(reason))}."
        ) from error


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def walk(value: Any) -> Iterator[Any]:
    """Yields the leaves of a (nested) value: literals, references and macros."""
    if type(value) is dict:
        value = [*value, *value.values()]
    if type(value) not in (list, tuple):
        yield value
    else:
        for item in value:
            yield from walk(item)


def references(value: Any) -> set[str]:
    """Returns the names, with scopes, of the configurables that a value refers to."""
    return {leaf.name for leaf in walk(value) if isinstance(leaf, Reference)}


def outer_scopes(scope: str) -> set[str]:
    """Returns the scopes whose bindings hold in a scope: of `a/b` "", `a` and `a/b`."""
    parts = scope.split("/")
    return {"/".join(parts[:count]) for count in range(len(parts) + 1)}


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """Returns the (nested) value with `function` applied to each leaf."""
    if type(value) is dict:
        return {map_leaves(function, key): map_leaves(function, item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)([map_leaves(function, item) for item in value])
    return function(value)


class _Infinity(float):
    """`inf` is no literal, but a literal that overflows is."""

    def __repr__(self) -> str:
        return "1e999" if self > 0 else "-1e999"


def render(value: Any) -> str | None:
    """Returns gin syntax that parses to `value`, or None if there is none."""
    leaves = list(walk(value))
    if any(type(leaf) not in _RENDERED or leaf != leaf for leaf in leaves):
        return None
    return repr(map_leaves(lambda leaf: _Infinity(leaf) if leaf in (math.inf, -math.inf) else leaf, value))


def expand(value: Any, macros: Mapping[str, Binding], keep: Sequence[str] = ()) -> Any:
    """Returns `value` with macros replaced by their values, but for those in `keep` and for gin's constants.

    Args:
      value: A value of a binding.
      macros: The definitions by name.
      keep: Names of macros that stay.

    Raises:
      ConfigurationError: A macro is defined by itself, or stands for more than a configuration can hold.
    """
    leaves = 0

    def expanded(item: Any, within: tuple[str, ...]) -> Any:
        nonlocal leaves
        leaves += 1
        if not isinstance(item, Macro) or item.name in keep or item.name not in macros:
            return item
        macro, inside = macros[item.name], (*within, item.name)
        if item.name in within:
            raise ConfigurationError(
                f"{macro.location}: the macro {item.name} is defined by itself: {' → '.join(inside)}."
            )
        if len(inside) > _DEEPEST_MACRO or leaves > _MOST_LEAVES:
            limit = f"{_DEEPEST_MACRO} others" if len(inside) > _DEEPEST_MACRO else f"{_MOST_LEAVES:,} values"
            raise ConfigurationError(
                f"{macro.location}: the macro {inside[0]} stands for more than {limit}. Write its value out."
            )
        return map_leaves(lambda leaf: expanded(leaf, inside), macro.value)

    return map_leaves(lambda leaf: expanded(leaf, ()), value)
