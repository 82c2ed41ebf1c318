"""A dense layer whose slope is bounded."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from expol_tf.keras_api import keras


class SpectralDense(keras.layers.Dense):
    """y = φ(x·W/σ(W) + b), σ(W) the largest singular value of the kernel: 1-Lipschitz, if φ is.

    σ = ‖W·v‖ with a stored unit vector v. When the layer is built, v is the singular vector; `update` keeps
    it near while W changes. If v is off by an angle, σ is too small, but only by the square of that angle.
    The gradient with respect to W flows through the division, with v fixed: the length of W has no effect.

    Reference: Miyato et al. 2018, *Spectral Normalization for Generative Adversarial Networks*, Algorithm 1
    and Eq. 11.
    """

    def build(self, input_shape: Any) -> None:
        """Creates kernel, bias and v."""
        super().build(input_shape)
        # By a decomposition: the singular values of a random kernel are close to each other, so that power
        # iteration would take hundreds of steps.
        v = tf.linalg.svd(tf.convert_to_tensor(self.kernel))[2][:, 0]
        self.singular_vector = tf.Variable(
            v, trainable=False, name="singular_vector", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """φ(x·W/σ(W) + b) of x `[N, inputs]`."""
        # Dividing the product is less work than dividing the kernel.
        outputs = tf.matmul(inputs, self.kernel) / self.sigma() + self.bias
        return self.activation(outputs)

    def sigma(self) -> tf.Tensor:
        """σ(W), scalar."""
        # The slope of √ is infinite at 0: without the bound, a kernel of zeros would have the gradient NaN.
        product = tf.linalg.matvec(self.kernel, self.singular_vector)
        return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(product)), 1e-24))

    def update(self, num_iterations: int = 1) -> None:
        """Moves v by power iteration, v ← WᵀW·v / ‖WᵀW·v‖.

        Args:
          num_iterations: Number of iterations.
        """
        kernel, v = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.singular_vector)
        for _ in range(num_iterations):
            product = tf.linalg.matvec(kernel, tf.linalg.matvec(kernel, v), transpose_a=True)
            length = tf.norm(product)
            # A kernel of zeros gives a length of 0, and v stays a unit vector.
            v = tf.where(length > 0, tf.math.divide_no_nan(product, length), v)
        self.singular_vector.assign(v)
