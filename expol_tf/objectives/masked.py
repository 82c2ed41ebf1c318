"""Means and variances over the valid frames of a batch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from expol_tf.shapes import require_shapes


def masked_mean(values: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """Σ valid·x / Σ valid: the mean of the valid values, and 0 where none is valid.

    Args:
      values: x `[...]`, any shape; invalid ones may hold anything, NaN included.
      valid: Bool `[...]`, the values that count; None counts all.
    """
    require_shapes(("values", values, "..."), ("valid", valid, "... | None", "bool"))
    if valid is None:
        return tf.reduce_mean(values)
    count = tf.reduce_sum(tf.cast(valid, values.dtype))
    # Selected, not multiplied: 0 · NaN would be NaN, in the sum and in its gradient.
    total = tf.reduce_sum(tf.where(valid, values, tf.zeros_like(values)))
    return total / tf.maximum(count, 1)


def masked_variance(values: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """Σ valid·(x − mean)² / Σ valid: the variance of the valid values, divided by their number.

    Args:
      values: x `[...]`, any shape; invalid ones may hold anything, NaN included.
      valid: Bool `[...]`, the values that count; None counts all.
    """
    require_shapes(("values", values, "..."), ("valid", valid, "... | None", "bool"))
    # In two passes: E x² − (E x)² would cancel, and can be negative, where the mean is large.
    deviation = values - masked_mean(values, valid)
    if valid is not None:
        # Before the square, through which an invalid NaN would return in the gradient.
        deviation = tf.where(valid, deviation, tf.zeros_like(values))
    return masked_mean(tf.square(deviation), valid)


def equal_up_to_rounding(values: tf.Tensor, valid: tf.Tensor, scale: tf.Tensor | None = None) -> tf.Tensor:
    """max x − min x ≤ 4·ε·max |scale| over the valid frames: whether all differences are rounding errors.

    Numbers that are equal still have a variance: their mean is rounded, and they differ from it. A quotient
    by that variance is noise. NaN and infinity are not equal to anything.

    Args:
      values: x `[...]`, any shape.
      valid: Bool `[...]`, the frames that count; without any the answer is no.
      scale: Numbers `[...]` of the size that x was computed from; x itself by default.

    Returns:
      A bool scalar.
    """
    values = tf.convert_to_tensor(values)
    infinity = tf.constant(np.inf, values.dtype)
    highest = tf.reduce_max(tf.where(valid, values, -infinity))
    lowest = tf.reduce_min(tf.where(valid, values, infinity))
    size = tf.reduce_max(tf.where(valid, abs(values if scale is None else scale), -infinity))
    spread = highest - lowest
    return tf.math.is_finite(spread) & (spread <= 4.0 * np.finfo(values.dtype.as_numpy_dtype).eps * size)


def explained_variance(prediction: tf.Tensor, target: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """1 − Var[target − prediction] / Var[target]: 1 for a perfect prediction, 0 for a constant one.

    It is 0 too where the targets are all equal, up to rounding: there is no variance to explain.

    Args:
      prediction: Predicted values `[...]`, any shape.
      target: Values `[...]` that were to be predicted.
      valid: Bool `[...]`, the frames that count.
    """
    require_shapes(
        ("prediction", prediction, "..."), ("target", target, "..."), ("valid", valid, "...", "bool")
    )
    unexplained, variance = masked_variance(target - prediction, valid), masked_variance(target, valid)
    # Agents add V to Â, which V was subtracted from: what that loses has the size of V.
    constant = equal_up_to_rounding(target, valid, tf.maximum(abs(target), abs(prediction)))
    constant |= tf.equal(variance, 0)  # No frame is valid, or the squares vanish.
    return tf.where(constant, tf.zeros_like(variance), 1.0 - unexplained / variance)
