"""Products with the Fisher matrix of a policy, in its Gauss–Newton form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.optimizers.flat import flat_gradient
from expol_tf.replicas import batch_size, divided, sum_over_parts
from expol_tf.shapes import require_shapes


def sample_weights(valid: tf.Tensor | None, batch: Any, dtype: tf.DType) -> tf.Tensor:
    """Returns the weights `[N]` of samples, adding to 1.

    Args:
      valid: Bool `[N]`: those count equally. Or the weights themselves; or None, all count equally.
      batch: A structure of tensors `[N, …]`.
      dtype: The weights' type.
    """
    if valid is None:
        count = batch_size(batch)
        return tf.fill([count], 1.0 / tf.cast(count, dtype))
    if valid.dtype != tf.bool:
        return valid
    counted = tf.cast(valid, dtype)
    # At least 1: without a valid sample all weights are 0, and not 0/0.
    return counted / tf.maximum(tf.reduce_sum(counted), 1.0)


def fisher_product(
    log_prob: Callable[[Any], tf.Tensor],
    batch: Any,
    variables: Sequence[tf.Variable],
    weights: tf.Tensor | None = None,
    damping: float = 0.0,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns v ↦ F v + damping·v, F = Σᵢ wᵢ ∇log π(aᵢ|sᵢ) ∇log π(aᵢ|sᵢ)ᵀ = Jᵀ diag(w) J, with aᵢ from π.

    F is positive semi-definite on every batch, unlike the Hessian of a sampled KL, which has the same
    expectation. The log-densities are evaluated and linearized once, here; a product is then one J v and one
    Jᵀ(·), at the values that the variables had, whatever they are by then.

    Under a `tf.distribute.MirroredStrategy` each replica adds the part of its own samples. There they are
    linearized again in each product, at the values that the variables have by then.

    Reference: Martens 2020, *New Insights and Perspectives on the Natural Gradient Method*, §9.

    Args:
      log_prob: Computes log π(aᵢ|sᵢ) `[n]` of a part of the batch from the variables.
      batch: A structure of tensors `[N, …]`, the samples that F averages over.
      variables: θ, the variables that F is a matrix over, P numbers in all.
      weights: w `[N]`, adding to 1; or bool `[N]`, the samples that count equally; by default all do.
      damping: The multiple of the identity that is added to F.

    Returns:
      A function of v `[P]`, to be called in the same graph, inside a `tf.while_loop` if need be.
    """
    require_number("damping", damping, "0 or more", "0 adds nothing.")
    weights = sample_weights(weights, batch, variables[0].dtype)
    if not divided():
        undamped = _linearized(log_prob, batch, variables, weights)
        return lambda vector: undamped(vector) + damping * vector

    def product(vector: tf.Tensor) -> tf.Tensor:
        """F v + damping·v `[P]`."""

        def part_of_product(part, _):
            """Jᵀ diag(w) J v `[P]` over the samples of one replica."""
            # A tape does not reach from one call in a replica to the next: linearize again.
            samples, own_weights = part
            return _linearized(log_prob, samples, variables, own_weights)(vector)

        return sum_over_parts(part_of_product, (batch, weights)) + damping * vector

    return product


def _linearized(log_prob, batch, variables, weights):
    """v ↦ Jᵀ diag(w) J v at the present values of the variables."""
    # J v is the gradient of vᵀ(Jᵀu) by u, in which it is linear. TensorFlow's forward-mode accumulator gives
    # the same, but evaluates the log-densities anew in each product, and takes twice as long to compile.
    with tf.GradientTape(watch_accessed_variables=False, persistent=True) as outer:
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as inner:
            inner.watch(variables)
            log_probs = log_prob(batch)
        require_shapes(("log_prob(batch)", log_probs, "N"), ("weights", weights, "N"))
        # The value of u does not matter: Jᵀu is linear in it, and has the same derivative everywhere.
        cotangent = tf.zeros_like(log_probs)
        outer.watch(cotangent)
        transposed = flat_gradient(inner, log_probs, variables, cotangent)

    def product(vector: tf.Tensor) -> tf.Tensor:
        """Jᵀ diag(w) J v `[P]`."""
        directional = outer.gradient(
            transposed, cotangent, output_gradients=vector, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return flat_gradient(inner, log_probs, variables, weights * directional)

    return product
