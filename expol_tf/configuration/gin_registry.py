"""What can be configured: configurables by name or object, their parameters, defaults and types."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import gin
import numpy as np

from expol_tf.argument_types import fits, mistake, type_hints
from expol_tf.cli import did_you_mean
from expol_tf.code_digests import is_importable, is_installed
from expol_tf.configurable import OUTERMOST
from expol_tf.configuration import gin_internals
from expol_tf.configuration.gin_syntax import Key, Macro, Reference, map_leaves, render
from expol_tf.errors import ConfigurationError
from expol_tf.factories import made_class
from expol_tf.renamed import moved, renamed

_LIBRARIES = ("expol_tf", "gin", "keras", "tensorflow", "tf_agents")
# A name of ours wins over the same name of TF-Agents (ValueNetwork, ActorPolicy).
OURS = "expol_tf."


class Configurable(NamedTuple):
    """A class or function that gin can configure.

    Attributes:
      selector: Its complete name, such as "expol_tf.ValueNetwork".
      short: The shortest name that gin itself understands.
      bases: The names of a class and its bases.
      parameters: The parameters that may be bound, by name.
      hints: The types of those whose annotations can be evaluated.
      accepts_any: Whether it takes `**kwargs`.
    """

    selector: str
    short: str
    bases: tuple[str, ...]
    parameters: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    accepts_any: bool

    @property
    def required(self) -> set[str]:
        """The parameters without a default."""
        none = (inspect.Parameter.empty, gin.REQUIRED)
        return {name for name, each in self.parameters.items() if any(each.default is item for item in none)}

    def default(self, parameter: str) -> Any:
        """Returns the default value, or `inspect.Parameter.empty`."""
        known = self.parameters.get(parameter)
        return inspect.Parameter.empty if known is None else known.default


def look_up(name: str, location: str = "", parameter: str = "", modules: Sequence[str] = ()) -> Configurable:
    """Returns the configurable that `name`, complete or not, stands for.

    Args:
      name: The name.
      location: Where it stands, for errors.
      parameter: What is set on it, of which errors may tell.
      modules: Modules of the user's that may have such a class or function without having registered it.

    Raises:
      ConfigurationError: If there is none, with the new or the nearest known name, or if there are several.
    """
    matches = gin_internals.selectors(name)
    if not matches and (wrapper := _wrapper_named(name, modules)) is not None:
        matches = [wrapper.selector]
    ours = [match for match in matches if match.startswith(OURS)]
    if len(matches) > 1 and len(ours) == 1:
        matches = ours
    if len(matches) == 1:
        return _describe(matches[0], gin_internals.short_name(matches[0]))
    if matches:
        raise ConfigurationError(
            f"{location}: several configurables are named {name!r}; "
            f"write one of {', '.join(sorted(matches))}."
        )
    answer = renamed(f"{name}.{parameter}") or renamed(name) or moved(name) or _unregistered(name, modules)
    if answer is None:
        known = [gin_internals.short_name(selector) for selector in gin_internals.entries()]
        nearest = did_you_mean(name, known) or did_you_mean(name.rpartition(".")[2], known)
        answer = (
            f"no configurable is named {name!r}.{nearest} Correct the name, or import the module that "
            "registers it, which must be installed or lie in the directory where the program is started."
        )
    raise ConfigurationError(f"{location}: {answer}")


def _unregistered(name: str, modules: Sequence[str]) -> str | None:
    """Returns what to say of a class or function of the user's that gin does not know, else None."""
    prefix, _, last = name.rpartition(".")
    for module in (prefix, *modules):
        target = getattr(sys.modules.get(module), last, None)
        if callable(target):
            return (
                f"{last!r} is in the module {module!r}, but it is not registered. "
                "Write @gin.configurable above its definition."
            )
    return None


def find(target: Any) -> Configurable | None:
    """Returns the configurable that a class or function is registered as, or None."""
    # What `expol_tf.configurable` returns for a function is around gin's own. A decorator of a user's copies
    # `__wrapped__` and all other attributes, and is another function.
    inner = target.__wrapped__ if getattr(target, OUTERMOST, None) is target else None
    for selector, entry in gin_internals.entries().items():
        if target is entry.wrapped or any(each is entry.wrapper for each in (target, inner)):
            return _describe(selector, gin_internals.short_name(selector))
    return None


def as_wrapper(target: Any) -> Configurable | None:
    """Returns a class of environments' wrappers of an installed package as a configurable; None for another.

    Gymnasium's wrappers need no registering: `@gymnasium.wrappers.FlattenObservation` is known by its module,
    and so are those of packages of tasks. Nothing else becomes configurable by a name alone, as a run's
    configuration may come from a stranger.
    """
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is None or not (isinstance(target, type) and issubclass(target, gymnasium.Wrapper)):
        return None
    if not (is_installed(target.__module__) and is_importable(target)):
        return None
    if target.__module__.startswith(OURS):
        return None
    if target not in _wrappers:
        _wrappers[target] = public_module(target)
        gin.external_configurable(target, module=_wrappers[target])
    return find(target)


def public_module(cls: type) -> str:
    """Returns the shortest name of a module from which a class can be imported under its own name."""
    parts = cls.__module__.split(".")
    modules = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    has_it = (module for module in modules if getattr(sys.modules.get(module), cls.__name__, None) is cls)
    return next(has_it, cls.__module__)


# Those that were registered here, and the module of each.
_wrappers: dict[type, str] = {}


def _wrapper_named(name: str, modules: Sequence[str]) -> Configurable | None:
    prefix, _, last = name.rpartition(".")
    targets = (getattr(sys.modules.get(module), last, None) for module in (prefix, *modules))
    return next(filter(None, map(as_wrapper, targets)), None)


def module_to_import(selector: str) -> str | None:
    """Returns the module that another process must import to know a configurable; None for the library's own.

    What a script or an interactive session registered is in no such module.
    """
    wrapped = gin_internals.entries()[selector].wrapped
    prefix = selector.rpartition(".")[0]
    module = prefix if prefix in sys.modules else wrapped.__module__
    if module == "__main__" or module.partition(".")[0] in _LIBRARIES:
        return None
    # Code of an installed package does not register itself; who did so is not known.
    return module if wrapped in _wrappers or not is_installed(module) else None


def is_foreign(selector: str, root: str) -> bool:
    """Whether a configurable is of the user's own, or another library's, code, and not of the root's library.

    Such code may read its settings at any time. TF-Agents' own classes are not foreign: nothing here makes
    them, and a setting on one is meant for ours. Nor are wrappers that nobody registered.
    """
    wrapped = gin_internals.entries()[selector].wrapped
    if wrapped in _wrappers:
        return False
    library = root.rpartition(".")[0]
    return selector.rpartition(".")[0] != library and wrapped.__module__.partition(".")[0] not in _LIBRARIES


@functools.cache
def called_bases(selector: str) -> tuple[str, ...]:
    """Returns the configurables from which a class derives, and whose constructors its own may call."""
    wrapped = gin_internals.entries()[selector].wrapped
    # The constructor of a dataclass sets its base's fields itself.
    if not inspect.isclass(wrapped) or dataclasses.is_dataclass(wrapped):
        return ()
    bases = wrapped.__mro__[1:]
    return tuple(name for name, entry in gin_internals.entries().items() if entry.wrapped in bases)


def check_parameter(configurable: Configurable, parameter: str, location: str) -> None:
    """Raises a `ConfigurationError` with the new or the nearest name if there is no such parameter."""
    if parameter in configurable.parameters:
        return
    answers = (renamed(f"{name}.{parameter}") for name in (configurable.short, *configurable.bases))
    answer = next(filter(None, answers), None)
    if answer is None:
        parameters = _all_parameters(configurable)
        if parameters is None or parameter in parameters:
            return
        answer = (
            f"{configurable.short} has no parameter {parameter!r}."
            f"{did_you_mean(parameter, parameters)} "
            f"Its parameters: {', '.join(parameters) or 'none'}."
        )
    raise ConfigurationError(f"{location}: {answer}")


def _all_parameters(configurable: Configurable) -> list[str] | None:
    """Returns the names of all parameters; None for one that takes any name.

    A class with `**kwargs` that derives from a class of ours hands them to the constructor of that class.
    """
    names = list(configurable.parameters)
    if not configurable.accepts_any:
        return names
    bases = [look_up(name) for name in called_bases(configurable.selector) if name.startswith(OURS)]
    if not bases or any(base.accepts_any for base in bases):
        return None
    return list(dict.fromkeys([*names, *(name for base in bases for name in base.parameters)]))


def check_type(configurable: Configurable, parameter: str, value: Any, location: str) -> None:
    """Raises a `ConfigurationError` if `value` cannot be of the parameter's annotated type, or in its range.

    Macros must be replaced by their values before. What cannot be told cheaply passes.
    """
    value = map_leaves(functools.partial(_constant, location), value)
    hint = configurable.hints.get(parameter)
    if hint is None:
        return
    default = configurable.default(parameter)
    text = mistake(f"{configurable.short}.{parameter}", value, hint, default, _special)
    if not text:
        return
    if isinstance(value, str) and gin_internals.selectors(value) and fits(Reference(value), hint, _special):
        text += f" Write @{value}."
    raise ConfigurationError(f"{location}: {text}")


def as_gin_value(value: Any, scope: str = "", extra: dict[Key, Any] | None = None) -> Any:
    """Returns the gin value that stands for a Python object; one that `render` refuses if there is none.

    A registered class or function becomes a reference. A `functools.partial` of one, and an object of a
    registered dataclass, become a reference in the scope `scope`, and their arguments bindings in `extra`;
    without `extra` they cannot be expressed.
    """
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple, dict):
        count = itertools.count()
        return map_leaves(lambda item: as_gin_value(item, f"{scope}_{next(count)}", extra), value)
    made = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if made or isinstance(value, functools.partial):
        known = find(type(value)) if made else _find_or_wrapper(value.func)
        if known is None or extra is None:
            return value
        if made:
            given = _set_fields(value, known)
        elif len(value.args) > len(known.parameters):
            return value  # They go to `*args`, which gin cannot bind.
        else:
            given = {**dict(zip(known.parameters, value.args, strict=False)), **value.keywords}
        for parameter, item in given.items():
            inner = as_gin_value(item, f"{scope}_{parameter}", extra)
            if render(inner) is None:
                return value
            extra[scope, known.selector, parameter] = inner
        return Reference(f"{scope}/{known.short}", evaluate=made)
    known = _find_or_wrapper(value) if callable(value) else None
    return value if known is None else Reference(known.short)


def _find_or_wrapper(target: Any) -> Configurable | None:
    return find(target) or as_wrapper(target)


def _set_fields(value: Any, known: Configurable) -> dict[str, Any]:
    """Returns the fields of a dataclass's object that neither their defaults nor gin would give it."""
    held = gin.get_bindings(known.selector, resolve_references=False)
    fields = {name: getattr(value, name) for name in known.parameters}
    return {
        name: item for name, item in fields.items() if name in held or not equal(item, known.default(name))
    }


def equal(one: Any, other: Any) -> bool:
    """Whether two objects are equal; False where they cannot be compared."""
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError, RecursionError):
        return False


@functools.cache
def _describe(selector: str, short: str) -> Configurable:
    entry = gin_internals.entries()[selector]
    function, is_class = entry.wrapped, inspect.isclass(entry.wrapped)
    if is_class:
        function = function.__init__ if function.__init__ is not object.__init__ else function.__new__
    function = inspect.unwrap(function)
    given = list(inspect.signature(function).parameters.values())[1 if is_class else 0 :]  # not self or cls
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = {parameter.name: parameter for parameter in given if parameter.kind in kinds}
    if entry.allowlist:
        parameters = {name: parameters[name] for name in entry.allowlist if name in parameters}
    for name in entry.denylist or ():
        parameters.pop(name, None)
    return Configurable(
        selector,
        short,
        tuple(base.__name__ for base in entry.wrapped.__mro__) if is_class else (),
        parameters,
        # Gymnasium's own hints are for readers: its RescaleAction says np.floating and takes a float.
        {} if entry.wrapped in _wrappers else type_hints(entry.wrapped),
        not entry.allowlist and any(parameter.kind is parameter.VAR_KEYWORD for parameter in given),
    )


def _constant(location: str, leaf: Any) -> Any:
    """Returns what `%name`, a constant of the user's Python code, stands for; other leaves as they are."""
    if not isinstance(leaf, Macro):
        return leaf
    known = gin_internals.constants(leaf.name)
    if not known:
        raise ConfigurationError(
            f"{location}: {leaf} is neither a macro of these files nor a constant of Python code. "
            "Define it, or import the module that does."
        )
    if len(known) > 1:
        raise ConfigurationError(f"{location}: several constants are named {leaf}: {', '.join(known)}.")
    (value,) = known.values()
    if value is gin.REQUIRED:
        raise ConfigurationError(f"{location}: {leaf} stands for a value that is still missing. Write one.")
    return value


def _special(value: Any, hint: Any) -> bool | None:
    """Whether a reference can be of a type; None for any other value."""
    if not isinstance(value, Reference):
        return None
    # The configurable itself is a callable, and so is what a call may return, or anything else.
    cls = made_class(gin_internals.entries()[look_up(value.name.rpartition("/")[2]).selector].wrapped)
    if hint not in (bool, int, float, str, type(None)):
        return True
    return value.evaluate and (cls is None or issubclass(cls, hint))
