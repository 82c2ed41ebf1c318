"""The box of actions: its bounds, and the scale on which temperatures and entropies are measured."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from expol_tf.errors import SpaceError


@runtime_checkable
class BoxSpec(Protocol):
    """A bounded spec, such as a TF-Agents `BoundedTensorSpec` or `BoundedArraySpec`."""

    shape: Any
    minimum: Any
    maximum: Any


class ActionBox(NamedTuple):
    """mid ± half, both `[A]` in float64, and the action scaled to [−1, 1].

    Temperatures and entropies are those of the scaled action, so that they mean the same on any box.
    """

    middle: np.ndarray
    half: np.ndarray

    @classmethod
    def of(cls, action_spec: BoxSpec) -> ActionBox:
        """Returns the box of a bounded spec.

        Raises:
          SpaceError: If the spec has no bounds, a bound is infinite or the box has no interior.
        """
        if not isinstance(action_spec, BoxSpec):
            raise SpaceError(f"action_spec: must be a bounded spec (minimum and maximum); got {action_spec}.")
        low = np.broadcast_to(np.asarray(action_spec.minimum, np.float64), action_spec.shape)
        high = np.broadcast_to(np.asarray(action_spec.maximum, np.float64), action_spec.shape)
        limit = 0.5 * np.finfo(np.float32).max  # Some environments write "unbounded" as the largest float32.
        # A NaN compares as false, so it is refused too.
        if not np.all(np.abs([low, high]) < limit):
            raise SpaceError(
                f"action_spec: the action box must have finite bounds; got minimum {action_spec.minimum} and "
                f"maximum {action_spec.maximum}. Wrap the environment with gymnasium.wrappers.RescaleAction "
                "or give it a bounded Box."
            )
        if np.any(high <= low):
            raise SpaceError(
                f"action_spec: the action box needs maximum > minimum everywhere; got {low} and {high}."
            )
        return cls((high + low) / 2, (high - low) / 2)

    @property
    def log_volume(self) -> float:
        """log|A| = A·log 2, the log-volume of the scaled box [−1, 1]ᴬ."""
        return len(self.half) * math.log(2.0)

    def scaled_log_prob(self, log_prob: tf.Tensor) -> tf.Tensor:
        """Returns log π `[...]` of the scaled action from log π(a) `[...]` of the action in its own units."""
        # With a = mid + half·x, da = half·dx: the density of x is that of a times Π half.
        return log_prob + tf.constant(np.sum(np.log(self.half)), log_prob.dtype)

    def from_scaled(self, scaled: tf.Tensor) -> tf.Tensor:
        """a = mid + half·x: returns the actions `[..., A]` of scaled actions x `[..., A]`."""
        return tf.constant(self.middle, scaled.dtype) + tf.constant(self.half, scaled.dtype) * scaled

    def to_scaled(self, action: tf.Tensor) -> tf.Tensor:
        """x = (a − mid) / half: returns the scaled actions `[..., A]` of actions a `[..., A]`."""
        return (action - tf.constant(self.middle, action.dtype)) / tf.constant(self.half, action.dtype)


def representable_bounds(action_spec: BoxSpec, dtype: tf.DType) -> tuple[np.ndarray, np.ndarray]:
    """Returns (lowest, highest) `[A]`: the numbers of a dtype that lie in the box and nearest to its bounds.

    Rounded to the nearest number, a bound of a float64 box may lie outside the box: 0.1 does in float32.
    """
    kind = tf.as_dtype(dtype).as_numpy_dtype
    bounds = []
    for bound, inwards in ((action_spec.minimum, math.inf), (action_spec.maximum, -math.inf)):
        exact = np.broadcast_to(np.asarray(bound, np.float64), action_spec.shape)
        rounded = exact.astype(kind)
        outside = rounded < exact if inwards > 0 else rounded > exact
        bounds.append(np.where(outside, np.nextafter(rounded, kind(inwards)), rounded))
    return bounds[0], bounds[1]


def into_box(action: tf.Tensor, action_spec: BoxSpec) -> tf.Tensor:
    """Clips actions `[..., A]` to the box, to numbers that lie in it exactly.

    mid + half·x with |x| ≤ 1 is rounded three times, and can leave an asymmetric box by a unit in the last
    place: [−2.8, 4] gave −2.8000002.
    """
    return tf.clip_by_value(action, *representable_bounds(action_spec, action.dtype))


def require_box(action_spec: BoxSpec) -> None:
    """Raises a `SpaceError` unless the spec is a box with finite bounds and an interior."""
    ActionBox.of(action_spec)
