"""Generalized advantage estimation, in which a truncated episode bootstraps and a terminated one does not."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import UnitInterval
from expol_tf.objectives.masked import equal_up_to_rounding, masked_mean, masked_variance
from expol_tf.shapes import require_shapes

SCALINGS = ("standardize", "center", "standardize_all")


class ScaledAdvantages(NamedTuple):
    """Scaled advantages, and the factor that keeps an entropy bonus in proportion to them.

    Attributes:
      advantage: Scaled Â, in the shape given to `scale_advantages`.
      entropy_scale: Factor for the entropy's weight, a scalar.
    """

    advantage: tf.Tensor
    entropy_scale: tf.Tensor


def generalized_advantages(
    reward: tf.Tensor,
    discount: tf.Tensor,
    value: tf.Tensor,
    next_value: tf.Tensor,
    episode_end: tf.Tensor,
    gamma: float,
    gae_lambda: float,
) -> tf.Tensor:
    """Âₜ = δₜ + γλ·discountₜ·(1 − endₜ)·Âₜ₊₁, with δₜ = rₜ + γ·discountₜ·V(s′ₜ) − V(sₜ).

    s′ₜ is the true successor of sₜ: where an episode ends it is the final observation, never the first one
    of the next episode. A truncated episode therefore bootstraps from V of its final observation
    (discount 1), and a terminated one from 0. Both ends, and the end of the rollout, cut the λ-trace. A
    discount between 0 and 1 counts as γ does, in the bootstrap and in the trace.

    Reference: Schulman et al. 2016, *High-Dimensional Continuous Control Using Generalized Advantage
    Estimation*, Eq. 16.

    Args:
      reward: Rewards rₜ `[B, T]`.
      discount: The environment's discounts `[B, T]`: 0 where the episode terminated in s′ₜ, else 1, or a
        number between, as some environments of TF-Agents have it.
      value: V(sₜ) `[B, T]`, in units of the reward.
      next_value: V(s′ₜ) `[B, T]`, in units of the reward.
      episode_end: Bool `[B, T]`, whether the episode terminated or was truncated in this transition.
      gamma: γ in [0, 1], the discount per environment step.
      gae_lambda: λ in [0, 1]; 1 gives the discounted return less V, and 0 the one-step error δ.

    Returns:
      Â `[B, T]`. The value targets are Â + V.
    """
    for name, number in dict(gamma=gamma, gae_lambda=gae_lambda).items():
        if not 0.0 <= number <= 1.0:
            raise ConfigurationError(f"{name} must lie in [0, 1]; got {number}.")
    tensors = dict(
        reward=reward, discount=discount, value=value, next_value=next_value, episode_end=episode_end
    )
    # Some shapes, [B, 1] among them, would broadcast to a wrong result.
    require_shapes(
        *((name, tensor, "B T", "any" if name == "episode_end" else "") for name, tensor in tensors.items())
    )
    reward, discount, value, next_value, episode_end = map(tf.convert_to_tensor, tensors.values())
    # The discount masks the bootstrap, not `episode_end`: a truncated episode has a future, and
    # V(s′) is its value.
    delta = reward + gamma * discount * next_value - value
    # The λ-trace is cut at ends of both kinds, because the next row belongs to another episode.
    decay = gamma * gae_lambda * (1.0 - tf.cast(episode_end, delta.dtype)) * discount
    # The recursion runs backwards in time, so time comes first and the scan is reversed.
    advantages = tf.scan(
        lambda trace, step: step[0] + step[1] * trace,
        (tf.transpose(delta), tf.transpose(decay)),
        initializer=tf.zeros_like(delta[:, 0]),
        reverse=True,
    )
    return tf.transpose(advantages)


def without_rounding(
    advantages: tf.Tensor, valid: tf.Tensor, size: tf.Tensor, gamma: float, gae_lambda: float
) -> tf.Tensor:
    """Returns Â, or their mean in the place of all where the differences are rounding errors.

    A one-step error δ = r + γV(s′) − V(s) is rounded in proportion to r and V, not to itself, and the λ-trace
    adds up to Σₖ (γλ)ᵏ of these errors. What differs by no more is equal: divided by its deviation it would
    be ±1.

    Args:
      advantages: Â `[B, T]`, in units of the reward.
      valid: Bool `[B, T]`, the frames that count.
      size: The larger of |r| and |V| `[B, T]`, in units of the reward.
      gamma: γ in [0, 1].
      gae_lambda: λ in [0, 1].
    """
    require_shapes(("advantages", advantages, "B T"), ("valid", valid, "B T", "bool"), ("size", size, "B T"))
    steps = advantages.shape[1]
    terms = sum((gamma * gae_lambda) ** step for step in range(steps))
    equal = equal_up_to_rounding(advantages, valid, size * terms)
    return tf.where(equal, masked_mean(advantages, valid), advantages)


def scale_advantages(
    advantages: tf.Tensor, valid: tf.Tensor, scaling: str, epsilon: float = 1e-8
) -> ScaledAdvantages:
    """(Â − mean Â) / d over the valid frames, where d is their standard deviation, or 1.

    Dividing makes the policy step independent of the reward's scale. With an entropy bonus it would also
    rescale the reward against the entropy, which changes what is optimal. So either d = 1 ("center"), or the
    bonus is divided too ("standardize_all"). Advantages that are all equal, up to rounding, give 0: no action
    was better than another. Then d = 1.

    Args:
      advantages: Â `[...]`, any shape, in units of the reward.
      valid: Bool `[...]`, the frames that count; the result is 0 at the others.
      scaling: "standardize" (d is the standard deviation), "center" (d = 1), or "standardize_all" (d is the
        standard deviation, and `entropy_scale` is 1/d instead of 1).
      epsilon: Number added to the standard deviation, so that equal advantages are not divided by 0.
    """
    require_number("epsilon", epsilon, "0 or more", "The usual value is 1e-8.")
    require_shapes(("advantages", advantages, "..."), ("valid", valid, "...", "bool"))
    if scaling not in SCALINGS:
        raise ConfigurationError(f"scaling must be one of {SCALINGS}; got {scaling!r}.")
    # Selected, not multiplied by the mask: an invalid frame may hold NaN, and 0 · NaN is NaN.
    centred = tf.where(valid, advantages - masked_mean(advantages, valid), tf.zeros_like(advantages))
    # Their mean is rounded, and dividing what is left of them would make it ±1.
    equal = equal_up_to_rounding(advantages, valid)
    centred = tf.where(equal, tf.zeros_like(centred), centred)
    one = tf.ones([], centred.dtype)
    if scaling == "center":
        return ScaledAdvantages(centred, one)
    deviation = tf.where(equal, one, tf.sqrt(masked_variance(advantages, valid)) + epsilon)
    return ScaledAdvantages(centred / deviation, one if scaling == "standardize" else one / deviation)


@configurable
class AdvantageEstimation:
    """How an on-policy agent estimates advantages: GAE(γ, λ), then centred and scaled.

    Args:
      gamma: γ in [0, 1], the discount per environment step.
      gae_lambda: λ in [0, 1]; 1 gives the discounted return less V, and 0 the one-step error.
      scaling: "standardize", "center" or "standardize_all", as `scale_advantages` defines them, or "auto",
        which standardizes where the objective has no entropy bonus and centres where it has one.
    """

    def __init__(
        self, gamma: UnitInterval = 0.99, gae_lambda: UnitInterval = 0.95, scaling: str = "auto"
    ) -> None:
        if scaling not in ("auto", *SCALINGS):
            raise ConfigurationError(
                f"AdvantageEstimation.scaling must be one of {('auto', *SCALINGS)}; got {scaling!r}."
            )
        self.gamma = gamma
        self.gae_lambda = gae_lambda
        self.scaling = scaling

    def estimate(
        self,
        reward: tf.Tensor,
        discount: tf.Tensor,
        value: tf.Tensor,
        next_value: tf.Tensor,
        episode_end: tf.Tensor,
    ) -> tf.Tensor:
        """Returns Â `[B, T]` from the tensors that `generalized_advantages` takes, all `[B, T]`."""
        return generalized_advantages(
            reward, discount, value, next_value, episode_end, self.gamma, self.gae_lambda
        )

    def without_rounding(self, advantages: tf.Tensor, valid: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """Returns Â `[B, T]`, all alike where they differ by rounding alone, as `without_rounding` does."""
        return without_rounding(advantages, valid, size, self.gamma, self.gae_lambda)

    def scale(self, advantages: tf.Tensor, valid: tf.Tensor, entropy_weight: float = 0.0) -> ScaledAdvantages:
        """Centres Â `[...]` and scales it as an objective with this entropy bonus needs it.

        Args:
          advantages: Â `[...]`, any shape, in units of the reward.
          valid: Bool `[...]`, the frames that count.
          entropy_weight: Weight of the entropy bonus in the objective; "auto" asks whether it is 0.
        """
        # Dividing would rescale the reward against the bonus, and change which policy is best.
        automatic = "center" if entropy_weight else "standardize"
        return scale_advantages(advantages, valid, automatic if self.scaling == "auto" else self.scaling)
