"""Surrogate objectives: what a policy step improves, from data of the policy before it."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.objectives.masked import masked_mean


def importance_surrogate(
    log_prob: tf.Tensor, old_log_prob: tf.Tensor, advantage: tf.Tensor, valid: tf.Tensor
) -> tf.Tensor:
    """mean[ exp(log π − log π_old) · Â ], a scalar whose gradient at π_old is the policy gradient.

    Reference: Schulman et al. 2015, *Trust Region Policy Optimization*, Eq. 14.

    Args:
      log_prob: log π(aₜ|sₜ) `[N]`.
      old_log_prob: log π_old(aₜ|sₜ) `[N]`, as recorded when the actions were taken.
      advantage: Â `[N]`.
      valid: Bool `[N]`; other frames do not count.
    """
    return masked_mean(_ratio(log_prob, old_log_prob, valid) * advantage, valid)


def clipped_surrogate(
    log_prob: tf.Tensor,
    old_log_prob: tf.Tensor,
    advantage: tf.Tensor,
    valid: tf.Tensor,
    clip_range: float = 0.2,
) -> tf.Tensor:
    """mean[ min( r·Â, clip(r, 1 − c, 1 + c)·Â ) ], r = π/π_old: no gain in moving r further than c.

    Reference: Schulman et al. 2017, *Proximal Policy Optimization Algorithms*, Eq. 7.

    Args:
      log_prob: log π(aₜ|sₜ) `[N]`.
      old_log_prob: log π_old(aₜ|sₜ) `[N]`, as recorded when the actions were taken.
      advantage: Â `[N]`.
      valid: Bool `[N]`; other frames do not count.
      clip_range: c.
    """
    ratio = _ratio(log_prob, old_log_prob, valid)
    clipped = tf.clip_by_value(ratio, 1.0 - clip_range, 1.0 + clip_range)
    return masked_mean(tf.minimum(ratio * advantage, clipped * advantage), valid)


def clip_fraction(
    log_prob: tf.Tensor, old_log_prob: tf.Tensor, valid: tf.Tensor, clip_range: float = 0.2
) -> tf.Tensor:
    """Share of the valid frames whose ratio π/π_old is further than `clip_range` from 1."""
    outside = tf.abs(_ratio(log_prob, old_log_prob, valid) - 1.0) > clip_range
    return masked_mean(tf.cast(outside, log_prob.dtype), valid)


def _ratio(log_prob: tf.Tensor, old_log_prob: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    # Invalid frames hold no real action; a ratio of 1 keeps them out of the gradient without an inf · 0.
    return tf.exp(tf.where(valid, log_prob - old_log_prob, tf.zeros_like(log_prob)))
