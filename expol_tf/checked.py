"""The decorator of public functions that gin does not configure: it checks what a call is given."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from expol_tf.argument_types import plain, require, type_hints

T = TypeVar("T", bound=Callable[..., Any])
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]


def checked(function: T) -> T:
    """Returns the function, with a `ConfigurationError` for an argument that is not of its declared type.

    Ranges (`expol_tf.number_types`) are checked too. What cannot be told cheaply passes, and so does what the
    signature does not declare, of which Python says that it is not there.
    """
    check = argument_check(inspect.signature(function))

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = check(type_hints(function), "", args, kwargs)
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def argument_check(
    signature: inspect.Signature,
) -> Callable[[Mapping[str, Any], str, Arguments, Keywords], tuple[Arguments, Keywords]]:
    """Returns a function that holds the arguments of a call against types by name.

    It is called with the types, what stands in front of an argument's name in messages, and the positional
    and the keyword arguments. It returns these, NumPy's numbers as Python's.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_position = [each.name for each in signature.parameters.values() if each.kind in kinds]

    def check(
        types: Mapping[str, Any], owner: str, args: Arguments, kwargs: Keywords
    ) -> tuple[Arguments, Keywords]:
        given = dict(zip(by_position, args, strict=False)) | kwargs
        # Only a program that has imported gin can give its mark; who reads runs does without.
        gin = sys.modules.get("gin")
        required = None if gin is None else gin.REQUIRED
        for name, value in given.items():
            if name in types and (value is None or value is not required):
                require(f"{owner}{name}", value, types[name], signature.parameters[name].default)
                given[name] = plain(value, types[name])
        named = [given[name] for name in by_position[: len(args)]]
        return (*named, *args[len(named) :]), {name: given[name] for name in kwargs}

    return check
