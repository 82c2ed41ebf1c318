"""How objectives call the networks, and what an improvement returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

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
        ("observation", observation, "N O"),
        ("temperature", temperature, ""),
        ("seed", seed, "2"),
        ("valid", valid, "N"),
    )
