"""A monotone spline for single components, where a coupling has nothing to condition on."""

from __future__ import annotations

import gin
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras

tfb = tfp.bijectors

_MIN_BIN = 1e-2
_MIN_SLOPE = 1e-2


@gin.configurable(module="expol_tf")
class ElementwiseSpline(keras.layers.Layer):
    """Makes a rational-quadratic spline yᵢ = gᵢ(xᵢ) on [−range, range], the identity outside.

    A Keras layer that holds the trainable knots, `[A, num_bins]` widths and heights and `[A, num_bins − 1]`
    slopes, and returns the TFP bijector when called without arguments. It starts as the identity. Events
    `[A]`.

    Reference: Durkan et al. 2019, *Neural Spline Flows*, §3.1.

    Args:
      event_size: A.
      num_bins: Number of bins of each component's spline.
      half_range: The spline acts on [−half_range, half_range], in units of the base's standard deviation.
    """

    def __init__(
        self,
        event_size: int = 1,
        num_bins: int = 8,
        half_range: float = 4.0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if num_bins < 2:
            raise ConfigurationError(f"num_bins must be at least 2; got {num_bins}.")
        if half_range <= 0:
            raise ConfigurationError(f"half_range must be positive; got {half_range}.")
        self._half_range = half_range
        self._num_bins = num_bins
        # Equal bins and slopes of 1 are the identity.
        self._widths = self.add_weight(name="widths", shape=[event_size, num_bins], initializer="zeros")
        self._heights = self.add_weight(name="heights", shape=[event_size, num_bins], initializer="zeros")
        identity_slope = float(tf.math.log(tf.math.expm1(1.0 - _MIN_SLOPE)))
        self._slopes = self.add_weight(
            name="slopes",
            shape=[event_size, num_bins - 1],
            initializer=keras.initializers.Constant(identity_slope),
        )
        self.built = True

    def call(self, _: tf.Tensor | None = None) -> tfb.Bijector:
        return self.bijector()

    def bijector(self) -> tfb.Bijector:
        """Returns the spline with the present knots; an event is a vector of A components."""
        length = 2 * self._half_range
        free = length - self._num_bins * _MIN_BIN
        return tfb.RationalQuadraticSpline(
            bin_widths=tf.nn.softmax(self._widths) * free + _MIN_BIN,
            bin_heights=tf.nn.softmax(self._heights) * free + _MIN_BIN,
            knot_slopes=tf.nn.softplus(self._slopes) + _MIN_SLOPE,
            range_min=-self._half_range,
        )
