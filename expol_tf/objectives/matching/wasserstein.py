"""The Wasserstein distance, and the total variation, which the hinge form estimates."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.number_types import NonNegative
from expol_tf.objectives.matching.protocol import Matching, checked


@configurable
def wasserstein(
    gradient_penalty: NonNegative = 10.0, hinge: bool = False, one_sided: bool | None = None
) -> Matching:
    """W₁(π, p) = max_f E_π f − E_p f over 1-Lipschitz f; in half-widths of the box of actions.

    The only Lipschitz bound here is the penalty λ·E(‖∇_x f‖ − 1)², at actions between the policy's and the
    particles', with x scaled to [−1, 1] (`gradient_penalty`). Use exactly one of two bounds:

    * The penalty. It is soft: over a shift of w it lets the slope reach 1 + w/(2λ), which makes the estimate
      too large by the same factor, 5 % at λ = 10 and w = 1. For actions of one component it is one-sided,
      max(0, ‖∇_x f‖ − 1)², as the other would keep f from folding (see `gradient_penalty`).
    * `DiscriminatorNetwork(spectral_normalization=True)`, with `gradient_penalty` 0. It is hard, in state and
      action together. But layers of norm 1 with activations in between rarely reach slope 1 where f folds. A
      shift of two Gaussians is estimated in full (0.97 to 1.00). A doubled standard deviation, for which
      f = ‖x‖ is the best, is estimated at half its W₁ with ReLU and at a third with tanh.

    With both, the penalty asks for a slope that the layers cannot give, and outweighs the value: the doubled
    deviation is estimated at a sixth of its W₁. With neither, f grows as long as it is trained: for a shift
    of 1 the estimate is 11 after 300 steps of Adam and 112,000 after 10,000. It then means nothing, and the
    policy's gradient is as large.

    The hinge form v = E_π min(0, f − 1) + E_p min(0, −f − 1) bounds the contribution of each sample instead.
    Its maximum is −2(1 − TV(π, p)), at f = sign(π − p), so 1 + v/2 estimates the total variation, in [0, 1],
    and not W₁. A Lipschitz bound lowers the estimate (0.33 instead of 0.38 for a shift of 1). The hinge form
    needs one nonetheless, because the best f without a bound has no slope for the policy to follow. In return
    f stays near ±1 however far apart π and p are.

    The policy minimizes E_π f in both forms.

    Reference: Gulrajani et al. 2017, *Improved Training of Wasserstein GANs*, Eq. 3; Miyato et al. 2018,
    *Spectral Normalization for Generative Adversarial Networks*, Eqs. 16 and 17.

    Args:
      gradient_penalty: λ ≥ 0, the weight of the penalty; 0 is none.
      hinge: Whether the discriminator maximizes the hinge form.
      one_sided: Whether the penalty leaves slopes below 1 alone; None does so for actions of one component.
    """

    def value(f_policy: tf.Tensor, f_target: tf.Tensor) -> tf.Tensor:
        """f_policy − f_target, or the hinge form, elementwise."""
        if hinge:
            # Flat beyond ±1: a sample that f already tells apart moves it no further.
            return tf.minimum(0.0, f_policy - 1.0) + tf.minimum(0.0, -f_target - 1.0)
        return f_policy - f_target

    def divergence(mean_value: tf.Tensor) -> tf.Tensor:
        """W₁ = v, or TV = 1 + v/2 for the hinge form."""
        return 1.0 + 0.5 * mean_value if hinge else mean_value

    name = "hinge" if hinge else "wasserstein"
    matching = Matching(name, value, lambda f: f, divergence, gradient_penalty, True, one_sided)
    return checked(matching)
