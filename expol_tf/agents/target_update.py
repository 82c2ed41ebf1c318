"""How target networks follow."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf

from expol_tf.errors import ConfigurationError


@gin.configurable(module="expol_tf")
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

    def __init__(self, tau: float = 0.005, period: int = 1, name: str = "TargetUpdate") -> None:
        super().__init__(name=name)
        if not 0 < tau <= 1:
            raise ConfigurationError(f"{name}.tau must be more than 0 and at most 1; got {tau}.")
        if period < 1:
            raise ConfigurationError(f"{name}.period must be 1 or more; got {period}.")
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

        def follow():
            """Moves every target toward its variable, by τ."""
            for target, variable in zip(targets, variables, strict=True):
                # Exactly equal, which θ̄ + 1·(θ − θ̄) is not after rounding.
                if self._tau == 1:
                    target.assign(variable)
                else:
                    target.assign_add(tf.cast(self._tau, target.dtype) * (variable - target))

        if self._period == 1:
            follow()
        else:
            tf.cond(
                tf.equal(step % self._period, 0),
                lambda: _true_after(follow),
                lambda: tf.constant(False),
            )


def _true_after(action):
    """Acts, and returns a tensor, as both branches of a tf.cond must."""
    action()
    return tf.constant(True)
