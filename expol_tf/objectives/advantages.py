"""Generalized advantage estimation that tells truncation from termination."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.objectives.masked import masked_mean, masked_variance

SCALINGS = ("standardize", "center")


def generalized_advantages(
    reward: tf.Tensor,
    discount: tf.Tensor,
    value: tf.Tensor,
    next_value: tf.Tensor,
    episode_end: tf.Tensor,
    gamma: float,
    gae_lambda: float,
) -> tf.Tensor:
    """Âₜ = δₜ + γλ·(1 − endₜ)·Âₜ₊₁, with δₜ = rₜ + γ·discountₜ·V(s′ₜ) − V(sₜ).

    s′ₜ is the true successor: where an episode was cut it is the final observation, never the first one of
    the next episode. A truncated episode so bootstraps from where it stood (discount 1), a terminated one
    from 0, and the λ-trace is cut at either end and at the end of the rollout.

    Reference: Schulman et al. 2016, *High-Dimensional Continuous Control Using Generalized Advantage
    Estimation*, Eq. 16.

    Args:
      reward: rₜ `[B, T]`.
      discount: The environment's, `[B, T]`: 0 where the episode terminated in sₜ₊₁, else 1.
      value: V(sₜ) `[B, T]`.
      next_value: V(s′ₜ) `[B, T]`.
      episode_end: Whether the episode ended with this transition, terminated or truncated, bool `[B, T]`.
      gamma: γ in [0, 1].
      gae_lambda: λ in [0, 1].

    Returns:
      Â `[B, T]`. The value targets are Â + V.
    """
    for name, number in dict(gamma=gamma, gae_lambda=gae_lambda).items():
        if not 0.0 <= number <= 1.0:
            raise ConfigurationError(f"{name} must lie in [0, 1]; got {number}.")
    tensors = dict(
        reward=reward, discount=discount, value=value, next_value=next_value, episode_end=episode_end
    )
    tensors = {name: tf.convert_to_tensor(tensor) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        tf.debugging.assert_rank(tensor, 2, f"{name} must be [B, T]")
        if not tensor.shape.is_compatible_with(tensors["reward"].shape):
            # Some shapes, [B, 1] among them, would broadcast to a wrong result.
            raise ValueError(
                f"{name} must have reward's shape [B, T] = {tensors['reward'].shape}; got {tensor.shape}."
            )
    reward, discount, value, next_value, episode_end = tensors.values()
    delta = reward + gamma * discount * next_value - value
    decay = gamma * gae_lambda * (1.0 - tf.cast(episode_end, delta.dtype))
    advantages = tf.scan(
        lambda trace, step: step[0] + step[1] * trace,
        (tf.transpose(delta), tf.transpose(decay)),
        initializer=tf.zeros_like(delta[:, 0]),
        reverse=True,
    )
    return tf.transpose(advantages)


def scale_advantages(
    advantages: tf.Tensor, valid: tf.Tensor, scaling: str, epsilon: float = 1e-8
) -> tf.Tensor:
    """Centres advantages over the valid frames, and divides them by their standard deviation if asked to.

    Dividing makes the policy step independent of the reward's scale; with an entropy bonus it would also
    rescale the reward against the entropy, hence "center" there.

    Args:
      advantages: Any shape.
      valid: Bool, same shape; the result is 0 elsewhere.
      scaling: "standardize" or "center".
      epsilon: Added to the standard deviation.
    """
    if scaling not in SCALINGS:
        raise ConfigurationError(f"advantage_scaling must be one of {SCALINGS}; got {scaling!r}.")
    centred = advantages - masked_mean(advantages, valid)
    if scaling == "standardize":
        centred /= tf.sqrt(masked_variance(advantages, valid)) + epsilon
    return tf.where(valid, centred, tf.zeros_like(centred))
