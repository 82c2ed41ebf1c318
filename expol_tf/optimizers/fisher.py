"""Products with the Fisher matrix of a policy, in its Gauss–Newton form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from expol_tf.optimizers.flat import flat_gradient
from expol_tf.replicas import divided, sum_over_replicas


def fisher_product(
    log_prob: Callable[[], tf.Tensor],
    variables: Sequence[tf.Variable],
    weights: tf.Tensor | Callable[[], tf.Tensor] | None = None,
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
      log_prob: Computes log π(aᵢ|sᵢ) `[N]` from the variables; in a replica, of its samples.
      variables: Those that F is of, P numbers in all.
      weights: w `[N]`, adding to 1; by default 1/N each. Or a function that returns them, called where
        `log_prob` is: in a replica, those of its samples.
      damping: Multiple of the identity that is added.

    Returns:
      A function of v `[P]`, to be called in the same graph, inside a `tf.while_loop` if need be.
    """
    if divided():
        return _divided_product(log_prob, variables, weights, damping)
    # J v is the gradient of vᵀ(Jᵀu) by u, in which it is linear. TensorFlow's forward-mode accumulator gives
    # the same, but evaluates the log-densities anew in each product, and takes twice as long to compile.
    with tf.GradientTape(watch_accessed_variables=False, persistent=True) as outer:
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as inner:
            inner.watch(variables)
            log_probs = log_prob()
        cotangent = tf.zeros_like(log_probs)
        outer.watch(cotangent)
        transposed = flat_gradient(inner, log_probs, variables, cotangent)
    if callable(weights):
        weights = weights()
    elif weights is None:
        weights = tf.fill(tf.shape(log_probs), 1.0 / tf.cast(tf.size(log_probs), log_probs.dtype))

    def product(vector: tf.Tensor) -> tf.Tensor:
        directional = outer.gradient(
            transposed,
            cotangent,
            output_gradients=vector,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return flat_gradient(inner, log_probs, variables, weights * directional) + damping * vector

    return product


def _divided_product(log_prob, variables, weights, damping):
    if weights is None:
        count = sum_over_replicas(lambda: tf.size(log_prob()))
        weights = 1.0 / tf.cast(count, variables[0].dtype)

    def product(vector):
        def part():
            # A tape does not reach from one call in a replica to the next.
            return fisher_product(log_prob, variables, weights)(vector)

        return sum_over_replicas(part) + damping * vector

    return product
