"""Pure functions: advantages, surrogates, soft values and policy improvements."""

from expol_tf.objectives.advantages import (
    SCALINGS,
    AdvantageEstimation,
    ScaledAdvantages,
    generalized_advantages,
    scale_advantages,
    without_rounding,
)
from expol_tf.objectives.batch_parts import improvement_in_parts, soft_value_in_parts
from expol_tf.objectives.contrasts import Contrast, langevin_particles, uniform_actions
from expol_tf.objectives.discriminated_improvement import (
    DiscriminatorFunction,
    density_ratio_improvement,
    discriminator_loss,
    matching_improvement,
)
from expol_tf.objectives.masked import explained_variance, masked_mean, masked_variance
from expol_tf.objectives.matching import (
    Matching,
    f_divergence,
    gradient_penalty,
    jsd,
    reverse_kl,
    wasserstein,
)
from expol_tf.objectives.policy_improvement import (
    amortized_svgd,
    deterministic_improvement,
    reparameterized_improvement,
    require_particles,
)
from expol_tf.objectives.protocols import Critic, Improvement, Policy
from expol_tf.objectives.soft_values import (
    deterministic_value,
    expected_soft_value,
    reduce_critics,
    require_reduction,
    require_samples,
    sampled_soft_value,
)
from expol_tf.objectives.surrogates import clip_fraction, clipped_surrogate, importance_surrogate
from expol_tf.removed_names import answer_removed_names

__all__ = [
    "SCALINGS",
    "AdvantageEstimation",
    "Contrast",
    "Critic",
    "DiscriminatorFunction",
    "Improvement",
    "Matching",
    "Policy",
    "ScaledAdvantages",
    "amortized_svgd",
    "clip_fraction",
    "clipped_surrogate",
    "density_ratio_improvement",
    "deterministic_improvement",
    "deterministic_value",
    "discriminator_loss",
    "expected_soft_value",
    "explained_variance",
    "f_divergence",
    "generalized_advantages",
    "gradient_penalty",
    "importance_surrogate",
    "improvement_in_parts",
    "jsd",
    "langevin_particles",
    "masked_mean",
    "masked_variance",
    "matching_improvement",
    "reduce_critics",
    "require_particles",
    "require_reduction",
    "require_samples",
    "reparameterized_improvement",
    "reverse_kl",
    "sampled_soft_value",
    "scale_advantages",
    "soft_value_in_parts",
    "uniform_actions",
    "wasserstein",
    "without_rounding",
]

answer_removed_names(__name__)
