"""What gin knows: configurables by name or object, their parameters, defaults and types."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import itertools
import types
import typing
from typing import Any, NamedTuple

import numpy as np
from gin import config as gin_config

from expol_tf.cli import did_you_mean
from expol_tf.configuration.gin_syntax import Macro, Reference, map_leaves, render, walk
from expol_tf.errors import ConfigurationError

# A name of ours wins over the same name of TF-Agents (ValueNetwork, ActorPolicy).
_OURS = "expol_tf."


class Configurable(NamedTuple):
    """A class or function that gin can configure.

    Attributes:
      selector: Its complete name, such as "expol_tf.ValueNetwork".
      short: The shortest name that gin itself understands.
      parameters: The parameters that may be bound, by name.
      hints: The types of those whose annotations can be evaluated.
      accepts_any: Whether it takes `**kwargs`.
    """

    selector: str
    short: str
    parameters: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    accepts_any: bool

    def default(self, parameter: str) -> Any:
        """Returns the default value, or `inspect.Parameter.empty`."""
        known = self.parameters.get(parameter)
        return inspect.Parameter.empty if known is None else known.default


def look_up(name: str, location: str) -> Configurable:
    """Returns the configurable that `name`, complete or not, stands for.

    Raises:
      ConfigurationError: If there is none, or several; the message tells the nearest known names.
    """
    matches = _registry().matching_selectors(name)
    ours = [match for match in matches if match.startswith(_OURS)]
    if len(matches) > 1 and len(ours) == 1:
        matches = ours
    if len(matches) == 1:
        return _describe(matches[0])
    if matches:
        raise ConfigurationError(
            f"{location}: several configurables are named {name!r}; "
            f"write one of {', '.join(sorted(matches))}."
        )
    known = [_registry().minimal_selector(selector) for selector in _selectors()]
    raise ConfigurationError(
        f"{location}: no configurable is named {name!r}.{did_you_mean(name, known)} "
        "Correct the name, or import the module that registers it."
    )


def find(target: Any) -> Configurable | None:
    """Returns the configurable that a class or function is registered as, or None."""
    for selector in _selectors():
        entry = _registry()[selector]
        if target is entry.wrapper or target is entry.wrapped:
            return _describe(selector)
    return None


def is_registered(name: str) -> bool:
    """Whether some configurable has this name."""
    return bool(_registry().matching_selectors(name))


def is_constant(name: str) -> bool:
    """Whether `%name` is a constant that Python code registered with gin."""
    return bool(gin_config._CONSTANTS.matching_selectors(name))


def check_parameter(configurable: Configurable, parameter: str, location: str) -> None:
    """Raises a `ConfigurationError` with the nearest name if there is no such parameter."""
    if parameter in configurable.parameters or configurable.accepts_any:
        return
    names = ", ".join(configurable.parameters) or "none"
    raise ConfigurationError(
        f"{location}: {configurable.short} has no parameter {parameter!r}."
        f"{did_you_mean(parameter, configurable.parameters)} Its parameters: {names}."
    )


def check_type(configurable: Configurable, parameter: str, value: Any, location: str) -> None:
    """Raises a `ConfigurationError` if `value` cannot be of the parameter's annotated type.

    Macros must be replaced by their values before. What cannot be told cheaply passes.
    """
    hint = configurable.hints.get(parameter)
    if hint is None or _fits(value, hint):
        return
    wanted = getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint)
    wanted = (wanted or str(hint)).replace("typing.", "").replace("collections.abc.", "")
    remedy = ""
    if isinstance(value, float) and value.is_integer() and _fits(int(value), hint):
        remedy = f" Write {int(value)}."
    elif isinstance(value, str) and is_registered(value) and _fits(Reference(value), hint):
        remedy = f" Write @{value}."
    raise ConfigurationError(
        f"{location}: {configurable.short}.{parameter} must be {wanted}; got {_shown(value)}.{remedy}"
    )


def as_gin_value(value: Any, scope: str = "", extra: dict[tuple[str, str, str], Any] | None = None) -> Any:
    """Returns the gin value that stands for a Python object; one that `render` refuses if there is none.

    A registered class or function becomes a reference. A `functools.partial` of one becomes a reference in
    the scope `scope`, and its arguments bindings in `extra`; without `extra` it cannot be expressed.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, functools.partial) and extra is not None:
        known = find(value.func)
        if known is None:
            return value
        arguments = {**dict(zip(known.parameters, value.args, strict=False)), **value.keywords}
        for parameter, item in arguments.items():
            inner = as_gin_value(item, f"{scope}_{parameter}", extra)
            if render(inner) is None:
                return value
            extra[scope, known.selector, parameter] = inner
        return Reference(f"{scope}/{known.short}")
    if type(value) in (list, tuple, dict):
        count = itertools.count()
        return map_leaves(lambda item: as_gin_value(item, f"{scope}_{next(count)}", extra), value)
    known = find(value) if callable(value) else None
    return value if known is None else Reference(known.short)


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Reference | Macro) else repr(value)


def _registry() -> Any:
    # gin has no public way to list what is registered, which suggesting the nearest name needs.
    return gin_config._REGISTRY


def _selectors() -> list[str]:
    return [selector for selector, _ in _registry().items()]


def _describe(selector: str) -> Configurable:
    entry = _registry()[selector]
    function = entry.wrapped
    if inspect.isclass(function):
        function = function.__init__ if function.__init__ is not object.__init__ else function.__new__
    function = inspect.unwrap(function)
    parameters, accepts_any = {}, False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            accepts_any = True
        elif parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            parameters[parameter.name] = parameter
    if inspect.isclass(entry.wrapped) and parameters:
        parameters.pop(next(iter(parameters)))  # self or cls
    if entry.allowlist:
        parameters = {name: parameters[name] for name in entry.allowlist if name in parameters}
        accepts_any = False
    for name in entry.denylist or ():
        parameters.pop(name, None)
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # Annotations of a user's class may name what exists for type checkers alone.
        hints = {}
    return Configurable(selector, _registry().minimal_selector(selector), parameters, hints, accepts_any)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a gin value can be of the type `hint`; True where that cannot be told."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if isinstance(value, Reference):
        # A call may return anything; the configurable itself is a callable.
        return value.evaluate or hint not in (int, float, bool, str, type(None))
    if any(isinstance(leaf, Macro) for leaf in walk(value)):
        return True  # a constant of the user's Python code
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if hint is collections.abc.Callable or origin is collections.abc.Callable or origin is type:
        return False
    if origin in (list, tuple, collections.abc.Sequence):
        if not isinstance(value, list | tuple):
            return False
        item = arguments[0] if arguments and (origin is not tuple or arguments[1:] == (Ellipsis,)) else Any
        return all(_fits(element, item) for element in value)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, dict)
    return True
