"""The network that computes an affine coupling's log-scale and shift."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.number_types import Count, LayerSize, Positive, WholeNumber
from expol_tf.text_types import Activation, FloatType, ModuleName

# RealNVP's last layer starts this close to zero, so that a new flow is close to its base distribution.
_LAST_LAYER_RANGE = 3e-3
_NORM_EPSILON = 1e-3


@configurable
class AffineConditioner(keras.layers.Layer):
    """(s, t) = (s_net(x₁, c), t_net(x₁, c)): two small networks with the same shape and their own weights.

    It takes x₁ `[..., input_size]` and, where `context_size > 0`, a context c `[..., context_size]` (features
    of the observation) whose leading dimensions broadcast against those of x₁. It returns s and t, both
    `[..., output_size]`. All variables exist after construction.

    Each hidden layer is Dense → LayerNorm (ε = 1e-3) → ReLU, the form of the code released with the
    flow-policy papers. The alternative, tanh without LayerNorm (`activation="tanh"`, `layer_norm=False`), is
    smooth but learned less on three tasks (`docs/results.md`).
    References: Tang & Agrawal 2018 (both papers), appendices on the network's architecture.

    Args:
      input_size: Number of components of x₁.
      output_size: Number of components of s, and of t.
      units: Sizes of the hidden layers.
      activation: Keras name of the hidden layers' activation.
      layer_norm: Whether hidden layers are normalized before their activation.
      log_scale_bound: b, which bounds s smoothly as b·tanh(s/b), and with it the coupling's Jacobian; None
        for no bound.
      context_size: Number of components of c; 0 for no context.
    """

    def __init__(
        self,
        input_size: Count,
        output_size: Count,
        units: Sequence[LayerSize] = (3, 3),
        activation: Activation = "relu",
        layer_norm: bool = True,
        log_scale_bound: Positive | None = None,
        context_size: WholeNumber = 0,
        dtype: FloatType = "float32",
        name: ModuleName | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not units:
            raise ConfigurationError("units must name at least one layer size; got ().")
        self._log_scale_bound = log_scale_bound
        self._context_size = context_size
        self._output_size = output_size
        self._activation = keras.activations.get(activation)
        sizes = [input_size + context_size, *units, output_size]
        self._kernels, self._biases = [], []
        for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            is_last = index == len(sizes) - 2
            # Glorot's range for one of the two networks. Keras's own initializer would take the leading 2 of
            # the stacked shape for a convolution's window.
            limit = _LAST_LAYER_RANGE if is_last else (6.0 / (inputs + outputs)) ** 0.5
            # With a single x₁ (A = 2), LayerNorm without a bias before it would keep nothing but the sign.
            bias_limit = 1.0 if layer_norm and index == 0 else 0.0
            self._kernels.append(self._add_weights("kernel", [2, inputs, outputs], limit))
            self._biases.append(self._add_weights("bias", [2, outputs], bias_limit))
        self._norms = [self._add_norm(width) for width in units] if layer_norm else []
        self.built = True

    def _add_weights(self, name: str, shape: list[int], limit: float) -> tf.Variable:
        # Index 0 of every variable is the log-scale network's, index 1 the shift network's.
        return self.add_weight(name, shape, initializer=keras.initializers.RandomUniform(-limit, limit))

    def _add_norm(self, width: int) -> tuple[tf.Variable, tf.Variable]:
        shape = [2, width, 1]
        gain = self.add_weight("gain", shape, initializer="ones")
        offset = self.add_weight("offset", shape, initializer="zeros")
        return gain, offset

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns s and t, both `[..., output_size]`.

        Args:
          x: x₁ `[..., input_size]`.
          context: c `[..., context_size]`, or None if the layer was made without one.
        """
        if (context is None) != (self._context_size == 0):
            raise ConfigurationError(
                f"context: this conditioner was made with context_size={self._context_size}; "
                f"got {'no context' if context is None else 'a context'}."
            )
        if context is not None:
            leading = tf.broadcast_dynamic_shape(tf.shape(x)[:-1], tf.shape(context)[:-1])
            x = tf.concat(
                [
                    tf.broadcast_to(x, tf.concat([leading, tf.shape(x)[-1:]], 0)),
                    tf.broadcast_to(context, tf.concat([leading, [self._context_size]], 0)),
                ],
                axis=-1,
            )
        # Both networks run as one with block-diagonal weights, features along the first axis: products of
        # [6, 6] with [6, N] are several times as fast as two of [N, 3] with [3, 3].
        hidden = tf.reshape(x, [-1, self._kernels[0].shape[1]])
        for index, (kernel, bias) in enumerate(zip(self._kernels, self._biases, strict=True)):
            joined = _block_diagonal(kernel) if index else tf.concat(tf.unstack(kernel), axis=1)
            # The input alone has its features along the last axis, and is transposed.
            hidden = tf.matmul(joined, hidden, transpose_a=True, transpose_b=index == 0)
            hidden += tf.reshape(bias, [-1, 1])
            if index < len(self._kernels) - 1:
                hidden = self._activation(self._normalize(hidden, index))
        outputs = tf.reshape(tf.transpose(hidden), tf.concat([tf.shape(x)[:-1], [2 * self._output_size]], 0))
        log_scale, shift = tf.split(outputs, 2, axis=-1)
        if self._log_scale_bound is not None:
            # A clip would stop the gradient at the bound; tanh only flattens it.
            log_scale = self._log_scale_bound * tf.tanh(log_scale / self._log_scale_bound)
        return log_scale, shift

    def _normalize(self, hidden: tf.Tensor, index: int) -> tf.Tensor:
        if not self._norms:
            return hidden
        gain, offset = self._norms[index]
        width = gain.shape[1]
        by_network = tf.reshape(hidden, [2, width, -1])
        mean, variance = tf.nn.moments(by_network, axes=[1], keepdims=True)
        # Where the features of a layer are equal (all are, if it has one), the variance is 0.
        normalized = (by_network - mean) * tf.math.rsqrt(variance + _NORM_EPSILON)
        return tf.reshape(gain * normalized + offset, [2 * width, -1])


def _block_diagonal(kernel: tf.Tensor) -> tf.Tensor:
    """Returns `[2·inputs, 2·outputs]` with the two kernels of `[2, inputs, outputs]` on its diagonal."""
    _, inputs, outputs = kernel.shape
    mask = tf.constant(np.eye(2).reshape(2, 1, 2, 1), kernel.dtype)
    return tf.reshape(tf.reshape(kernel, [2, inputs, 1, outputs]) * mask, [2 * inputs, 2 * outputs])
