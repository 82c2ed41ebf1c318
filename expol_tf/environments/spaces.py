"""Which Gymnasium spaces the library accepts, and their TF-Agents specs."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from tf_agents.specs import array_spec

from expol_tf.errors import SpaceError

_FLATTEN = "Flatten it: pass wrappers=(gymnasium.wrappers.FlattenObservation,)."


def action_spec(space: gymnasium.Space, task: str) -> array_spec.BoundedArraySpec:
    """Returns the float32 spec `[A]` of an action box with finite bounds.

    Args:
      space: The task's action space.
      task: The task's name, for the message.

    Raises:
      SpaceError: If the space is not a box of floats of rank 1 with finite bounds, low < high.
    """
    box = _float_box(space, "action", task)
    if not (np.all(np.isfinite(box.low)) and np.all(np.isfinite(box.high))):
        raise SpaceError(
            f"The action space of {task} must have finite bounds, since actions are scaled to them; got "
            f"{space}. Give it some in a wrapper, for example gymnasium.wrappers.TransformAction."
        )
    low, high = _within(box, *_float32_bounds(box))
    return array_spec.BoundedArraySpec(box.shape, np.float32, minimum=low, maximum=high, name="action")


def observation_spec(space: gymnasium.Space, task: str) -> array_spec.BoundedArraySpec:
    """Returns the float32 spec `[O]` of an observation box. Infinite bounds become the largest float32.

    Args:
      space: The task's observation space.
      task: The task's name, for the message.

    Raises:
      SpaceError: If the space is not a box of floats of rank 1 with low ≤ high in every component. One in
        which both are equal is constant, as Meta-World's goals are, and may stay: nothing is scaled to it.
    """
    box = _float_box(space, "observation", task)
    low, high = _float32_bounds(box)
    return array_spec.BoundedArraySpec(box.shape, np.float32, minimum=low, maximum=high, name="observation")


def box_bounds(space: gymnasium.Space) -> tuple[Any, ...] | None:
    """Returns shape and bounds of a box as values that can be compared; None for any other space."""
    if not isinstance(space, spaces.Box) or not _has_bounds(space):
        return None
    # Bytes are compared in a tenth of the time of arrays, and every reset does it.
    return space.shape, space.low.tobytes(), space.high.tobytes()


def _has_bounds(box: spaces.Box) -> bool:
    """Whether the bounds are arrays of the box's shape: a task might have replaced them."""
    low, high = box.low, box.high
    return (
        isinstance(low, np.ndarray) and isinstance(high, np.ndarray) and low.shape == box.shape == high.shape
    )


def _float32_bounds(box: spaces.Box) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bounds in float32, infinite ones as its largest numbers."""
    limits = np.finfo(np.float32)
    return (
        np.clip(box.low, limits.min, limits.max).astype(np.float32),
        np.clip(box.high, limits.min, limits.max).astype(np.float32),
    )


def _within(box: spaces.Box, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns float32 bounds, moved by a unit in the last place where rounding has left the box."""
    # The nearest number to a bound of a float64 box may lie outside: 0.1 becomes 0.10000000149.
    low = np.where(low < box.low, np.nextafter(low, np.float32(np.inf)), low)
    return low, np.where(high > box.high, np.nextafter(high, np.float32(-np.inf)), high)


def _float_box(space: gymnasium.Space, kind: str, task: str) -> spaces.Box:
    """Returns `space` if it is a box of floats of rank 1; else names the space and the remedy in an error."""
    if isinstance(space, spaces.Box) and not _has_bounds(space):
        # Such a box cannot even be shown.
        raise SpaceError(
            f"The {kind} space of {task} must have bounds low and high of its shape {space.shape}; got "
            f"{space.low!r} and {space.high!r}. Give them to the Box when it is made."
        )
    wrong = f"The {kind} space of {task} must be a Box of floats of shape (n,); got {space}. "
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        raise SpaceError(wrong + f"Choose a task with continuous {kind}s.")
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        if kind == "observation" and _flattens(space):
            raise SpaceError(wrong + _FLATTEN)
        raise SpaceError(wrong + "Nested spaces are not supported: convert it in a wrapper of your own.")
    if not isinstance(space, spaces.Box):
        raise SpaceError(wrong + f"A {type(space).__name__} space is not supported.")
    if not np.issubdtype(space.dtype, np.floating):
        raise SpaceError(
            wrong + f"Integer boxes ({space.dtype}), such as images, are not supported: choose another task "
            "or convert it in a wrapper of your own."
        )
    if len(space.shape) != 1:
        remedy = _FLATTEN if kind == "observation" else "Reshape it in a wrapper of your own."
        raise SpaceError(wrong + f"Its rank is {len(space.shape)}, not 1. {remedy}")
    if space.shape[0] == 0:
        raise SpaceError(wrong + "The box is empty: it has no components.")
    # Actions are scaled to their box, so that each component needs some width; nothing is to observations.
    in_order = space.low <= space.high if kind == "observation" else space.low < space.high
    wrong_ones = np.flatnonzero(~in_order)
    if wrong_ones.size:
        component = wrong_ones[0]
        low, high = space.low[component], space.high[component]
        if np.isnan(low) or np.isnan(high):
            raise SpaceError(wrong + f"A bound of component {component} is NaN.")
        sign, remedy = ("==", "Leave that one out") if low == high else (">", "Exchange the two")
        raise SpaceError(
            wrong + f"The box is degenerate: low {sign} high in component {component}. {remedy}."
        )
    return space


def _flattens(space: gymnasium.Space) -> bool:
    """Returns whether FlattenObservation turns `space` into a box of floats."""
    if not space.is_np_flattenable:
        return False
    flat = spaces.flatten_space(space)
    return isinstance(flat, spaces.Box) and np.issubdtype(flat.dtype, np.floating)
