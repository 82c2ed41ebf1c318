"""Numbers out of their range and misspelt attributes of a class, refused by name."""

from __future__ import annotations

import difflib
import math
from typing import Any

import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.number_types import RULES


def require_number(argument: str, value: Any, rule: str, remedy: str = "") -> None:
    """Raises a `ConfigurationError` unless a number keeps a rule, which NaN and infinity never do.

    Args:
      argument: Name under which the caller was given the number, for the message.
      value: The number. A tensor passes, as its value is not known while a function is traced.
      rule: One of the keys of `expol_tf.number_types.RULES`, such as "positive" or "0 or more".
      remedy: A sentence that says what to do.
    """
    if tf.is_tensor(value) or isinstance(value, tf.Variable):
        return
    try:
        # To Python a bool is a number.
        if isinstance(value, bool):
            raise TypeError
        if RULES[rule](value):
            return
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{argument} must be a number, {rule}; got {value!r}.{' ' if remedy else ''}{remedy}"
        ) from None
    finite = " and finite" if value == math.inf and rule != "finite" else ""
    raise ConfigurationError(
        f"{argument} must be {rule}{finite}; got {value}.{' ' if remedy else ''}{remedy}"
    )


def refuse_misspelt_attributes(cls: type, root: type) -> None:
    """Raises a `ConfigurationError` if the body of a class misspells an attribute of its base classes.

    To be called by `__init_subclass__`. A misspelt setting would silently leave the inherited value. Methods
    and annotated fields are never refused.

    Args:
      cls: The class that is being defined.
      root: The first of its base classes whose attributes are settings.
    """
    own = vars(cls)
    bases = [base for base in cls.__mro__[1:] if issubclass(base, root)]
    known = {
        name
        for base in bases
        for name in (*vars(base), *vars(base).get("__annotations__", ()))
        if not name.startswith("_")
    }
    for name, value in own.items():
        # Functions, properties and the like are descriptors.
        is_setting = not (name.startswith("_") or hasattr(value, "__get__") or isinstance(value, type))
        if not is_setting or name in known or name in own.get("__annotations__", ()):
            continue
        near = difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.87)
        if near:
            raise ConfigurationError(
                f"{cls.__name__}.{name} must not be named almost like an attribute of {bases[0].__name__}; "
                f"did you mean {near[0]!r}? For a value of your own take another name, or annotate its type."
            )
