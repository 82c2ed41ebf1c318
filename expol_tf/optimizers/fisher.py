"""Products with the Fisher matrix of a policy, in its Gauss–Newton form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from expol_tf.optimizers.flat import flat_gradient, unflatten


def fisher_vector_product(
    log_prob: Callable[[], tf.Tensor],
    variables: Sequence[tf.Variable],
    vector: tf.Tensor,
    weights: tf.Tensor | None = None,
    damping: float = 0.0,
) -> tf.Tensor:
    """F v + damping·v, with F = Σᵢ wᵢ ∇log π(aᵢ|sᵢ) ∇log π(aᵢ|sᵢ)ᵀ = Jᵀ diag(w) J, over actions of π itself.

    One forward-mode product J v and one reverse-mode product Jᵀ(·), both from one evaluation of the
    log-densities. F is positive semi-definite on every batch, unlike the Hessian of a sampled KL, which has
    the same expectation.

    Reference: Martens 2020, *New Insights and Perspectives on the Natural Gradient Method*, §9.

    Args:
      log_prob: Computes log π(aᵢ|sᵢ) `[N]` from the variables.
      variables: Those that F is of, P numbers in all.
      vector: v `[P]`.
      weights: w `[N]`, adding to 1; by default 1/N each.
      damping: Multiple of the identity that is added.
    """
    tangents = unflatten(vector, variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        with tf.autodiff.ForwardAccumulator(list(variables), tangents) as accumulator:
            log_probs = log_prob()
        directional = tf.stop_gradient(accumulator.jvp(log_probs))
    if weights is None:
        weights = tf.fill(tf.shape(log_probs), 1.0 / tf.cast(tf.size(log_probs), log_probs.dtype))
    product = flat_gradient(tape, log_probs, variables, output_gradients=weights * directional)
    return product + damping * vector
