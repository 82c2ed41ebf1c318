"""Conjugate gradients for F x = b with F given as a product."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from expol_tf.checks import require_number


class ConjugateGradientResult(NamedTuple):
    """The solution x `[P]`, its residual b − F x `[P]` and the number of iterations done."""

    solution: tf.Tensor
    residual: tf.Tensor
    iterations: tf.Tensor


def conjugate_gradient(
    product: Callable[[tf.Tensor], tf.Tensor],
    b: tf.Tensor,
    max_iterations: int = 10,
    tolerance: float = 1e-10,
) -> ConjugateGradientResult:
    """Minimizes ½ xᵀF x − bᵀx over the Krylov space of b, from x = 0.

    Exact after as many iterations as F has distinct eigenvalues, in exact arithmetic. F must be symmetric and
    positive semi-definite: on an indefinite F (the Hessian of a sampled KL, say) the iterates diverge.

    Reference: Hestenes & Stiefel 1952; Nocedal & Wright, *Numerical Optimization*, Alg. 5.2.

    Args:
      product: Returns F v `[P]` for a vector v `[P]`.
      b: The right-hand side `[P]`.
      max_iterations: How many products with F are computed at most.
      tolerance: The squared residual ‖b − F x‖² at which it stops.
    """
    require_number("max_iterations", max_iterations, "0 or more", "The usual number is 10.")
    require_number("tolerance", tolerance, "0 or more", "The usual value is 1e-10.")

    def unfinished(
        iteration: tf.Tensor, _: tf.Tensor, residual: tf.Tensor, __: tf.Tensor, squared: tf.Tensor
    ) -> tf.Tensor:
        """Whether iterations are left and the residual is above the tolerance."""
        del residual
        return tf.logical_and(iteration < max_iterations, squared > tolerance)

    def step(iteration, x, residual, direction, squared):
        """Returns the loop's state after one more product with F."""
        image = product(direction)
        # Not 0/0: the loop ends before a residual of 0, which no tolerance of 0 or more is below.
        length = squared / tf.tensordot(direction, image, 1)
        x += length * direction
        # b − F x by recurrence: to compute it would take a second product.
        residual -= length * image
        new_squared = tf.tensordot(residual, residual, 1)
        return iteration + 1, x, residual, residual + (new_squared / squared) * direction, new_squared

    # At x = 0 the residual is b itself, which saves a product.
    iterations, solution, residual, _, _ = tf.while_loop(
        unfinished, step, (tf.constant(0), tf.zeros_like(b), b, b, tf.tensordot(b, b, 1))
    )
    return ConjugateGradientResult(solution, residual, iterations)
