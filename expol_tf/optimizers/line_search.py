"""Backtracking line search inside a compiled graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from expol_tf.checks import require_number


class LineSearchResult(NamedTuple):
    """The accepted fraction of the full step (0 if none was), and what the last trial measured."""

    fraction: tf.Tensor
    accepted: tf.Tensor
    measured: tuple[tf.Tensor, ...]


def backtracking_line_search(
    trial: Callable[[tf.Tensor], tuple[tf.Tensor, tuple[tf.Tensor, ...]]],
    num_measured: int,
    ratio: float = 0.5,
    max_trials: int = 10,
    dtype: tf.DType = tf.float32,
) -> LineSearchResult:
    """Tries the fractions 1, ratio, ratio², … of a step until one is accepted.

    Reference: Nocedal & Wright, *Numerical Optimization*, Alg. 3.1.

    Args:
      trial: Takes a fraction (scalar), moves to it, and returns (whether it is accepted, a bool scalar;
        measurements, scalars). It is traced once.
      num_measured: How many measurements `trial` returns.
      ratio: What a fraction is multiplied by to give the next, between 0 and 1.
      max_trials: How many fractions are tried at most.
      dtype: The type of fractions and measurements.
    """
    require_number("ratio", ratio, "between 0 and 1", "The usual value is 0.5.")
    require_number("max_trials", max_trials, "1 or more", "The usual number is 10.")

    def unfinished(index: tf.Tensor, _: tf.Tensor, accepted: tf.Tensor, *__: tf.Tensor) -> tf.Tensor:
        """Whether trials are left and none has been accepted."""
        return tf.logical_and(index < max_trials, tf.logical_not(accepted))

    def step(index, fraction, accepted, *_):
        """Tries the next fraction and returns the loop's state after it."""
        # Multiplied before a trial and not after, so that the loop ends with the fraction that was accepted.
        fraction = tf.where(index == 0, fraction, fraction * ratio)
        accepted, measured = trial(fraction)
        return (index + 1, fraction, accepted, *measured)

    zero, one = tf.zeros([], dtype), tf.ones([], dtype)
    start = (tf.constant(0), one, tf.constant(False), *([zero] * num_measured))
    _, fraction, accepted, *measured = tf.while_loop(unfinished, step, start)
    return LineSearchResult(tf.where(accepted, fraction, zero), accepted, tuple(measured))
