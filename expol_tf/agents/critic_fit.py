"""How an off-policy agent regresses its critics, and how the target networks follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import gin
import tensorflow as tf

from expol_tf.agents.settings import Optimizer
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.transitions import Transitions
from expol_tf.bijectors import BoxSpec
from expol_tf.errors import ConfigurationError
from expol_tf.objectives import Policy


@gin.configurable(module="expol_tf")
@dataclasses.dataclass(frozen=True)
class CriticFit:
    """Q_c(s, a) ← y = r + γ·discount·V(s′), by steps down ½·mean (Q_c − y)².

    A field that is None takes the agent's own default, which the agent's docstring names. An algorithm with
    another target derives from this class and replaces `target`.

    Attributes:
      optimizer: An `expol_tf.optimizers.Adam` or a Keras optimizer of the critics.
      gamma: Discount γ per step.
      target_update: How the target networks follow.
      target_actor: Whether V sees a target policy, which follows as the target critics do.
      requires: What the target needs of the policy's distribution, besides what V needs.
    """

    optimizer: Optimizer | None = None
    gamma: float = 0.99
    target_update: TargetUpdate | None = None
    target_actor: bool | None = None

    requires: ClassVar[Sequence[str]] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ConfigurationError(f"CriticFit.gamma must be between 0 and 1; got {self.gamma}.")

    def target(
        self, batch: Transitions, value: tf.Tensor, policy: Policy, temperature: tf.Tensor, box: BoxSpec
    ) -> tf.Tensor:
        """Returns y `[N]`.

        Args:
          batch: N transitions, observations normalized.
          value: V(s′) `[N]`.
          policy: The policy that V saw.
          temperature: α, a scalar.
          box: The action spec.
        """
        # The discount, not the end of an episode, masks V: a truncated episode bootstraps from V(s′).
        return batch.reward + self.gamma * batch.discount * value
