"""Maps between a policy's own variable and actions of a box."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors.action_box import ActionBox, BoxSpec, representable_bounds
from expol_tf.configurable import configurable
from expol_tf.errors import SpaceError
from expol_tf.text_types import ModuleName

tfb = tfp.bijectors


def to_action_units(action_spec: BoxSpec, dtype: tf.DType = tf.float32) -> tfb.Bijector:
    """a = mid + half·u, the map of unsquashed policies: u ~ N(0, 1) spans any box as it spans [−1, 1].

    Args:
      action_spec: A bounded spec `[A]` with finite bounds.
      dtype: The dtype of u and a.
    """
    middle, half = ActionBox.of(action_spec)
    return tfb.Chain([tfb.Shift(tf.constant(middle, dtype)), tfb.Scale(tf.constant(half, dtype))])


def require_squashable(action_spec: BoxSpec, dtype: tf.DType = tf.float32) -> None:
    """Raises a `SpaceError` unless `Squash(action_spec, dtype)` can be made.

    Networks call it when they are made: an error within their `call` would reach the user through Keras,
    which hides the reason.
    """
    _edge(action_spec, dtype)


@configurable
class Squash(tfb.Bijector):
    """a = mid + half·tanh(u), with log|∂a/∂u| = log half + log(1 − tanh² u) for each component.

    It acts on each component alone, and its actions lie in the closed box exactly. The inverse accepts every
    action of the closed box: near the edges it returns the u of the last action that the dtype can tell from
    the edge (a few units in the last place, relative to the half width, more where the box is far from 0),
    and so stays finite in value and gradient. Where the pre-squash action is known, use it instead.

    Reference: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, App. C.

    Args:
      action_spec: A bounded spec `[A]` with finite bounds (TF-Agents `BoundedTensorSpec` or
        `BoundedArraySpec`).
      dtype: The dtype of u and a.
    """

    def __init__(
        self, action_spec: BoxSpec, dtype: tf.DType = tf.float32, name: ModuleName = "squash"
    ) -> None:
        parameters = dict(locals())
        middle, half = ActionBox.of(action_spec)
        edge = _edge(action_spec, dtype)
        with tf.name_scope(name) as name:
            self._middle = tf.constant(middle, dtype)
            self._half = tf.constant(half, dtype)
            self._edge = tf.constant(edge, dtype)
            self._lowest, self._highest = representable_bounds(action_spec, dtype)
            super().__init__(forward_min_event_ndims=0, dtype=dtype, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return dict()

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        # Rounding alone can leave the box. The clip has slope 0 only there, where tanh has hardly any.
        return tf.clip_by_value(self._middle + self._half * tf.tanh(u), self._lowest, self._highest)

    def _inverse(self, a: tf.Tensor) -> tf.Tensor:
        # atanh(±1) is infinite, and rounding can even put an action of the box beyond ±1, where it is NaN.
        normalized = (a - self._middle) / self._half
        return tf.atanh(tf.clip_by_value(normalized, -self._edge, self._edge))

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        # log(1 − tanh² u) as written is log 0 from |u| ≈ 9 on, where float32 rounds tanh to ±1. This form is
        # exact for every u: it tends to the straight line 2(log 2 − |u|).
        return tf.math.log(self._half) + 2.0 * (math.log(2.0) - u - tf.nn.softplus(-2.0 * u))


def _edge(action_spec: BoxSpec, dtype: tf.DType) -> np.ndarray:
    """Returns the largest tanh(u) `[A]` whose action the dtype can tell from the edge of the box."""
    middle, half = ActionBox.of(action_spec)
    epsilon = float(np.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps)
    # Actions are rounded relative to their own size, so a box far from 0 resolves its edges less.
    edge = 1.0 - 2.0 * epsilon * (np.abs(middle) + half) / half
    if np.any(edge < 0.5):
        raise SpaceError(
            f"action_spec: {tf.as_dtype(dtype).name} hardly tells the actions of this box apart, so narrow "
            f"is it for its distance from 0; got {action_spec.minimum} … {action_spec.maximum}. Wrap the "
            "environment with gymnasium.wrappers.RescaleAction."
        )
    return edge
