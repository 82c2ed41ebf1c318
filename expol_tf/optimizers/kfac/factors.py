"""The Kronecker factors of one dense layer's Fisher block."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class KroneckerFactors(tf.Module):
    """F ≈ A ⊗ G for one layer S = āᵀ·[W; b], with A `[I, I]` over inputs and G `[J, J]` over outputs.

    The block of [W; b] is E[āāᵀ ⊗ ggᵀ], of (I·J)² numbers. Taking ā and g as independent leaves A ⊗ G, of
    I² + J² numbers, whose inverse is A⁻¹ ⊗ G⁻¹. A and G are running means; `refresh` decomposes them, and
    `precondition` uses the last decomposition.

    Reference: Martens & Grosse 2015, *Optimizing Neural Networks with Kronecker-factored Approximate
    Curvature*, §3; the eigenbasis is that of their App. B.

    Args:
      inputs: I, with the homogeneous coordinate where there is a bias.
      outputs: J.
      dtype: The type of all numbers.
    """

    def __init__(self, inputs: int, outputs: int, dtype: tf.DType = tf.float32) -> None:
        super().__init__(name="KroneckerFactors")

        def variable(value: tf.Tensor, name: str) -> tf.Variable:
            """Returns a variable that no optimizer trains."""
            return tf.Variable(value, trainable=False, name=name)

        self.inputs = variable(tf.zeros([inputs, inputs], dtype), "inputs")
        self.outputs = variable(tf.zeros([outputs, outputs], dtype), "outputs")
        # Until the first decomposition F̂ is taken as 0: preconditioning then divides by the damping alone.
        self._input_basis = variable(tf.eye(inputs, dtype=dtype), "input_basis")
        self._output_basis = variable(tf.eye(outputs, dtype=dtype), "output_basis")
        self._input_values = variable(tf.zeros([inputs], dtype), "input_values")
        self._output_values = variable(tf.zeros([outputs], dtype), "output_values")

    def update(self, statistics: tuple[tf.Tensor, tf.Tensor], rate: tf.Tensor) -> None:
        """A ← A + rate·(Â − A), G ← G + rate·(Ĝ − G); with rate 0 nothing changes, whatever Â and Ĝ are."""
        for variable, batch in zip((self.inputs, self.outputs), statistics, strict=True):
            # Selected, as 0 · NaN would be NaN: a batch that is not finite must leave the running
            # means as they were.
            variable.assign_add(tf.where(rate > 0, rate * (batch - variable), tf.zeros_like(batch)))

    def refresh(self) -> None:
        """Decomposes A = Q_A diag(λ_A) Q_Aᵀ and G = Q_G diag(λ_G) Q_Gᵀ."""
        for matrix, basis, values in (
            (self.inputs, self._input_basis, self._input_values),
            (self.outputs, self._output_basis, self._output_values),
        ):
            eigenvalues, eigenvectors = tf.linalg.eigh(matrix)
            basis.assign(eigenvectors)
            # A batch smaller than the layer leaves A or G singular; rounding makes the smallest eigenvalue
            # negative. Times a large one of the other factor it could outweigh the damping, and turn a step
            # around.
            values.assign(tf.maximum(eigenvalues, 0.0))

    def precondition(self, gradient: tf.Tensor, damping: float) -> tf.Tensor:
        """(A ⊗ G + damping·I)⁻¹ ∇ = Q_A[(Q_Aᵀ ∇ Q_G) / (λ_A λ_Gᵀ + damping)]Q_Gᵀ, of ∇ `[I, J]`."""
        # In the eigenbasis A ⊗ G + d·I is diagonal, so that the damping is exact. The usual factored damping,
        # (A + πε·I) ⊗ (G + ε/π·I) with ε² = d, which lets the factors be inverted apart, adds also
        # ε·(π·I ⊗ G + A ⊗ I/π): too much where one factor is large. Here it would save nothing.
        rotated = tf.matmul(self._input_basis, gradient, transpose_a=True) @ self._output_basis
        rotated /= tf.tensordot(self._input_values, self._output_values, axes=0) + damping
        return self._input_basis @ tf.matmul(rotated, self._output_basis, transpose_b=True)


def batch_statistics(
    inputs: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Â = Σₙ wₙ Σₜ ā ā ᵀ and Ĝ = Σₙ wₙ (1/T) Σₜ g gᵀ over the T inputs that a layer sees for each sample.

    Â is a sum and Ĝ a mean: then Â ⊗ Ĝ is the Fisher matrix of Σₜ āₜ gₜᵀ where the gₜ are uncorrelated with
    one another and independent of the inputs; sums of both would be T times that.
    Reference: Grosse & Martens 2016, *A Kronecker-factored approximate Fisher matrix for convolution layers*,
    §3 (there for convolutions).

    Args:
      inputs: Tensors `[N·T_u, I]`, Σ_u T_u = T.
      gradients: Tensors `[N·T_u, J]`.
      weights: w `[N]`, adding to 1.
    """
    count = tf.shape(weights)[0]
    input_moment, output_moment, total = 0.0, 0.0, 0
    for layer_input, gradient in zip(inputs, gradients, strict=True):
        times = tf.shape(layer_input)[0] // count
        if layer_input.shape[0] == weights.shape[0] and layer_input.shape[0] is not None:
            scale = weights[:, tf.newaxis]
        else:
            # The samples are the first axis of what was reshaped to rows, so that a sample's T rows are
            # next to one another.
            scale = tf.repeat(weights, times)[:, tf.newaxis]
        # Only one factor of each outer product is weighted: √w on both would cost another pass.
        input_moment += tf.matmul(layer_input, scale * layer_input, transpose_a=True)
        output_moment += tf.matmul(gradient, scale * gradient, transpose_a=True)
        total += times
    return input_moment, output_moment / tf.cast(total, weights.dtype)
