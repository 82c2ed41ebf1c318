"""Streaming observation statistics."""

from __future__ import annotations

import gin
import tensorflow as tf
from tf_agents.typing import types

from expol_tf.errors import ConfigurationError
from expol_tf.networks.mlp import vector_size


@gin.configurable(module="expol_tf")
class ObservationNormalizer(tf.Module):
    """ô = clip((o − mean) / std, ±c), with mean and std of all observations given to `update` so far.

    An identity (but for the clip) until the first update. Statistics are kept in float64 and merged batch by
    batch (Chan et al. 1979), so that they do not drift over billions of observations.

    Args:
      observation_spec: A float vector `[O]`.
      clip: c, in standard deviations; None for no clip.
      epsilon: Added to the variance, so that a constant component stays finite.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        clip: float | None = 5.0,
        epsilon: float = 1e-8,
        name: str = "ObservationNormalizer",
    ) -> None:
        super().__init__(name=name)
        if clip is not None and clip <= 0:
            raise ConfigurationError(f"clip must be positive, or None for no clip; got {clip}.")
        size = vector_size(observation_spec)
        self._clip = clip
        self._epsilon = epsilon
        self._count = tf.Variable(0.0, trainable=False, dtype=tf.float64, name="count")
        self._mean = tf.Variable(tf.zeros([size], tf.float64), trainable=False, name="mean")
        self._squares = tf.Variable(tf.zeros([size], tf.float64), trainable=False, name="squared_deviations")

    @property
    def count(self) -> tf.Variable:
        return self._count

    @property
    def mean(self) -> tf.Tensor:
        return tf.cast(self._mean, tf.float32)

    @property
    def std(self) -> tf.Tensor:
        variance = tf.where(self._count > 0, self._squares / tf.maximum(self._count, 1.0), 1.0)
        return tf.cast(tf.sqrt(variance + self._epsilon), tf.float32)

    def __call__(self, observation: tf.Tensor) -> tf.Tensor:
        """Returns the normalized observation, float32, same shape."""
        normalized = (tf.cast(observation, tf.float32) - self.mean) / self.std
        return normalized if self._clip is None else tf.clip_by_value(normalized, -self._clip, self._clip)

    def update(self, observations: tf.Tensor, valid: tf.Tensor | None = None) -> None:
        """Merges observations `[..., O]` into the statistics, those alone where `valid` `[...]` is true."""
        size = observations.shape[-1]
        batch = tf.cast(tf.reshape(observations, [-1, size]), tf.float64)
        weight = tf.ones_like(batch[:, :1])
        if valid is not None:
            counts = tf.reshape(valid, [-1, 1])
            weight = tf.cast(counts, tf.float64)
            batch = tf.where(counts, batch, 0.0)  # What does not count may be NaN, and so would 0 · NaN be.
        count = tf.reduce_sum(weight)
        mean = tf.reduce_sum(weight * batch, axis=0) / tf.maximum(count, 1.0)
        squares = tf.reduce_sum(weight * tf.square(batch - mean), axis=0)
        total = self._count + count
        share = count / tf.maximum(total, 1.0)
        delta = mean - self._mean
        self._squares.assign_add(squares + tf.square(delta) * self._count * share)
        self._mean.assign_add(delta * share)
        self._count.assign(total)
