"""The configuration of a call from Python: `expol_tf.train(...)` without gin files."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import gin

from expol_tf.configuration import gin_registry
from expol_tf.configuration.configuration import NOT_WRITTEN, Configuration, Key, held_configuration
from expol_tf.configuration.gin_syntax import Binding, render


def configuration_from_call(name: str, arguments: Mapping[str, Any]) -> Configuration:
    """Returns what gin holds now, overridden by the arguments that a call of `name` received.

    Numbers, strings, containers, registered classes and functions, and `functools.partial` of these become
    bindings. Anything else (an environment object, a lambda) becomes a comment in the text and an entry of
    the fingerprint. Arguments equal to gin's value or to the default are no overrides.

    Args:
      name: "train".
      arguments: Every argument as the function received it, whether from the caller, from gin or by default.
    """
    base = held_configuration(name)
    known = gin_registry.look_up(name, "call")
    held = gin.get_bindings(known.selector, resolve_references=False)
    bindings, unwritable = dict(base.bindings), {}
    for parameter, value in arguments.items():
        if parameter in NOT_WRITTEN or parameter not in known.parameters:
            continue
        key = ("", known.selector, parameter)
        if parameter in held:
            if _is_held(held[parameter], value):
                continue
        elif _equal(value, known.default(parameter)):
            continue
        extra: dict[Key, Any] = {}
        expressed = gin_registry.as_gin_value(value, scope=f"{name}_{parameter}", extra=extra)
        bindings.pop(key, None)
        if render(expressed) is None:
            unwritable[f"{name}.{parameter}"] = _described(value)
            continue
        for entry, item in {key: expressed, **extra}.items():
            bindings[entry] = Binding(*entry, item, f"{name}()")
    changed = dataclasses.replace(base, bindings=bindings, unwritable=unwritable)
    changed.check()
    return changed


def _is_held(held: Any, value: Any) -> bool:
    """Whether an argument is what gin passed for its binding `held`."""
    if isinstance(held, list | tuple):
        return type(held) is type(value) and len(held) == len(value) and all(map(_is_held, held, value))
    if isinstance(held, dict):
        return (
            isinstance(value, dict)
            and held.keys() == value.keys()
            and all(_is_held(item, value[key]) for key, item in held.items())
        )
    if not hasattr(held, "scoped_configurable_fn"):
        return _equal(held, value)
    if not held.evaluate:
        return held.scoped_configurable_fn is value
    if held.config_key[1] in ("gin.macro", "gin.constant"):
        if held.config_key[1] == "gin.macro":
            return _is_held(gin.query_parameter(f"%{held.config_key[0]}"), value)
        return _equal(held.scoped_configurable_fn(), value)
    # A fresh object on every call: an argument that gin could not have written is taken for it.
    return render(gin_registry.as_gin_value(value)) is None


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return type(one) is type(other) and bool(one == other)
    except (TypeError, ValueError):
        return False


def _described(value: Any) -> str:
    if isinstance(value, functools.partial):
        arguments = [_described(item) for item in value.args]
        arguments += [f"{name}={_described(item)}" for name, item in value.keywords.items()]
        return f"partial({', '.join([_described(value.func), *arguments])})"
    expressed = render(gin_registry.as_gin_value(value))
    if expressed is not None:
        return expressed
    if hasattr(value, "__qualname__"):
        return f"<{value.__module__}.{value.__qualname__}>"
    # Objects of a class are told apart by their plain attributes: TrustRegion(0.01) is not TrustRegion(0.02).
    plain = [
        f"{name.lstrip('_')}={item!r}"
        for name, item in sorted(getattr(value, "__dict__", {}).items())
        if isinstance(item, bool | int | float | str | None)
    ]
    settings = f": {', '.join(plain)}" if plain else ""
    return f"<{type(value).__module__}.{type(value).__qualname__} object{settings}>"
