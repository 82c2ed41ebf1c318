"""The functions that define how a policy is matched to particles."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from expol_tf.shapes import require_shapes


class Matching(NamedTuple):
    """D(π, p) = sup_f of a mean value: how far a policy π is from a target p, both known by samples only.

    The discriminator f(s, a) is large on actions that look like the policy's, and small on those that look
    like the target's, the particles. It maximizes the mean of `value`, less the penalty where there is one.
    The policy minimizes the mean of `policy_loss` along the reparameterized gradient of its own actions, with
    f's parameters held. Both have their samples at the same states, so the joint densities are matched.

    ```python
    matching = jsd()
    f_policy, f_target = f(s, a), f(s, particles)  # [N] each.
    value = tf.reduce_mean(matching.value(f_policy, f_target))
    discriminator_loss = -value
    policy_loss = tf.reduce_mean(matching.policy_loss(f_policy))
    estimate = matching.divergence(value)
    ```

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), Eqs. 2, 3 and 9, with Eq. 9's JSD and
    the direction of Algorithm 1's step as corrected in `docs/errata.md`.

    Attributes:
      name: Name of the divergence, for printing.
      value: `(f_policy [N], f_target [N]) -> [N]`; the discriminator maximizes its mean.
      policy_loss: `f_policy [N] -> [N]`; the policy minimizes its mean.
      divergence: `mean_value -> D`, elementwise, so of any shape; D is a lower bound that the best f reaches.
      penalty: Weight of `gradient_penalty` in the discriminator's loss; 0 is none.
      one_sided: Whether the penalty leaves slopes below 1 alone; None does so for actions of one component.
      needs_slope_bound: Whether the penalty or spectral normalization must bound the slope of f. If not, the
        best f is finite by itself.
    """

    name: str
    value: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    policy_loss: Callable[[tf.Tensor], tf.Tensor]
    divergence: Callable[[tf.Tensor], tf.Tensor]
    penalty: float = 0.0
    needs_slope_bound: bool = False
    one_sided: bool | None = None


def checked(matching: Matching) -> Matching:
    """The same matching, whose `value` and `policy_loss` first check the shapes of what they are given.

    Args:
      matching: Matching that takes f `[N]`. A discriminator that keeps its last axis gives `[N, 1]`, which
        would broadcast with `[N]` to `[N, N]`.
    """

    def value(f_policy: tf.Tensor, f_target: tf.Tensor) -> tf.Tensor:
        """The matching's value `[N]` of two tensors f `[N]`."""
        require_shapes(("f_policy", f_policy, "N"), ("f_target", f_target, "N"))
        return matching.value(f_policy, f_target)

    def policy_loss(f_policy: tf.Tensor) -> tf.Tensor:
        """The matching's policy loss `[N]` of f `[N]`."""
        require_shapes(("f_policy", f_policy, "N"))
        return matching.policy_loss(f_policy)

    return matching._replace(value=value, policy_loss=policy_loss)
