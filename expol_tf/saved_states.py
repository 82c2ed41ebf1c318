"""What `set_state` was given is compared with what `get_state` returns, before anything is restored."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from expol_tf.errors import CheckpointError

_KINDS = {"b": "bool", "i": "integer", "u": "integer", "f": "floating", "U": "text"}


def require_saved(
    state: Any, like: Mapping[str, np.ndarray], owner: str, remedy: str, optional: Collection[str] = ()
) -> None:
    """Raises a `CheckpointError` unless a saved state has certain arrays; others it may have besides.

    Nothing is broadcast or converted: an array of another shape or kind is that of something else.

    Args:
      state: What `set_state` was given.
      like: By name, an array of the shape and the kind of dtype that each array must have.
      owner: Whose state it is, for the message.
      remedy: What to do, for the message.
      optional: The names that may be missing.
    """
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(
            f"The saved state of {owner} must be arrays by name, as get_state returned it; got "
            f"{_shown(state)}. {remedy}"
        )
    for name, wanted in like.items():
        if name not in state and name in optional:
            continue
        array = state.get(name)
        if (
            isinstance(array, np.ndarray | np.generic)
            and not isinstance(array, np.ma.MaskedArray)
            and array.shape == wanted.shape
            and _kind(array) == _kind(wanted)
        ):
            continue
        raise CheckpointError(
            f"The saved state of {owner} needs {name!r}, {_shown(wanted)}; got "
            f"{'none' if name not in state else _shown(array)}. {remedy}"
        )


def generator_state(generator: np.random.Generator) -> np.ndarray:
    """Returns the state of a NumPy generator as a text array of shape `[]`."""
    # Some of NumPy's generators have an array in their state, which JSON knows as a list.
    return np.array(json.dumps(generator.bit_generator.state, default=lambda array: array.tolist()))


def set_generator_state(generator: np.random.Generator, state: np.ndarray) -> None:
    """Restores `generator_state` into a generator of the same kind.

    Raises:
      CheckpointError: It is the state of no such generator.
    """
    try:
        generator.bit_generator.state = json.loads(str(state))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        kind = type(generator.bit_generator).__name__
        raise CheckpointError(
            f"The saved state of a random generator must be that of a {kind}, as get_state returned it; got "
            f"{str(state)[:80]!r}. Restore what get_state returned."
        ) from error


def _kind(array: np.ndarray | np.generic) -> str:
    return _KINDS.get(array.dtype.kind, str(array.dtype))


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return f"the {type(value).__name__} {text if len(text) <= 80 else f'{text[:80]}…'}"
