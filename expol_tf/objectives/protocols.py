"""How objectives call the networks, and what an improvement returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import ActionBox, BoxSpec
from expol_tf.errors import ConfigurationError
from expol_tf.shapes import require_shapes

# π: observations [N, O] → distribution over actions [N, A].
Policy = Callable[[tf.Tensor], tfp.distributions.Distribution]
# Q: observations [N, O] and actions [N, A] or [N, M, A] → values of C critics, [N, C] or [N, M, C].
Critic = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Improvement(NamedTuple):
    """The result of a policy improvement.

    Attributes:
      loss: Scalar to minimize; its gradient with respect to the policy's parameters improves the policy.
      log_prob: log π `[N]` of newly drawn actions, scaled to [−1, 1]; None where the policy has no density.
      metrics: Scalars to report, means over the states that count.
    """

    loss: tf.Tensor
    log_prob: tf.Tensor | None
    metrics: Mapping[str, tf.Tensor]


def distribution_at(
    policy: Policy, observation: tf.Tensor, box: BoxSpec | None = None
) -> tfp.distributions.Distribution:
    """Returns π(·|s) of states s `[N, O]`; refuses what is no distribution over N actions of the box.

    Args:
      policy: π, which maps states to a distribution.
      observation: States s `[N, O]`.
      box: Action spec whose size the actions must have; None leaves that open.
    """
    distribution = policy(observation)
    if not (hasattr(distribution, "batch_shape") and hasattr(distribution, "event_shape")):
        hint = "Take the first item: a network returns (distribution, state)."
        raise ConfigurationError(
            "policy(observation) must be a TFP distribution over actions [N, A]; got a "
            f"{type(distribution).__name__}. "
            + (hint if isinstance(distribution, tuple) else "Return the distribution, not its actions.")
        )
    batch, event = distribution.batch_shape, distribution.event_shape
    if not batch.is_compatible_with(observation.shape[:1]):
        raise ConfigurationError(
            f"policy(observation) must have the batch shape [N] = {observation.shape[:1]} of the states; got "
            f"{batch}, with actions {event}. A distribution over vectors has batch shape [N] and event shape "
            "[A]: tfd.Independent(…, 1) makes the last axis part of an action."
        )
    if box is not None:
        size = tf.TensorShape([len(ActionBox.of(box).half)])
        if not event.is_compatible_with(size):
            raise ConfigurationError(
                f"box must have as many components as the policy's actions, {event}; got {size}. Give the "
                "action spec for which the policy was made."
            )
    return distribution


def require_inputs(
    observation: tf.Tensor, temperature: tf.Tensor, seed: tf.Tensor, valid: tf.Tensor | None = None
) -> None:
    """Checks the shapes of the tensors that values, improvements and contrasts take alike.

    Args:
      observation: States s `[N, O]`.
      temperature: α, a scalar.
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count, or None.
    """
    require_shapes(
        ("observation", observation, "N O", "any"),
        ("temperature", temperature, ""),
        ("seed", seed, "2", "int"),
        ("valid", valid, "N | None", "bool"),
    )


def require_temperature(temperature: tf.Tensor, q: tf.Tensor) -> None:
    """Refuses a temperature, a scalar, of another dtype than the values `[...]` that it is weighed with."""
    require_shapes(("critic(observation, action)", q, "..."), ("temperature", temperature, ""))
