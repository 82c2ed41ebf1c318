"""The Jensen-Shannon divergence."""

from __future__ import annotations

import math

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.objectives.matching.protocol import Matching, checked


@configurable
def jsd(saturating: bool = False) -> Matching:
    """JSD(π, p) = (v + 2 log 2)/2, v = max_f E_π log σ(f) + E_p log σ(−f), reached at f = log π/p; in nats.

    JSD = ½KL(π ‖ m) + ½KL(p ‖ m), with m = (π + p)/2, lies between 0 and log 2, and v ≤ 0 for any f.

    The policy minimizes one of two losses. With the best f held, their gradients are those of

    * 2 KL(m ‖ p) = KL(π ‖ p) − 2 JSD for −E_π log σ(−f), the default. Its slope in f is σ(f): near 1 at an
      action that is clearly not the target's, and near 0 at one that could be a particle.
    * 2 JSD itself for E_π log σ(f), with `saturating`: the part of v that depends on π. Its slope is σ(−f),
      which vanishes where f is large: at the worst actions.

    Both are minimal at π = p only. Near it both slopes are ½ and the gradients agree. Far from it the
    saturating gradient is smaller: by 28 times between unit Gaussians 4 apart, by 480 times 6 apart. An
    optimizer that rescales gradients compensates for that in this loss alone, but not in a sum with an
    entropy bonus, which 2 JSD ≤ 2 log 2 cannot balance. Take a Gaussian 4 away from a unit Gaussian target,
    with the exact f, Adam and a bonus of weight 1: with `saturating` it gives up the target and widens
    without end; with the default it reaches the target, with standard deviation 1.5. (With weight 0.1 both
    reach it, with 1.1.) In a box of actions the entropy is bounded, and so is the damage.

    Reference: Goodfellow et al. 2014, *Generative Adversarial Nets*, §3 and Theorem 1; Arjovsky & Bottou
    2017, *Towards Principled Methods for Training Generative Adversarial Networks*, Theorem 2.5.

    Args:
      saturating: Whether the policy minimizes E_π log σ(f) instead of −E_π log σ(−f).
    """

    def value(f_policy: tf.Tensor, f_target: tf.Tensor) -> tf.Tensor:
        """log σ(f_policy) + log σ(−f_target), elementwise."""
        # log σ(f) = −softplus(−f): σ(f) underflows to 0 in float32 near f = −100, and log 0 is −inf.
        return -tf.nn.softplus(-f_policy) - tf.nn.softplus(f_target)

    def policy_loss(f_policy: tf.Tensor) -> tf.Tensor:
        """−log σ(−f), or log σ(f) with `saturating`, elementwise."""
        return -tf.nn.softplus(-f_policy) if saturating else tf.nn.softplus(f_policy)

    def divergence(mean_value: tf.Tensor) -> tf.Tensor:
        """(v + 2 log 2)/2, in nats."""
        return 0.5 * mean_value + math.log(2.0)

    return checked(Matching("jsd", value, policy_loss, divergence))
