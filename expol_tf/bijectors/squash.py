"""Maps between a policy's own variable and actions of a box."""

from __future__ import annotations

import math
from typing import Any, Protocol

import gin
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.errors import SpaceError

tfb = tfp.bijectors


class BoxSpec(Protocol):
    """What a bounded spec has: a TF-Agents `BoundedTensorSpec` or `BoundedArraySpec`, say."""

    shape: Any
    minimum: Any
    maximum: Any


def box_middle_and_half(action_spec: BoxSpec) -> tuple[np.ndarray, np.ndarray]:
    """Returns (mid, half) of a bounded spec, both `[A]` in float64: the box is mid ± half.

    Raises:
      SpaceError: If the spec has no bounds, a bound is infinite or the box has no interior.
    """
    if not hasattr(action_spec, "minimum"):
        raise SpaceError(f"action_spec: must be a bounded spec (minimum and maximum); got {action_spec}.")
    low = np.broadcast_to(np.asarray(action_spec.minimum, np.float64), action_spec.shape)
    high = np.broadcast_to(np.asarray(action_spec.maximum, np.float64), action_spec.shape)
    limit = 0.5 * np.finfo(np.float32).max  # Some environments write "unbounded" as the largest float32.
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(np.abs([low, high]) < limit)):
        raise SpaceError(
            f"action_spec: the action box must have finite bounds; got minimum {action_spec.minimum} and "
            f"maximum {action_spec.maximum}. Wrap the environment with gymnasium.wrappers.RescaleAction or "
            "give it a bounded Box."
        )
    if np.any(high <= low):
        raise SpaceError(
            f"action_spec: the action box needs maximum > minimum everywhere; got {low} and {high}."
        )
    return (high + low) / 2, (high - low) / 2


def to_action_units(action_spec: BoxSpec, dtype: tf.DType = tf.float32) -> tfb.Bijector:
    """a = mid + half·u: the unsquashed map, so that u ~ N(0, 1) spans any box as it spans [−1, 1]."""
    middle, half = box_middle_and_half(action_spec)
    return tfb.Chain([tfb.Shift(tf.constant(middle, dtype)), tfb.Scale(tf.constant(half, dtype))])


@gin.configurable(module="expol_tf")
class Squash(tfb.Bijector):
    """a = mid + half·tanh(u), with log|∂a/∂u| = log half + log(1 − tanh² u) for each component.

    Elementwise. log(1 − tanh² u) is computed as 2(log 2 − u − softplus(−2u)), which is exact for large |u|,
    where 1 − tanh² u underflows. The inverse accepts every action of the closed box: near the edges it
    returns the u of the last action that the dtype can tell from the edge (a few units in the last place,
    relative to the half width, more where the box is far from 0), and so stays finite in value and gradient.
    Where the pre-squash action is known, use it instead of the inverse.

    Reference: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, App. C.

    Args:
      action_spec: A bounded spec with finite bounds (TF-Agents `BoundedTensorSpec` or `BoundedArraySpec`).
    """

    def __init__(self, action_spec: BoxSpec, dtype: tf.DType = tf.float32, name: str = "squash") -> None:
        parameters = dict(locals())
        middle, half = box_middle_and_half(action_spec)
        epsilon = float(np.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps)
        with tf.name_scope(name) as name:
            self._middle = tf.constant(middle, dtype)
            self._half = tf.constant(half, dtype)
            # Rounding of `a` itself, relative to the half width: a box far from 0 resolves its edges less.
            edge = 1.0 - 2.0 * epsilon * (np.abs(middle) + half) / half
            if np.any(edge < 0.5):
                raise SpaceError(
                    f"action_spec: {tf.as_dtype(dtype).name} hardly tells the actions of this box apart, so "
                    f"narrow is it for its distance from 0; got {action_spec.minimum} … "
                    f"{action_spec.maximum}. Wrap the environment with gymnasium.wrappers.RescaleAction."
                )
            self._edge = tf.constant(edge, dtype)
            super().__init__(forward_min_event_ndims=0, dtype=dtype, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype):
        return dict()

    def _forward(self, u):
        return self._middle + self._half * tf.tanh(u)

    def _inverse(self, a):
        normalized = (a - self._middle) / self._half
        return tf.atanh(tf.clip_by_value(normalized, -self._edge, self._edge))

    def _forward_log_det_jacobian(self, u):
        return tf.math.log(self._half) + 2.0 * (math.log(2.0) - u - tf.nn.softplus(-2.0 * u))
