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
      tolerance: The squared residual at which it stops, ‖b − F x‖²/‖b‖². Relative, as a small b would
        otherwise be taken for solved: with ‖b‖² below an absolute tolerance there would be no step at all.
    """
    require_number("max_iterations", max_iterations, "0 or more", "The usual number is 10.")
    require_number("tolerance", tolerance, "0 or more", "The usual value is 1e-10.")

    def unfinished(
        iteration: tf.Tensor, _: tf.Tensor, residual: tf.Tensor, __: tf.Tensor, squared: tf.Tensor
    ) -> tf.Tensor:
        """Whether iterations are left and the residual is above the tolerance."""
        del residual
        return tf.logical_and(iteration < max_iterations, squared > tolerance * at_first)

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

    # Solved for b of size 1: in float32 ‖b‖² of a b below 1e-23 is 0, and would look solved.
    size = power_of_two(b)
    b /= size
    at_first = tf.tensordot(b, b, 1)
    # At x = 0 the residual is b itself, which saves a product.
    iterations, solution, residual, _, _ = tf.while_loop(
        unfinished, step, (tf.constant(0), tf.zeros_like(b), b, b, at_first)
    )
    return ConjugateGradientResult(size * solution, size * residual, iterations)


def power_of_two(vector: tf.Tensor) -> tf.Tensor:
    """Returns the power of 2, a scalar, that the largest |entry| of a vector lies at or above; 1 for zeros.

    Numbers are divided by it and multiplied by it exactly, so that what is homogeneous in a vector can be
    computed of one that neither underflows nor overflows when it is squared, without another rounding.
    """
    largest = tf.reduce_max(tf.abs(vector))
    integers, exponent = {
        tf.float32: (tf.int32, 0x7F800000),
        tf.float64: (tf.int64, 0x7FF0000000000000),
    }[vector.dtype]
    # The bits of the exponent alone, those of the fraction cleared: 2**floor(log₂ x) would not be exact.
    bits = tf.bitwise.bitwise_and(tf.bitcast(largest, integers), tf.constant(exponent, integers))
    power = tf.bitcast(bits, vector.dtype)
    # Numbers too small for an exponent of their own have the bits of 0.
    return tf.where(power > 0, power, tf.ones_like(power))
