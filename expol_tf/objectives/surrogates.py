"""Surrogate objectives: what a policy step improves, estimated from actions of the policy before the step."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.objectives.masked import masked_mean
from expol_tf.shapes import require_shapes


def importance_surrogate(
    log_prob: tf.Tensor, old_log_prob: tf.Tensor, advantage: tf.Tensor, valid: tf.Tensor
) -> tf.Tensor:
    """mean[ exp(log π − log π_old) · Â ], a scalar whose gradient at π = π_old is the policy gradient.

    Reference: Schulman et al. 2015, *Trust Region Policy Optimization*, Eq. 14.

    Args:
      log_prob: log π(aₜ|sₜ) `[N]`.
      old_log_prob: log π_old(aₜ|sₜ) `[N]`, recorded when the actions were taken.
      advantage: Â `[N]`.
      valid: Bool `[N]`, the frames that count.
    """
    _require_frames(log_prob, old_log_prob, valid, advantage=advantage)
    return masked_mean(_ratio(log_prob, old_log_prob, valid) * advantage, valid)


def clipped_surrogate(
    log_prob: tf.Tensor,
    old_log_prob: tf.Tensor,
    advantage: tf.Tensor,
    valid: tf.Tensor,
    clip_range: float = 0.2,
) -> tf.Tensor:
    """mean[ min( r·Â, clip(r, 1 − c, 1 + c)·Â ) ], r = π/π_old: moving r further than c from 1 gains nothing.

    Reference: Schulman et al. 2017, *Proximal Policy Optimization Algorithms*, Eq. 7.

    Args:
      log_prob: log π(aₜ|sₜ) `[N]`.
      old_log_prob: log π_old(aₜ|sₜ) `[N]`, recorded when the actions were taken.
      advantage: Â `[N]`.
      valid: Bool `[N]`, the frames that count.
      clip_range: c, how far the ratio may move from 1.
    """
    _require_frames(log_prob, old_log_prob, valid, advantage=advantage)
    _require_clip_range(clip_range)
    ratio = _ratio(log_prob, old_log_prob, valid)
    clipped = tf.clip_by_value(ratio, 1.0 - clip_range, 1.0 + clip_range)
    # The minimum clips only the side that would gain: a step that made things worse keeps its gradient.
    return masked_mean(tf.minimum(ratio * advantage, clipped * advantage), valid)


def clip_fraction(
    log_prob: tf.Tensor, old_log_prob: tf.Tensor, valid: tf.Tensor, clip_range: float = 0.2
) -> tf.Tensor:
    """mean[ |r − 1| > c ], r = π/π_old: the share of valid frames that the clipped surrogate may cut off.

    Args:
      log_prob: log π(aₜ|sₜ) `[N]`.
      old_log_prob: log π_old(aₜ|sₜ) `[N]`, recorded when the actions were taken.
      valid: Bool `[N]`, the frames that count.
      clip_range: c, how far the ratio may move from 1.
    """
    _require_frames(log_prob, old_log_prob, valid)
    _require_clip_range(clip_range)
    outside = tf.abs(_ratio(log_prob, old_log_prob, valid) - 1.0) > clip_range
    return masked_mean(tf.cast(outside, log_prob.dtype), valid)


def _require_frames(
    log_prob: tf.Tensor, old_log_prob: tf.Tensor, valid: tf.Tensor, **others: tf.Tensor
) -> None:
    require_shapes(
        ("log_prob", log_prob, "N"),
        ("old_log_prob", old_log_prob, "N"),
        *((name, tensor, "N") for name, tensor in others.items()),
        ("valid", valid, "N", "bool"),
    )


def _require_clip_range(clip_range: float) -> None:
    require_number("clip_range", clip_range, "positive", "The usual value is 0.2.")


def _ratio(log_prob: tf.Tensor, old_log_prob: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    # π/π_old as the exponential of a difference: both densities overflow or vanish long before their ratio.
    # Invalid frames hold no real action. They get a ratio of 1 before the exp, because masking an exp that
    # overflowed would give a gradient of 0 · inf = NaN.
    return tf.exp(tf.where(valid, log_prob - old_log_prob, tf.zeros_like(log_prob)))
