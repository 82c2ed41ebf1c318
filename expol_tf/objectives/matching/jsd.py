"""The Jensen-Shannon divergence."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from expol_tf.objectives.matching.protocol import Matching, check_alike


@gin.configurable(module="expol_tf")
def jsd(saturating: bool = False) -> Matching:
    """JSD(π, p) = (v + 2 log 2)/2, v = max_f E_π log σ(f) + E_p log σ(−f), reached at f = log π/p; nats.

    It is ½KL(π ‖ m) + ½KL(p ‖ m) of the middle m = (π + p)/2, between 0 and log 2, and v ≤ 0 for any f.

    The policy minimizes one of two losses, whose gradients with the best f held are those of

    * −E_π log σ(−f), the default: 2 KL(m ‖ p) = KL(π ‖ p) − 2 JSD. Its slope in f is σ(f): near 1 at an
      action that is clearly not the target's, near 0 at one that passes for a particle.
    * E_π log σ(f), `saturating`, the π-part of v: 2 JSD itself. Its slope is σ(−f), the other way round: it
      vanishes where f is large, at the worst actions.

    Both are minimal at π = p and nowhere else; near there both slopes are ½, and the gradients agree. Far
    from it they do not: between unit Gaussians 4 apart the saturating gradient is 28 times smaller, 6 apart
    480 times. An optimizer that rescales gradients makes up for that, but not for what follows in a sum:
    2 JSD ≤ 2 log 2 cannot hold an entropy bonus. A Gaussian 4 away from a unit one, with the exact f, Adam
    and a bonus of weight 1, gives up the target and widens without end; with the default it arrives, at
    deviation 1.5 (with weight 0.1 both do, at 1.1). In a box of actions entropy is bounded too, and the
    damage with it.

    Reference: Goodfellow et al. 2014, *Generative Adversarial Nets*, §3 and Theorem 1; Arjovsky & Bottou
    2017, *Towards Principled Methods for Training Generative Adversarial Networks*, Theorem 2.5.

    Args:
      saturating: Which loss the policy minimizes.
    """

    def value(f_policy: tf.Tensor, f_target: tf.Tensor) -> tf.Tensor:
        check_alike(f_policy, f_target)
        return -tf.nn.softplus(-f_policy) - tf.nn.softplus(f_target)

    def policy_loss(f_policy: tf.Tensor) -> tf.Tensor:
        return -tf.nn.softplus(-f_policy) if saturating else tf.nn.softplus(f_policy)

    def divergence(mean_value: tf.Tensor) -> tf.Tensor:
        return 0.5 * mean_value + math.log(2.0)

    return Matching("jsd", value, policy_loss, divergence)
