"""Streaming observation statistics."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.typing import types

from expol_tf.configurable import configurable
from expol_tf.networks.mlp import vector_size
from expol_tf.number_types import NonNegative, Positive
from expol_tf.shapes import require_shapes
from expol_tf.text_types import ModuleName


@configurable
class ObservationNormalizer(tf.Module):
    """ô = clip((o − mean) / std, ±c), with mean and std of all observations given to `update` so far.

    Until the first update it only clips. Reference: Chan, Golub & LeVeque 1979, *Updating Formulae and a
    Pairwise Algorithm for Computing Sample Variances*.

    Args:
      observation_spec: A float vector `[O]`.
      clip: c, in standard deviations; None for no clip.
      epsilon: A number added to the variance, so that a constant component stays finite.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        clip: Positive | None = 5.0,
        epsilon: NonNegative = 1e-8,
        name: ModuleName = "ObservationNormalizer",
    ) -> None:
        super().__init__(name=name)
        size = vector_size(observation_spec)
        self._clip = clip
        # In float64: after 10⁷ observations another one is below the precision of a float32 sum.
        self._epsilon = epsilon
        self._count = tf.Variable(0.0, trainable=False, dtype=tf.float64, name="count")
        self._mean = tf.Variable(tf.zeros([size], tf.float64), trainable=False, name="mean")
        self._squares = tf.Variable(tf.zeros([size], tf.float64), trainable=False, name="squared_deviations")

    @property
    def size(self) -> int:
        """O, the number of an observation's components."""
        return self._mean.shape[0]

    @property
    def count(self) -> tf.Variable:
        """The number of observations so far, a float64 scalar."""
        return self._count

    @property
    def mean(self) -> tf.Tensor:
        """The mean of the observations so far, float32 `[O]`; 0 before the first."""
        return tf.cast(self._mean, tf.float32)

    @property
    def std(self) -> tf.Tensor:
        """The standard deviation of the observations so far, float32 `[O]`; 1 before the first."""
        variance = tf.where(self._count > 0, self._squares / tf.maximum(self._count, 1.0), 1.0)
        return tf.cast(tf.sqrt(variance + self._epsilon), tf.float32)

    def __call__(self, observation: tf.Tensor) -> tf.Tensor:
        """Returns the normalized observation, float32, of the same shape `[..., O]`."""
        require_shapes(("observation", observation, f"* {self.size}", "any"))
        # Subtracted before it is rounded: float32 has a mean of 1e4 only to 5e-4, which can be much of a std.
        deviation = tf.cast(tf.cast(observation, tf.float64) - self._mean, tf.float32)
        normalized = deviation / self.std
        return normalized if self._clip is None else tf.clip_by_value(normalized, -self._clip, self._clip)

    def update(self, observations: tf.Tensor, valid: tf.Tensor | None = None) -> None:
        """Adds observations to the statistics.

        Args:
          observations: o `[..., O]`.
          valid: Bool `[...]`, which of them count; None for all.
        """
        require_shapes(
            ("observations", observations, f"... {self.size}", "any"), ("valid", valid, "... | None", "bool")
        )
        batch = tf.cast(tf.reshape(observations, [-1, self.size]), tf.float64)
        weight = tf.ones_like(batch[:, :1])
        if valid is not None:
            counts = tf.reshape(valid, [-1, 1])
            weight = tf.cast(counts, tf.float64)
            # An observation that does not count may be NaN, and 0 · NaN is NaN.
            batch = tf.where(counts, batch, 0.0)
        # Without a valid observation the count is 0, the quotients stay finite, and nothing changes.
        count = tf.reduce_sum(weight)
        mean = tf.reduce_sum(weight * batch, axis=0) / tf.maximum(count, 1.0)
        squares = tf.reduce_sum(weight * tf.square(batch - mean), axis=0)
        # Squared deviations are merged, not squares: E[o²] − E[o]² cancels where the mean is large.
        total = self._count + count
        share = count / tf.maximum(total, 1.0)
        delta = mean - self._mean
        self._squares.assign_add(squares + tf.square(delta) * self._count * share)
        self._mean.assign_add(delta * share)
        self._count.assign(total)
