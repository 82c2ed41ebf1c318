"""The box of actions, as objectives see it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf


class BoxSpec(Protocol):
    """What a bounded spec has: a TF-Agents `BoundedTensorSpec` or `BoundedArraySpec`, say."""

    shape: Any
    minimum: Any
    maximum: Any


class ActionBox(NamedTuple):
    """mid ± half, both `[A]`, and the action scaled to [−1, 1].

    Temperatures and entropies are those of the scaled action, so that they mean the same on any box.
    """

    middle: np.ndarray
    half: np.ndarray

    @classmethod
    def of(cls, spec: BoxSpec) -> ActionBox:
        """The box of a spec with finite bounds."""
        low = np.broadcast_to(np.asarray(spec.minimum, np.float64), spec.shape)
        high = np.broadcast_to(np.asarray(spec.maximum, np.float64), spec.shape)
        return cls((high + low) / 2, (high - low) / 2)

    @property
    def log_volume(self) -> float:
        """log|A| = A·log 2, of the scaled box [−1, 1]ᴬ."""
        return len(self.half) * math.log(2.0)

    def scaled_log_prob(self, log_prob: tf.Tensor) -> tf.Tensor:
        """log π of the scaled action, from log π(a) `[...]` in action units."""
        return log_prob + tf.constant(np.sum(np.log(self.half)), log_prob.dtype)

    def from_scaled(self, scaled: tf.Tensor) -> tf.Tensor:
        """a = mid + half·x of scaled actions x `[..., A]`."""
        return tf.constant(self.middle, scaled.dtype) + tf.constant(self.half, scaled.dtype) * scaled

    def to_scaled(self, action: tf.Tensor) -> tf.Tensor:
        """x = (a − mid) / half of actions `[..., A]`."""
        return (action - tf.constant(self.middle, action.dtype)) / tf.constant(self.half, action.dtype)
