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
    # Invalid frames hold no real action; a ratio of 1 keeps them out of the gradient without an inf · 0.
    log_ratio = tf.where(valid, log_prob - old_log_prob, tf.zeros_like(log_prob))
    return masked_mean(tf.exp(log_ratio) * advantage, valid)
