"""The Wasserstein distance, and the total variation of the hinge form."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.objectives.matching.protocol import Matching, check_alike


@gin.configurable(module="expol_tf")
def wasserstein(gradient_penalty: float = 10.0, hinge: bool = False) -> Matching:
    """W₁(π, p) = max_f E_π f − E_p f over 1-Lipschitz f; in half-widths of the box of actions.

    Nothing here keeps f Lipschitz but the penalty λ·E(‖∇_x f‖ − 1)², at actions between the policy's and the
    particles', x scaled to [−1, 1] (`gradient_penalty`). One of two should be on:

    * the penalty. It is soft: over a shift of w it lets the slope reach 1 + w/(2λ), and the estimate too is
      that much too large, 5 % at λ = 10 and w = 1;
    * `DiscriminatorNetwork(spectral_normalization=True)`, with `gradient_penalty` 0. It is hard, in state and
      action together. But layers of norm 1 with activations between rarely attain slope 1 where f folds: a
      shift of two Gaussians is estimated in full (0.97 to 1.00), a doubled deviation, for which f = ‖x‖ is
      the best, at half its W₁ with ReLU and at a third with tanh.

    Not both: the penalty asks for a slope that the layers cannot give, and wins over the value (a sixth of
    W₁, of the deviations). And not neither: f then grows as long as it is trained. Of a shift of 1 the
    estimate is 11 after 300 steps of Adam and 112,000 after 10,000; it means nothing, and the policy's
    gradient is as large.

    The hinge form bounds each sample's part instead, E_π min(0, f − 1) + E_p min(0, −f − 1). Its maximum is
    −2(1 − TV(π, p)), at f = sign(π − p), so it estimates the total variation 1 + v/2, in [0, 1], and not W₁;
    with a Lipschitz bound as well, less than that (0.33 of 0.38, a shift of 1). It needs the bound
    nonetheless, as the best f without has no slope for the policy to follow. In return f stays near ±1
    however far apart π and p are.

    The policy minimizes E_π f in both.

    Reference: Gulrajani et al. 2017, *Improved Training of Wasserstein GANs*, Eq. 3; Miyato et al. 2018,
    *Spectral Normalization for Generative Adversarial Networks*, Eqs. 16 and 17.

    Args:
      gradient_penalty: λ, 0 for none.
      hinge: Whether the discriminator maximizes the hinge form.
    """
    if not 0 <= gradient_penalty < math.inf:
        raise ConfigurationError(
            "gradient_penalty must be finite, 0 (none) or more; got "
            f"{gradient_penalty}. The usual weight is 10."
        )

    def value(f_policy: tf.Tensor, f_target: tf.Tensor) -> tf.Tensor:
        check_alike(f_policy, f_target)
        if hinge:
            return tf.minimum(0.0, f_policy - 1.0) + tf.minimum(0.0, -f_target - 1.0)
        return f_policy - f_target

    def divergence(mean_value: tf.Tensor) -> tf.Tensor:
        return 1.0 + 0.5 * mean_value if hinge else mean_value

    name = "hinge" if hinge else "wasserstein"
    return Matching(name, value, lambda f: f, divergence, gradient_penalty, needs_slope_bound=True)
