"""What objectives see of networks, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

# π: observations [N, O] → distribution over actions [N, A].
Policy = Callable[[tf.Tensor], tfp.distributions.Distribution]
# Q: observations [N, O] and actions [N, A] or [N, M, A] → values of C critics, [N, C] or [N, M, C].
Critic = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Improvement(NamedTuple):
    """What a policy improvement gives.

    Attributes:
      loss: Scalar, whose gradient with respect to the policy's parameters is the improvement's direction.
      log_prob: log π `[N]` of fresh actions scaled to [−1, 1], None where there is no density.
      metrics: Scalars to report, means over states.
    """

    loss: tf.Tensor
    log_prob: tf.Tensor | None
    metrics: Mapping[str, tf.Tensor]
