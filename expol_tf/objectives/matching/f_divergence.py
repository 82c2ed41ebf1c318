"""Any f-divergence, by its convex conjugate."""

from __future__ import annotations

from collections.abc import Callable

import gin
import tensorflow as tf

from expol_tf.objectives.matching.protocol import Matching, check_alike

Elementwise = Callable[[tf.Tensor], tf.Tensor]


@gin.configurable(module="expol_tf")
def f_divergence(
    conjugate: Elementwise, activation: Elementwise | None = None, name: str = "f_divergence"
) -> Matching:
    """D_F(π, p) = E_p F(π/p) = max_f E_π t − E_p F*(t), t = g(f), reached at t = F′(π/p).

    F is convex with F(1) = 0, and F*(t) = max_r (t·r − F(r)), over r ≥ 0 or over all r, its conjugate. The
    policy minimizes E_π t, whose gradient at the best f is that of D_F.

    g maps the network's output, any number, into the domain of F*. Pearson's χ² needs none, the squared
    Hellinger distance E_p(√(π/p) − 1)², whose domain is t < 1, does:

    ```python
    pearson = f_divergence(lambda t: t + t**2 / 4, name="pearson")  # F(r) = (r − 1)².
    hellinger = f_divergence(lambda t: t / (1 - t), lambda f: 0.999 - tf.nn.softplus(-f), "hellinger")
    ```

    F* and its slope must stay finite over what g gives: t < 1 alone would be reached by rounding, and one NaN
    would end the training. A bound on t, as 0.999 here, is one on the ratio π/p that f can tell, 1e6, since
    t = 1 − √(p/π). In gin, give functions that are registered there.

    Reference: Nowozin et al. 2016, *f-GAN*, §2.2 and Table 6; *Particle Based Stochastic Policy
    Optimization* (ParPI), Eq. 2.

    Args:
      conjugate: F*, elementwise, differentiable.
      activation: g, elementwise, increasing; None for the identity.
      name: What it is, for whoever reads; metrics are called alike for all.
    """

    def transformed(f: tf.Tensor) -> tf.Tensor:
        return f if activation is None else activation(f)

    def value(f_policy: tf.Tensor, f_target: tf.Tensor) -> tf.Tensor:
        check_alike(f_policy, f_target)
        return transformed(f_policy) - conjugate(transformed(f_target))

    return Matching(name, value, transformed, lambda mean_value: mean_value)
