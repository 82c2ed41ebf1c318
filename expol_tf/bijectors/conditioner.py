"""The network that computes an affine coupling's log-scale and shift."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras

# RealNVP's last layer starts this close to zero, so that a new flow is close to its base distribution.
_LAST_LAYER_RANGE = 3e-3


@gin.configurable(module="expol_tf")
class AffineConditioner(keras.layers.Layer):
    """(s, t) = (s_net(x₁, c), t_net(x₁, c)): two small networks with the same shape and their own weights.

    Inputs x₁ `[..., input_size]` and, where `context_size > 0`, a context c `[..., context_size]` (features of
    the observation) whose leading dimensions broadcast against x₁'s. Outputs s and t, both `[..., output_size]`.
    All variables exist after construction.

    With `layer_norm=True` and `activation="relu"` each hidden layer is Dense → LayerNorm (ε = 1e-3) →
    activation, the form of the code released with the flow-policy papers. For a one-dimensional x₁ (A = 2)
    LayerNorm without a bias before it would leave only the sign of x₁, so that form starts with random first
    biases. References: Tang & Agrawal 2018 (both papers), appendices on the network's architecture.

    Args:
      input_size: Size of x₁.
      output_size: Size of the transformed part.
      units: Sizes of the hidden layers.
      activation: Keras name of the hidden activation.
      layer_norm: Whether to normalize each hidden layer before its activation.
      log_scale_bound: If given, s is bounded smoothly to b·tanh(s/b), which bounds each coupling's Jacobian.
      context_size: Size of c; 0 for a conditioner of x₁ alone.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        units: Sequence[int] = (3, 3),
        activation: str = "tanh",
        layer_norm: bool = False,
        log_scale_bound: float | None = None,
        context_size: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if log_scale_bound is not None and log_scale_bound <= 0:
            raise ConfigurationError(f"log_scale_bound must be positive or None; got {log_scale_bound}.")
        if not units or min(units) < 1:
            raise ConfigurationError(f"units must name at least one positive layer size; got {tuple(units)}.")
        self._log_scale_bound = log_scale_bound
        self._context_size = context_size
        inputs = input_size + context_size
        self._scale_layers = _layers(inputs, output_size, units, activation, layer_norm, dtype)
        self._shift_layers = _layers(inputs, output_size, units, activation, layer_norm, dtype)
        self.built = True

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        if (context is None) != (self._context_size == 0):
            raise ConfigurationError(
                f"context: this conditioner was made with context_size={self._context_size}; "
                f"got {'no context' if context is None else 'a context'}."
            )
        is_vector = x.shape.rank == 1
        if is_vector:  # Dense wants a batch dimension; a bijector may be asked for a single event.
            x = x[tf.newaxis]
        if context is not None:
            leading = tf.broadcast_dynamic_shape(tf.shape(x)[:-1], tf.shape(context)[:-1])
            x = tf.concat(
                [
                    tf.broadcast_to(x, tf.concat([leading, tf.shape(x)[-1:]], 0)),
                    tf.broadcast_to(context, tf.concat([leading, [self._context_size]], 0)),
                ],
                axis=-1,
            )
        log_scale, shift = x, x
        for layer in self._scale_layers:
            log_scale = layer(log_scale)
        for layer in self._shift_layers:
            shift = layer(shift)
        if self._log_scale_bound is not None:
            log_scale = self._log_scale_bound * tf.tanh(log_scale / self._log_scale_bound)
        if is_vector and context is None:
            return log_scale[0], shift[0]
        return log_scale, shift


def _layers(inputs, outputs, units, activation, layer_norm, dtype) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    size = inputs
    for index, width in enumerate(units):
        random_bias = layer_norm and index == 0
        dense = keras.layers.Dense(
            width,
            activation=None if layer_norm else activation,
            bias_initializer=keras.initializers.RandomUniform(-1.0, 1.0) if random_bias else "zeros",
            dtype=dtype,
        )
        dense.build([None, size])
        layers.append(dense)
        if layer_norm:
            norm = keras.layers.LayerNormalization(epsilon=1e-3, dtype=dtype)
            norm.build([None, width])
            layers += [norm, keras.layers.Activation(activation, dtype=dtype)]
        size = width
    last = keras.layers.Dense(
        outputs,
        kernel_initializer=keras.initializers.RandomUniform(-_LAST_LAYER_RANGE, _LAST_LAYER_RANGE),
        dtype=dtype,
    )
    last.build([None, size])
    return [*layers, last]
