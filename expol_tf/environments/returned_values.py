"""What environments may return: shapes and dtypes, checked with one sentence for each rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from expol_tf.environments.faults import shown
from expol_tf.errors import TaskError

# Kinds of dtypes that are real numbers: bool, signed, unsigned, floating.
REAL_KINDS = frozenset("biuf")
# The types that need no closer look.
NUMBERS = frozenset({float, int, np.float64, np.float32})
FLAGS = frozenset({bool, np.bool_})

_STEP = "(observation, reward, terminated, truncated, info)"
_OLD_STEP = (
    " Those of gym before 0.26 had `done` in the place of two: return terminated, where the task ended, and "
    "truncated, where it was cut off."
)


def array(value: Any, shape: tuple[int, ...], what: str, rule: str = "") -> np.ndarray:
    """Returns `value` as an array, once it is known to be real numbers of this shape.

    Args:
      value: What an environment returned.
      shape: The shape that it must have; nothing is broadcast.
      what: What it is, for the message.
      rule: Where the shape comes from, for the message.

    Raises:
      TaskError: If it is something else.
    """
    result = real_numbers(value)
    if result is None or result.shape != shape:
        raise TaskError(
            f"{what} must be an array of real numbers of shape {shape}{rule}; got {_named(value, result)}."
        )
    return result


def flags(value: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Returns `value` as an array of bool of this shape; see `array`. The integers 0 and 1 will do."""
    result = real_numbers(value)
    if result is not None and result.dtype.kind in "iu" and np.all((result == 0) | (result == 1)):
        result = result.astype(bool)
    if result is None or result.shape != shape or result.dtype.kind != "b":
        rule = f"an array of bool of shape {shape}" if shape else "True or False"
        raise TaskError(f"{what} must be {rule}; got {_named(value, result)}.{_scalar_remedy(shape, result)}")
    return result


def number(value: Any, what: str) -> float:
    """Returns `value` as a float, once it is known to be one real number; see `array`."""
    result = real_numbers(value)
    if result is None or result.shape:
        raise TaskError(
            f"{what} must be a real number; got {_named(value, result)}.{_scalar_remedy((), result)}"
        )
    return float(result)


def rewards(value: Any, shape: tuple[int, ...], what: str, rule: str = "") -> np.ndarray:
    """Returns rewards as an array; see `array`. Those of several objectives get a sentence of their own."""
    result = real_numbers(value)
    if result is not None and result.ndim and result.shape[:-1] == shape and result.shape[-1] > 1:
        count = result.shape[-1]
        expected = f"an array of real numbers of shape {shape}{rule}" if shape else "a real number"
        raise TaskError(
            f"{what} must be {expected}; got {_named(value, result)}. A task with {count} objectives is "
            "trained on their weighted sum: pass wrappers=[functools.partial("
            f"mo_gymnasium.wrappers.LinearReward, weight=…)] with an array of {count} weights, or a wrapper "
            "of your own that returns one number."
        )
    return array(value, shape, what, rule) if shape else np.asarray(number(value, what))


def observation(value: Any, shape: tuple[int, ...], call: str) -> np.ndarray:
    """Returns the observation that `call` returned; see `array`."""
    return array(value, shape, f"the observation that {call} returns", ", as the observation space says")


def first_observation(result: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the observation in what `reset` returned.

    Raises:
      TaskError: If it is not (observation, info), or the observation breaks its rule.
    """
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TaskError(
            f"reset() must return two values, (observation, info); got {_counted(result)}. "
            "Return the observation and a dict, which may be empty."
        )
    return observation(result[0], shape, "reset()")


def step_result(result: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, float, bool, bool]:
    """Returns observation, reward, terminated and truncated of what `step` returned.

    Raises:
      TaskError: If these are not five values, or one breaks its rule.
    """
    if not isinstance(result, tuple | list) or len(result) != 5:
        old = isinstance(result, tuple | list) and len(result) == 4
        raise TaskError(
            f"step() must return five values, {_STEP}; got {_counted(result)}.{_OLD_STEP if old else ''}"
        )
    return (
        observation(result[0], shape, "step()"),
        float(rewards(result[1], (), "the reward that step() returns")),
        bool(flags(result[2], (), "terminated, which step() returns,")),
        bool(flags(result[3], (), "truncated, which step() returns,")),
    )


def picture(value: Any, place: str) -> np.ndarray:
    """Returns the picture `[height, width, 3]` uint8 that `render` returned.

    Raises:
      TaskError: If it is something else.
    """
    result = real_numbers(value)
    if result is None or result.ndim != 3 or result.shape[-1] != 3 or result.dtype != np.uint8:
        raise TaskError(
            "render() must return a picture, an array of uint8 of shape (height, width, 3), when "
            f'render_mode="rgb_array"; got {_named(value, result)}.',
            place,
        )
    return result


def real_numbers(value: Any) -> np.ndarray | None:
    """Returns `value` as an array of real numbers; None if it is something else, or masked."""
    if isinstance(value, np.ma.MaskedArray):
        # Its mask would be dropped.
        return None
    try:
        result = np.asarray(value)
    except Exception:  # Ragged lists, and whatever an object's own conversion raises.
        return None
    return result if result.dtype.kind in REAL_KINDS else None


def _named(value: Any, result: np.ndarray | None) -> str:
    """Returns how a message names the value; a list of numbers by its shape."""
    return shown(value if result is None or not isinstance(value, list | tuple) else result)


def _counted(result: Any) -> str:
    return f"{len(result)}" if isinstance(result, tuple | list) else shown(result)


def _scalar_remedy(shape: tuple[int, ...], result: np.ndarray | None) -> str:
    single = result is not None and result.ndim and result.size == 1 and not shape
    return " Return its only element, by .item()." if single else ""
