"""Means and variances over the valid frames of a batch."""

from __future__ import annotations

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


def explained_variance(prediction: tf.Tensor, target: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """1 − Var[target − prediction] / Var[target]: 1 for a perfect prediction, 0 for a constant one.

    Args:
      prediction: Predicted values `[...]`, any shape.
      target: Values `[...]` that were to be predicted.
      valid: Bool `[...]`, the frames that count.
    """
    require_shapes(
        ("prediction", prediction, "..."), ("target", target, "..."), ("valid", valid, "...", "bool")
    )
    unexplained = masked_variance(target - prediction, valid)
    # Targets that are all equal have variance 0, and the quotient would be infinite or NaN.
    return 1.0 - unexplained / tf.maximum(masked_variance(target, valid), 1e-12)
