"""The configuration of a call from Python: `expol_tf.train(...)` without gin files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gin

from expol_tf.configuration import gin_registry
from expol_tf.configuration.configuration import NOT_WRITTEN, Configuration
from expol_tf.configuration.gin_internals import ConfigurableReference, unwritable_bindings
from expol_tf.configuration.gin_syntax import Binding, Key, map_leaves, references, render
from expol_tf.configuration.resolution import held_configuration
from expol_tf.descriptions import describe


def configuration_from_call(name: str, arguments: Mapping[str, Any]) -> Configuration:
    """Returns what gin holds now, overridden by the arguments that a call of `name` received.

    Numbers, strings, containers, registered classes and functions, `functools.partial` of these, and objects
    of registered dataclasses become bindings. Anything else (an environment object, a lambda, an array)
    becomes a comment in the text and an entry of the fingerprint, by value: see `expol_tf.descriptions`.
    Arguments equal to gin's value or to the default are no overrides.

    Args:
      name: "train".
      arguments: Every argument as the function received it, whether from the caller, from gin or by default.
    """
    base = held_configuration(name)
    known = gin_registry.look_up(name)
    held = gin.get_bindings(known.selector, resolve_references=False)
    bindings, unwritable = dict(base.bindings), {}
    for parameter in known.parameters.keys() - set(NOT_WRITTEN):
        key, value = ("", known.selector, parameter), arguments[parameter]
        is_held = key in bindings and parameter in held
        before = map_leaves(_passed, held[parameter]) if is_held else known.default(parameter)
        if gin_registry.equal(before, value):
            continue
        extra: dict[Key, Any] = {}
        try:
            expressed = gin_registry.as_gin_value(value, scope=f"{name}_{parameter}", extra=extra)
        except RecursionError:  # A container that holds itself.
            expressed = value
            text = None
        else:
            text = render(expressed)
        bindings.pop(key, None)
        if text is None:
            unwritable[f"{name}.{parameter}"] = str(describe(value, _gin_text))
            continue
        for entry, item in {key: expressed, **extra}.items():
            bindings[entry] = Binding(*entry, item, f"{name}()")
    unwritable |= _bound_objects(bindings, known.selector)
    changed = dataclasses.replace(base, bindings=bindings, unwritable=unwritable, chosen=())
    changed.check()
    given = [binding for key, binding in bindings.items() if base.bindings.get(key) is not binding]
    return dataclasses.replace(changed, imports=tuple(dict.fromkeys([*base.imports, *_modules(given)])))


def _bound_objects(bindings: Mapping[Key, Binding], root: str) -> dict[str, str]:
    """Returns descriptions of objects that `gin.bind_parameter` gave to what the experiment may use."""
    used = _referred_to(bindings.values())
    found = {}
    for (scope, selector, parameter), value in unwritable_bindings().items():
        # The arguments of the root were looked at as they are; code of the user's own may bind what it likes.
        if selector == root or (gin_registry.is_foreign(selector, root) and selector not in used):
            continue
        name = f"{gin_registry.look_up(selector).short}.{parameter}"
        found[f"{scope}/{name}" if scope else name] = str(describe(value, _gin_text))
    return found


def _modules(bindings: Sequence[Binding]) -> list[str]:
    """Returns the modules that another process must import to know what bindings refer to."""
    return sorted(filter(None, map(gin_registry.module_to_import, _referred_to(bindings))))


def _referred_to(bindings: Iterable[Binding]) -> set[str]:
    """Returns the complete names of the configurables that bindings refer to."""
    names = references([binding.value for binding in bindings])
    return {gin_registry.look_up(name.rpartition("/")[2]).selector for name in names}


class _FreshObject:
    """Stands for what `@name()` gives, another object on every call: equal to all that gin cannot write."""

    def __eq__(self, other: object) -> bool:
        return render(gin_registry.as_gin_value(other)) is None


def _passed(held: Any) -> Any:
    """Returns what gin passes for a leaf of a bound value."""
    if not isinstance(held, ConfigurableReference):
        return held
    if not held.evaluate:
        return held.scoped_configurable_fn
    scope, selector = held.config_key
    if selector == "gin.macro":
        return map_leaves(_passed, gin.query_parameter(f"%{scope}"))
    return held.scoped_configurable_fn() if selector == "gin.constant" else _FreshObject()


def _gin_text(value: Any) -> str | None:
    return render(gin_registry.as_gin_value(value))
