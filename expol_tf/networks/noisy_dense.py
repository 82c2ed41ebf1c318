"""A dense layer whose weights are random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras

# softplus(10) = 10, noise far above any weight. With more, a few layers overflow float32.
LARGEST_RHO = 10.0

# Added to variances, as the slope of the square root is infinite at 0.
_SMALLEST_VARIANCE = 1e-30


class NoisyDense(keras.layers.Layer):
    """y = x·W + b,  W = μ_W + softplus(ρ_W)·ε_W,  b = μ_b + softplus(ρ_b)·ε_b,  ε ~ N(0, 1) i.i.d.

    The layer draws nothing: it is a function of its inputs and of noise. It takes either

    * a number for each weight (`with_weights`), for weights that several inputs share, or
    * a number for each output (`local`): y = x·μ_W + μ_b + √(x²·σ_W² + σ_b²)·ξ. This has the distribution
      that a new draw of all weights for each input has, at the cost of two products and with far less noise.

    Called without noise it returns the mean, x·μ_W + μ_b. It has no activation. `build` creates its
    variables, or the first call does.

    References: Kingma, Salimans & Welling 2015, *Variational Dropout and the Local Reparameterization Trick*,
    §2.2; Fortunato et al. 2018, *Noisy Networks for Exploration*, §3; Tang & Agrawal 2018, *Implicit Policy
    for Reinforcement Learning*, Appendix C.2.

    Args:
      units: Number of outputs.
      initial_rho: The initial ρ of all weights, at most 10; −6 to −4 is useful, standard deviations of 0.0025
        to 0.018. Far below that the layer is deterministic.
      kernel_initializer: How μ_W is drawn.
      bias_initializer: How μ_b is drawn.
    """

    def __init__(
        self,
        units: int,
        initial_rho: float = -4.0,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        bias_initializer: str | keras.initializers.Initializer = "zeros",
        name: str | None = None,
    ) -> None:
        require_number("units", units, "1 or more", "It is the number of outputs.")
        if not (math.isfinite(initial_rho) and initial_rho <= LARGEST_RHO):
            raise ConfigurationError(
                f"initial_rho must be a finite number of at most {LARGEST_RHO:g}; got {initial_rho}. Weights "
                "begin with the deviation softplus(initial_rho); take -6 to -4, or -100 for none."
            )
        super().__init__(name=name)
        self._units = units
        self._initial_rho = initial_rho
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer

    def build(self, input_shape: Sequence[Any]) -> None:
        """Creates the variables, for inputs `[..., I]` of this shape."""
        inputs, units = int(input_shape[-1]), self._units
        rho = keras.initializers.Constant(self._initial_rho)
        self._kernel = self.add_weight("kernel", [inputs, units], initializer=self._kernel_initializer)
        self._bias = self.add_weight("bias", [units], initializer=self._bias_initializer)
        self._kernel_rho = self.add_weight("kernel_rho", [inputs, units], initializer=rho)
        self._bias_rho = self.add_weight("bias_rho", [units], initializer=rho)
        self.built = True

    @property
    def num_outputs(self) -> int:
        """How many random numbers `local` takes for an input."""
        return self._units

    @property
    def num_weights(self) -> int:
        """How many random numbers `with_weights` takes for a draw of all weights."""
        return (self._kernel.shape[0] + 1) * self._units

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the mean `[..., units]` of inputs `[..., I]`."""
        return _product(x, self._kernel) + self._bias

    def local(self, x: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Returns y `[*S, ..., units]` with new weights for each row.

        Args:
          x: `[..., I]`, or `[*S, ..., I]` where inputs depend on the sample.
          noise: ξ `[*S, ..., units]`.
        """
        mean = self(x)
        # Variances, because those of independent weights add up; deviations do not.
        kernel_variance = tf.square(tf.nn.softplus(self._kernel_rho))
        bias_variance = tf.square(tf.nn.softplus(self._bias_rho)) + _SMALLEST_VARIANCE
        variance = _product(tf.square(x), kernel_variance) + bias_variance
        return mean + tf.sqrt(variance) * noise

    def with_weights(self, x: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Returns y `[*S, ..., units]` under given weights.

        Args:
          x: `[..., I]`, or `[*S, ..., I]` where inputs depend on the sample.
          noise: ε `[*S, ..., num_weights]`, a draw of the weights for each row, or `[*S, 1, num_weights]`,
            one draw for all rows, which then take one product.
        """
        kernel, bias = self._weights(noise)
        if len(noise.shape) > 1 and noise.shape[-2] == 1 and len(x.shape) > 1:
            return tf.matmul(x, tf.squeeze(kernel, -3)) + bias
        return tf.squeeze(tf.matmul(x[..., tf.newaxis, :], kernel), -2) + bias

    def _weights(self, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """W `[..., I, units]` and b `[..., units]` of noise `[..., num_weights]`."""
        inputs, units = self._kernel.shape
        for_kernel, for_bias = tf.split(noise, [inputs * units, units], axis=-1)
        for_kernel = tf.reshape(for_kernel, tf.concat([tf.shape(noise)[:-1], [inputs, units]], 0))
        kernel = self._kernel + tf.nn.softplus(self._kernel_rho) * for_kernel
        return kernel, self._bias + tf.nn.softplus(self._bias_rho) * for_bias


def _product(x: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Returns the product of `[..., I]` and `[I, J]`."""
    # For the gradient of a matmul of tensors, TensorFlow makes a product for each sample and adds them up.
    return tf.matmul(x, matrix) if len(x.shape) == 2 else tf.tensordot(x, matrix, 1)
