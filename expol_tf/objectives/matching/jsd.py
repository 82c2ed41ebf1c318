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
    * E_π log σ(f), `saturating`, the π-part of v: 2 JSD itself. Its slope is σ(−f), which is the other way
      round: it vanishes where f is large, at the worst actions. Once f tells the two apart, nothing is left
      to follow: between unit Gaussians 4 apart the gradient is a fiftieth of the other's.

    Both are zero at π = p and nowhere else. At π ≈ p both slopes are ½, and the gradients agree.

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
