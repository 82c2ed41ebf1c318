"""Whether values are of the types that a signature declares, as far as that can be told."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import functools
import inspect
import numbers
import os
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Range
from expol_tf.text_types import Pattern

# A value and the type that it should have → whether it has; None leaves the answer to `fits`.
Special = Callable[[Any, Any], bool | None]

_CALLABLE = (collections.abc.Callable, typing.Callable)
_SEQUENCES = (list, tuple, collections.abc.Sequence)
_MAPPINGS = (dict, collections.abc.Mapping)


@functools.cache
def type_hints(target: Any) -> dict[str, Any]:
    """Returns the evaluated annotations of a function's parameters, or of those of a class's constructor."""
    if dataclasses.is_dataclass(target):
        # A dataclass may inherit fields whose annotations only the module of its base can evaluate.
        sources = [(cls, vars(sys.modules[cls.__module__])) for cls in reversed(inspect.getmro(target)[:-1])]
    else:
        # Through decorators, to the module whose names the annotations use.
        function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
        sources = [(function, getattr(function, "__globals__", {}))]  # A class may have no constructor.
    hints: dict[str, Any] = {}
    for annotated, names in sources:
        annotations = inspect.get_annotations(annotated)
        for name, annotation in annotations.items():
            # Not `typing.get_type_hints`, for which all is lost where one annotation holds a name that only
            # type checkers import, as TF-Agents' nested specs do.
            with contextlib.suppress(Exception):
                hints[name] = eval(annotation, names) if isinstance(annotation, str) else annotation
    return hints


def fits(value: Any, hint: Any, special: Special | None = None) -> bool:
    """Whether a value is of a type; True where that cannot be told.

    NumPy's scalars count as Python's. NaN is a float: a range refuses it, which says more.

    Args:
      value: Any object.
      hint: A type, or what `typing` writes for one.
      special: Is asked first, also about the items of sequences.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return fits(value, arguments[0], special)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument, special) for argument in _alternatives(value, arguments))
    answer = None if special is None else special(value, hint)
    if answer is not None:
        return answer
    if hint is Any:
        return True
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool) or type(value).__name__ == "bool_"
    if hint in (int, float):  # To Python a bool is a number.
        return type(value) is not bool and isinstance(
            value, numbers.Integral if hint is int else numbers.Real
        )
    if hint in _CALLABLE or origin in _CALLABLE:
        return callable(value)
    if hint is type or origin is type:
        return isinstance(value, type)
    if os.PathLike in (hint, origin):
        return isinstance(value, os.PathLike)
    if hint in _SEQUENCES or origin in _SEQUENCES:
        if not isinstance(value, collections.abc.Sequence) or isinstance(value, str | bytes):
            return False
        items = _items(value, hint)
        return items is not None and all(fits(element, item, special) for element, item in items)
    if hint in _MAPPINGS or origin in _MAPPINGS:
        return isinstance(value, collections.abc.Mapping)
    return not isinstance(hint, type) or origin is not None or _is_instance(value, hint)


def range_problem(value: Any, hint: Any) -> str:
    """Returns what a value of a type must be and is not, such as "positive"; "" if it is in the type's range.

    Args:
      value: An object that `fits` the type.
      hint: A type, which may have a `Range` or a `Pattern` for itself, for its alternatives or for the items
        of a sequence.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        # A symbol of a configuration, which stands for a value that is not known yet, has no range.
        rules = [item for item in arguments[1:] if isinstance(item, Range)]
        problems = [rule.problem(value) for rule in rules] if isinstance(value, numbers.Real) else []
        patterns = [item for item in arguments[1:] if isinstance(item, Pattern)]
        problems += [pattern.problem(value) for pattern in patterns] if isinstance(value, str) else []
        return next(filter(None, problems), "") or range_problem(value, arguments[0])
    if origin in (typing.Union, types.UnionType):
        chosen = [each for each in _alternatives(value, arguments) if fits(value, each)]
        problems = [range_problem(value, each) for each in chosen]
        if not problems or not all(problems):
            return ""
        comma = "," if " " in problems[0] else ""  # "positive or None", "1 or more, or None".
        return f"{problems[0]}{comma} or None" if type(None) in arguments else problems[0]
    if (hint in _SEQUENCES or origin in _SEQUENCES) and isinstance(value, collections.abc.Sequence):
        return next(filter(None, (range_problem(*pair) for pair in _items(value, hint) or ())), "")
    return ""


def _alternatives(value: Any, hints: tuple[Any, ...]) -> list[Any]:
    """Returns the types of a union that a value may be of: a number is no tensor where numbers are named."""
    has_numbers = any(hint in (int, float) or typing.get_origin(hint) is Annotated for hint in hints)
    if not has_numbers or not isinstance(value, numbers.Number | str):
        return list(hints)
    return [hint for hint in hints if getattr(hint, "__module__", "").partition(".")[0] != "tensorflow"]


def _items(value: collections.abc.Sequence, hint: Any) -> list[tuple[Any, Any]] | None:
    """Returns the items of a sequence with their types; None if it is a tuple of another length."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if not arguments:
        return [(element, Any) for element in value]
    if origin is not tuple or arguments[1:] == (Ellipsis,):
        return [(element, arguments[0]) for element in value]
    return list(zip(value, arguments, strict=True)) if len(value) == len(arguments) else None


def plain(value: Any, hint: Any) -> Any:
    """Returns Python's number for one of NumPy's where the type is a number's, also inside a tuple or list.

    NumPy's numbers are no Python numbers everywhere: TensorFlow takes their dtype, JSON does not write them.
    """
    if isinstance(value, np.generic):
        return value.item() if _is_of_numbers(hint) else value
    if type(value) in (list, tuple) and any(isinstance(item, np.generic) for item in value):
        return type(value)(item.item() if isinstance(item, np.generic) else item for item in value)
    return value


def _is_of_numbers(hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _is_of_numbers(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return any(map(_is_of_numbers, arguments))
    return any(hint is kind for kind in (bool, int, float, str))


def _is_instance(value: Any, cls: type) -> bool:
    if cls.__module__.startswith("tensorflow.python.ops") and cls.__name__ == "Variable":
        return hasattr(value, "assign")  # A strategy's variables are no instances of the class.
    if getattr(cls, "_is_protocol", False):  # A class that has its methods is no object yet.
        checkable = getattr(cls, "_is_runtime_protocol", False)
        return not isinstance(value, type) and (not checkable or isinstance(value, cls))
    # TensorFlow takes an array or a text in the place of a tensor, a dtype or a shape.
    return cls.__module__.startswith("tensorflow.python.framework") or isinstance(value, cls)


def described(hint: Any) -> str:
    """Returns how a message names a type: `float or None`, `a Temperature`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return described(arguments[0])
    if origin in (typing.Union, types.UnionType):
        if any(os.PathLike in (each, typing.get_origin(each)) for each in arguments):
            arguments = tuple(each for each in arguments if each is not str)
        return " or ".join(described(argument) for argument in arguments)
    if hint is type(None):
        return "None"
    if hint in _CALLABLE or origin in _CALLABLE:
        return "a function or class"
    if os.PathLike in (hint, origin):
        return "a path, as a string or a pathlib.Path"
    if origin is tuple and arguments and arguments[1:] != (Ellipsis,):
        return f"a tuple ({', '.join(map(described, arguments))})"
    if hint in _SEQUENCES or origin in _SEQUENCES:
        items = described(arguments[0]) if arguments else ""
        # "a sequence of str or a sequence of str" would be read as two alternatives.
        nested = "a sequence" in items
        return (
            f"a sequence, each item of it {items}"
            if nested
            else f"a sequence of {items}".removesuffix(" of ")
        )
    if hint in _MAPPINGS or origin in _MAPPINGS:
        return "a mapping"
    if isinstance(hint, type) and origin is None and hint.__module__ != "builtins":
        return f"{'an' if hint.__name__[0] in 'AEIOU' else 'a'} {hint.__name__}"
    name = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    return name.replace("typing.", "").replace("collections.abc.", "")


def shown(value: Any) -> str:
    """Returns how a message names a value; a long one is cut."""
    if hasattr(value, "__name__"):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def remedy(value: Any, hint: Any) -> str:
    """Returns a sentence on what to write instead of a value, with a blank before it; "" for none."""
    if isinstance(value, float) and value.is_integer() and fits(int(value), hint):
        return f" Write {int(value)}."
    if isinstance(value, np.ndarray) and value.ndim == 1 and fits(tuple(value), hint):
        return f" Write {tuple(value.tolist())}."
    classes = [cls for cls in typing.get_args(hint) or (hint,) if isinstance(cls, type)]
    with contextlib.suppress(TypeError):  # Some protocols cannot be asked about classes.
        if isinstance(value, type) and any(issubclass(value, cls) for cls in classes):
            return f" Call it: {value.__name__}()."
    own = [cls.__name__ for cls in classes if cls.__module__.startswith("expol_tf.")]
    if own and hasattr(value, "__name__"):
        return f" For one of your own, derive a class from {own[0]} (docs/extending.md) and call it."
    return ""


def require(argument: str, value: Any, hint: Any, default: Any = None) -> None:
    """Raises a `ConfigurationError` for a value that is not of a type or not in its range; see `mistake`."""
    text = mistake(argument, value, hint, default)
    if text:
        raise ConfigurationError(text)


def mistake(argument: str, value: Any, hint: Any, default: Any = None, special: Special | None = None) -> str:
    """Returns what to say of a value that is not of a type or not in its range; "" if it is both.

    Args:
      argument: The name under which the value was given.
      value: Any object.
      hint: A type.
      default: What the argument is if nobody gives it; the remedy for a number out of its range.
      special: As `fits` takes it.
    """
    if not fits(value, hint, special):
        return f"{argument} must be {described(hint)}; got {shown(value)}.{remedy(value, hint)}"
    problem = range_problem(value, hint)
    if not problem:
        return ""
    plain = isinstance(default, int | float | str | tuple) and not isinstance(default, bool)
    return (
        f"{argument} must be {problem}; got {shown(value)}.{f' The default is {default!r}.' if plain else ''}"
    )
