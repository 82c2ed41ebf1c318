"""Sweep files: gin syntax, read as data, so that gin's own state stays as it is."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gin import config_parser

from expol_tf import _resources
from expol_tf.distributed.sweep import LogUniform, Sweep, Uniform
from expol_tf.errors import ConfigurationError

_CONFIGURABLES = {"Sweep": Sweep, "Uniform": Uniform, "LogUniform": LogUniform}


@dataclasses.dataclass(frozen=True)
class Symbol:
    """`@name`, `@name()` or `%NAME`, as it is written."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(frozen=True)
class Statement:
    """`scope/selector.parameter = value`; a macro's definition has an empty `parameter`."""

    scope: str
    selector: str
    parameter: str
    value: Any
    location: str


class _Symbols(config_parser.ParserDelegate):
    """Keeps references and macros as they are written."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Symbol:
        return Symbol(f"@{scoped_configurable_name}{'()' if evaluate else ''}")

    def macro(self, macro_name: str) -> Symbol:
        return Symbol(f"%{macro_name}")


def read_sweep(name: str | os.PathLike[str]) -> Sweep:
    """Returns the sweep that a file describes; see `Sweep`.

    ```
    Sweep.experiments = {"nfp": "gin/nfp_trpo.gin", "gaussian": "gin/gaussian_trpo.gin"}
    Sweep.tasks = ["gin/tasks/hopper.gin"]
    Sweep.seeds = (0, 1, 2)
    Sweep.draws = {"TrustRegion.max_kl": @LogUniform()}
    LogUniform.low = 1e-3
    LogUniform.high = 1e-2
    ```

    Args:
      name: The file, looked for in the user's directory and among the library's (`gin/sweeps/…`).

    Raises:
      ConfigurationError: With the line, and the nearest known name for one that does not exist.
    """
    path = find_file(os.fspath(name), [user_directory()], "--sweep_file")
    statements = list(read_statements(path))
    macros = {each.selector: each for each in statements if not each.parameter}
    bound: dict[tuple[str, str], dict[str, Any]] = {}
    used: set[str] = set()
    for statement in statements:
        if not statement.parameter:
            continue
        _check_name(statement)
        value = _expand(statement.value, macros, used)
        bound.setdefault((statement.scope, statement.selector), {})[statement.parameter] = value
    for macro in macros.values():
        if macro.selector not in used:
            raise ConfigurationError(
                f"{macro.location}: the macro {macro.selector} is defined, but nothing uses it. A setting of "
                f'the runs goes into Sweep.bindings = ["{macro.selector} = {render(macro.value)}"].'
            )
    arguments = bound.pop(("", "Sweep"), {})
    draws = arguments.get("draws", {})
    if isinstance(draws, dict):
        arguments["draws"] = {key: _distribution(key, value, bound) for key, value in draws.items()}
    if "experiments" not in arguments:
        raise ConfigurationError(
            f"{path}: Sweep.experiments must be set. Write "
            'Sweep.experiments = {"nfp_trpo": "gin/nfp_trpo.gin"}.'
        )
    sweep = Sweep(**arguments)
    if bound:
        shown = "/".join(filter(None, next(iter(bound))))
        raise ConfigurationError(
            f"{path}: {shown} is bound, but Sweep.draws does not refer to it. "
            f"Remove the lines, or write @{shown}() there."
        )
    return sweep


def user_directory() -> Path:
    """Returns the directory in which the command was typed, also for a program that Bazel runs elsewhere."""
    return Path(os.environ.get("BUILD_WORKING_DIRECTORY") or os.getcwd())


def find_file(name: str, directories: Sequence[Path], what: str) -> Path:
    """Returns the gin file called `name` in the first of the directories, or the library, that has it.

    Raises:
      ConfigurationError: There is none; `what` begins the message, which tells the nearest known name.
    """
    path = Path(name).expanduser()
    root = _resources.gin_root()
    inside = Path(*path.parts[1:]) if path.parts[:1] == ("gin",) else path
    candidates = [path] if path.is_absolute() else [*(each / path for each in directories), root / inside]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = [str("gin" / each.relative_to(root)) for each in root.rglob("*.gin")]
    looked = "\n".join(f"  {candidate}" for candidate in dict.fromkeys(candidates))
    raise ConfigurationError(
        f"{what}: the gin file {name!r} does not exist.{did_you_mean(name, known)}\nLooked for:\n{looked}"
    )


def read_statements(path: Path, chain: tuple[Path, ...] = ()) -> Iterator[Statement]:
    """Yields the statements of a gin file, includes in their place; imports are passed over."""
    if path.resolve() in chain:
        raise ConfigurationError(f"include: the gin file {path} includes itself.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The gin file {path} cannot be read: {error}.") from error
    for statement in parse(text, str(path)):
        if isinstance(statement, Statement):
            yield statement
        else:
            filename, location = statement
            directories = [path.parent, user_directory()]
            included = find_file(filename, directories, f"{location}: include")
            yield from read_statements(included, (*chain, path.resolve()))


def parse(text: str, source: str) -> Iterator[Statement | tuple[str, str]]:
    """Yields the statements of a text in gin's syntax; an include as its file's name and its location."""
    try:
        # The parser reads a token ahead, so that even making it can fail.
        for each in config_parser.ConfigParser(text, _Symbols()):
            location = f"{source}:{each.location.line_num}"
            if isinstance(each, config_parser.BindingStatement):
                yield Statement(each.scope, each.selector, each.arg_name or "", each.value, location)
            elif isinstance(each, config_parser.IncludeStatement):
                yield each.filename, location
    except SyntaxError as error:
        problem = (error.msg or "").splitlines()[-1].strip()
        raise ConfigurationError(f"{source}:{error.lineno or 1}: not valid gin syntax: {problem}") from error
    except tokenize.TokenError as error:
        message, (line, _) = error.args
        raise ConfigurationError(
            f"{source}:{line}: not valid gin syntax: {message} (a bracket or string is not closed)."
        ) from error


def render(value: Any) -> str:
    """Returns gin syntax for a value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{render(key)}: {render(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(render, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(render, value))}{',' if len(value) == 1 else ''})"
    return str(value) if isinstance(value, Symbol) else repr(value)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ' Did you mean …?' with the nearest of the known names, or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""


def _check_name(statement: Statement) -> None:
    selector = statement.selector.removeprefix("expol_tf.")
    if selector != statement.selector or selector not in _CONFIGURABLES:
        raise ConfigurationError(
            f"{statement.location}: a sweep file sets {', '.join(_CONFIGURABLES)}; "
            f"got {statement.selector!r}."
            f"{did_you_mean(selector, _CONFIGURABLES)} A setting of the runs goes into "
            f'Sweep.bindings = ["{statement.selector}.{statement.parameter} = {render(statement.value)}"].'
        )
    known = [name for name in inspect.signature(_CONFIGURABLES[selector]).parameters]
    if statement.parameter not in known:
        raise ConfigurationError(
            f"{statement.location}: {selector} has no parameter {statement.parameter!r}."
            f"{did_you_mean(statement.parameter, known)} Its parameters: {', '.join(known)}."
        )


def _expand(value: Any, macros: dict[str, Statement], used: set[str], within: tuple[str, ...] = ()) -> Any:
    """Returns `value` with the file's own macros replaced; others are left to the runs."""
    if isinstance(value, dict):
        return {
            _expand(key, macros, used, within): _expand(item, macros, used, within)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)([_expand(item, macros, used, within) for item in value])
    if isinstance(value, Symbol) and value.text.startswith("%") and value.text[1:] in macros:
        name = value.text[1:]
        if name in within:
            raise ConfigurationError(f"{macros[name].location}: the macro {name} is defined by itself.")
        used.add(name)
        return _expand(macros[name].value, macros, used, (*within, name))
    return value


def _distribution(name: str, value: Any, bound: dict[tuple[str, str], dict[str, Any]]) -> Any:
    """Returns the distribution that `@scope/LogUniform()` stands for, its bindings taken out of `bound`."""
    match = re.fullmatch(r"@(?:(.*)/)?(Uniform|LogUniform)\(\)", str(value))
    if not isinstance(value, Symbol) or match is None:
        return value
    scope, selector = match.group(1) or "", match.group(2)
    arguments = bound.pop((scope, selector), None)
    missing = sorted({"low", "high"} - set(arguments or ()))
    if arguments is None or missing:
        shown = f"{scope}/{selector}" if scope else selector
        raise ConfigurationError(
            f"Sweep.draws[{name!r}] = {value}: {shown}.{missing[0]} must be set on a line of its own. "
            f"Two parameters need scopes: @one/{selector}(), @two/{selector}()."
        )
    return _CONFIGURABLES[selector](**arguments)
