"""KL divergence of the policy from the particles, estimated through its dual."""

from __future__ import annotations

import math

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.number_types import AboveOne
from expol_tf.objectives.matching.f_divergence import f_divergence
from expol_tf.objectives.matching.protocol import Matching


@configurable
def reverse_kl(max_ratio: AboveOne = 1000.0) -> Matching:
    """KL(π ‖ p) = max_f E_π f − E_p exp(f − 1), reached at f = 1 + log π/p; in nats.

    The policy minimizes E_π f, whose gradient at the best f is that of KL(π ‖ p).

    exp overflows. Long before that, a single particle with a large f makes a gradient that Adam remembers for
    thousands of steps. So where exp(f − 1) exceeds R = `max_ratio`, its tangent continues it, and no slope in
    f is larger than R. That is the conjugate of F(r) = r log r on r ≤ R, with F = ∞ beyond:

    * if π ≤ R·p everywhere, the maximum and the best f are the same as without the bound;
    * where π > R·p, the best f is infinite. There f climbs at the optimizer's pace, without NaN, and the
      estimate exceeds KL(π ‖ p) sooner or later. The policy is still pushed away from such actions.

    The bound hardly makes that worse: where there is never a particle, f climbs with exp too. Between
    Gaussians 10 apart the estimate is in the millions after 5,000 steps. Where policy and particles may
    hardly overlap, use `jsd` or `wasserstein`. Particles a few Langevin steps from the policy's actions do
    overlap.

    Reference: Nguyen, Wainwright & Jordan 2010, *Estimating Divergence Functionals and the Likelihood Ratio
    by Convex Risk Minimization*; *Particle Based Stochastic Policy Optimization* (ParPI), Eq. 2.

    Args:
      max_ratio: R > 1, the largest ratio π/p that f can express.
    """
    largest = math.log(max_ratio)

    def conjugate(t: tf.Tensor) -> tf.Tensor:
        """exp(t − 1) up to R and its tangent beyond, elementwise."""
        # The minimum comes first: a tf.where over an exp that overflowed has a gradient of 0·∞ = NaN.
        exponent = tf.minimum(t - 1.0, largest)
        return tf.exp(exponent) * (t - exponent)

    return f_divergence(conjugate, name="reverse_kl")
