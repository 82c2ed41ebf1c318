"""How an off-policy agent regresses its critics, and how the target networks follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from expol_tf.agents.experience import Transitions
from expol_tf.agents.settings import Optimizer
from expol_tf.bijectors import BoxSpec
from expol_tf.checks import refuse_misspelt_attributes
from expol_tf.configurable import configurable
from expol_tf.number_types import Count, Rate, UnitInterval
from expol_tf.objectives import Policy
from expol_tf.shapes import require_shapes
from expol_tf.text_types import ModuleName


@configurable
class TargetUpdate(tf.Module):
    """θ̄ ← (1 − τ)θ̄ + τθ at every `period`-th update: Polyak averaging; τ = 1 copies.

    `TargetUpdate(0.005)` follows slowly at every update, `TargetUpdate(1.0, period=1000)` is a hard copy
    every thousand.

    References: Lillicrap et al. 2016, *Continuous control with deep reinforcement learning*, Alg. 1; Mnih et
    al. 2015, *Human-level control through deep reinforcement learning*, Alg. 1.

    Args:
      tau: τ, more than 0 and at most 1.
      period: Updates from one to the next, 1 or more.
    """

    def __init__(self, tau: Rate = 0.005, period: Count = 1, name: ModuleName = "TargetUpdate") -> None:
        super().__init__(name=name)
        self._tau = tau
        self._period = period

    def update(
        self, targets: Sequence[tf.Variable], variables: Sequence[tf.Variable], step: tf.Tensor
    ) -> None:
        """Moves the targets toward the variables, if it is time.

        Args:
          targets: θ̄.
          variables: θ, in the same order.
          step: The number of updates done, this one included; integer scalar.
        """

        def follow() -> tf.Tensor:
            """Moves every target toward its variable, by τ; returns a tensor, as a branch of tf.cond must."""
            for target, variable in zip(targets, variables, strict=True):
                # Exactly equal, which θ̄ + 1·(θ − θ̄) is not after rounding.
                if self._tau == 1:
                    target.assign(variable)
                else:
                    target.assign_add(tf.cast(self._tau, target.dtype) * (variable - target))
            return tf.constant(True)

        if self._period == 1:
            follow()
        else:
            tf.cond(tf.equal(step % self._period, 0), follow, lambda: tf.constant(False))


@configurable
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
    gamma: UnitInterval = 0.99
    target_update: TargetUpdate | None = None
    target_actor: bool | None = None

    requires: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        refuse_misspelt_attributes(cls, CriticFit)

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
        require_shapes(
            ("batch.reward", batch.reward, "N"),
            ("batch.discount", batch.discount, "N"),
            ("value", value, "N"),
        )
        # The discount, not the end of an episode, masks V: a truncated episode bootstraps from V(s′).
        return batch.reward + self.gamma * batch.discount * value
