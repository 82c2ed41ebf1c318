"""A monotone spline for single components, where a coupling has nothing to condition on."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.number_types import AtLeastTwo, Count, Positive
from expol_tf.text_types import FloatType, ModuleName

tfb = tfp.bijectors

# A bin of width 0 would have an infinite slope, and a slope of 0 no inverse.
_MIN_BIN = 1e-2
_MIN_SLOPE = 1e-2


@configurable
class ElementwiseSpline(keras.layers.Layer):
    """yᵢ = gᵢ(xᵢ), a monotone rational-quadratic spline on [−range, range] and the identity outside.

    A Keras layer that holds the trainable knots, `[A, num_bins]` widths and heights and `[A, num_bins − 1]`
    slopes, and returns the TFP bijector of events `[A]` when called without arguments. It starts as the
    identity.

    Reference: Durkan et al. 2019, *Neural Spline Flows*, §3.1.

    Args:
      event_size: A, the number of components.
      num_bins: Number of bins in the spline of a component.
      half_range: Half the length of [−range, range], in units of the base's standard deviation.
      dtype: The dtype of all variables.
    """

    def __init__(
        self,
        event_size: Count = 1,
        num_bins: AtLeastTwo = 8,
        half_range: Positive = 4.0,
        dtype: FloatType = "float32",
        name: ModuleName | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not num_bins * _MIN_BIN < 2 * half_range:
            raise ConfigurationError(
                f"num_bins must leave room in [−half_range, half_range] for bins of {_MIN_BIN} and more; got "
                f"{num_bins} for half_range = {half_range}. Take fewer bins, or a wider range."
            )
        self._half_range = half_range
        self._num_bins = num_bins
        # The spline of equal bins and slopes of 1 is the identity. Softmax makes equal bins of zeros, and
        # softplus(log(eˢ − 1)) = s.
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
        """Returns `bijector()`."""
        return self.bijector()

    def bijector(self) -> tfb.Bijector:
        """Returns the spline of the present knots, a bijector of events `[A]`."""
        length = 2 * self._half_range
        # Softmax shares out only what is left when every bin has its least size, so that bins add
        # up to the range.
        free = length - self._num_bins * _MIN_BIN
        return tfb.RationalQuadraticSpline(
            bin_widths=tf.nn.softmax(self._widths) * free + _MIN_BIN,
            bin_heights=tf.nn.softmax(self._heights) * free + _MIN_BIN,
            knot_slopes=tf.nn.softplus(self._slopes) + _MIN_SLOPE,
            range_min=-self._half_range,
        )
