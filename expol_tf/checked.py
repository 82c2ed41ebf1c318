"""The decorator of public functions that gin does not configure: it checks what a call is given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from expol_tf.argument_types import mistake, type_hints
from expol_tf.errors import ConfigurationError

T = TypeVar("T", bound=Callable[..., Any])


def checked(function: T) -> T:
    """Returns the function, with a `ConfigurationError` for an argument that is not of its declared type.

    Ranges (`expol_tf.number_types`) are checked too. What cannot be told cheaply passes, and so does what the
    signature does not declare, of which Python says that it is not there.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        hints = type_hints(function)
        for name, value in (dict(zip(signature.parameters, args, strict=False)) | kwargs).items():
            if name in hints:
                text = mistake(name, value, hints[name], signature.parameters[name].default)
                if text:
                    raise ConfigurationError(text)
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]
