"""What the library needs of gin-config beyond its public names, in this file alone.

gin has no public way to list what is registered, and without it a misspelt name cannot be answered with the
nearest known one. `tests/configuration/test_gin_internals.py` pins the versions of gin that have these names.
"""

from __future__ import annotations

from typing import Any

from gin import config as _gin

# gin's own form of @name, @name(), %MACRO and %constant in a bound value.
ConfigurableReference = _gin.ConfigurableReference


def selectors(name: str) -> list[str]:
    """Returns the complete names of the configurables that `name` may stand for."""
    return list(_gin._REGISTRY.matching_selectors(name))


def entries() -> dict[str, Any]:
    """Returns everything that is registered, by complete name.

    An entry has the registered class or function, `wrapped`, what gin calls in its place, `wrapper`, and the
    `allowlist` and `denylist` of its parameters.
    """
    return dict(_gin._REGISTRY.items())


def unwritable_bindings() -> dict[tuple[str, str, str], Any]:
    """Returns what gin holds and leaves out of `gin.config_str`, by scope, complete name and parameter."""
    return {
        (scope, selector, parameter): value
        for (scope, selector), values in _gin._CONFIG.items()
        for parameter, value in values.items()
        if not _gin._is_literally_representable(value)
    }


def short_name(selector: str) -> str:
    """Returns the shortest name that gin understands."""
    return str(_gin._REGISTRY.minimal_selector(selector))


def is_constant(name: str) -> bool:
    """Whether `%name` is a constant that Python code registered with gin."""
    return bool(constants(name))


def constants(name: str) -> dict[str, Any]:
    """Returns the constants that `%name` may stand for, their values by complete name."""
    return {match: _gin._CONSTANTS[match] for match in _gin._CONSTANTS.matching_selectors(name)}
