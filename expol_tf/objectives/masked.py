"""Statistics of the valid frames of a batch."""

from __future__ import annotations

import tensorflow as tf


def masked_mean(values: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """Mean of `values` where `valid` (bool, same shape), 0 if there is none; the others may be anything.

    Without `valid` (None) all count.
    """
    if valid is None:
        return tf.reduce_mean(values)
    count = tf.reduce_sum(tf.cast(valid, values.dtype))
    total = tf.reduce_sum(tf.where(valid, values, tf.zeros_like(values)))
    return total / tf.maximum(count, 1)


def masked_variance(values: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """Variance (divided by the count) of `values` where `valid`; without it (None) of all."""
    deviation = values - masked_mean(values, valid)
    if valid is not None:
        deviation = tf.where(valid, deviation, tf.zeros_like(values))
    return masked_mean(tf.square(deviation), valid)


def explained_variance(prediction: tf.Tensor, target: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """1 − Var[target − prediction] / Var[target] over the valid frames: 1 is perfect, 0 is a constant's."""
    unexplained = masked_variance(target - prediction, valid)
    return 1.0 - unexplained / tf.maximum(masked_variance(target, valid), 1e-12)
