"""Any f-divergence, estimated through the convex conjugate of F."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.objectives.matching.protocol import Matching, checked

Elementwise = Callable[[tf.Tensor], tf.Tensor]


@configurable
def f_divergence(
    conjugate: Elementwise, activation: Elementwise | None = None, name: str = "f_divergence"
) -> Matching:
    """D_F(π, p) = E_p F(π/p) = max_f E_π t − E_p F*(t), t = g(f), reached at t = F′(π/p).

    F is convex with F(1) = 0, and F*(t) = max_r (t·r − F(r)) is its conjugate, over r ≥ 0 or over all r. The
    policy minimizes E_π t, whose gradient at the best f is that of D_F.

    g maps the network's output, which can be any number, into the domain of F*. Pearson's χ² needs no g. The
    squared Hellinger distance E_p(√(π/p) − 1)² needs one, because its domain is t < 1:

    ```python
    pearson = f_divergence(lambda t: t + t**2 / 4, name="pearson")  # F(r) = (r − 1)².
    hellinger = f_divergence(lambda t: t / (1 - t), lambda f: 0.999 - tf.nn.softplus(-f), "hellinger")
    ```

    F* and its slope must stay finite on the range of g. With t < 1 as the only bound, rounding would reach
    t = 1, and one NaN ends the training. A bound on t also bounds the ratio π/p that f can express: since
    t = 1 − √(p/π), 0.999 allows ratios up to 1e6. In gin, give functions that are registered with gin.

    Reference: Nowozin et al. 2016, *f-GAN*, §2.2 and Table 6; *Particle Based Stochastic Policy
    Optimization* (ParPI), Eq. 2.

    Args:
      conjugate: F*, an elementwise, differentiable function.
      activation: g, an elementwise, increasing function; None is the identity.
      name: Name of the divergence, for printing; the metrics have the same names for all divergences.
    """

    def transformed(f: tf.Tensor) -> tf.Tensor:
        """t = g(f), elementwise."""
        return f if activation is None else activation(f)

    def value(f_policy: tf.Tensor, f_target: tf.Tensor) -> tf.Tensor:
        """t(f_policy) − F*(t(f_target)), elementwise."""
        return transformed(f_policy) - conjugate(transformed(f_target))

    return checked(Matching(name, value, transformed, lambda mean_value: mean_value))
