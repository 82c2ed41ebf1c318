"""Pure functions of returns, advantages and surrogates."""

from expol_tf.objectives.advantages import (
    SCALINGS,
    AdvantageEstimation,
    ScaledAdvantages,
    generalized_advantages,
    scale_advantages,
)
from expol_tf.objectives.masked import explained_variance, masked_mean, masked_variance
from expol_tf.objectives.protocols import Critic, Improvement, Policy
from expol_tf.objectives.surrogates import clip_fraction, clipped_surrogate, importance_surrogate

__all__ = [
    "SCALINGS",
    "AdvantageEstimation",
    "Critic",
    "Improvement",
    "Policy",
    "ScaledAdvantages",
    "clip_fraction",
    "clipped_surrogate",
    "explained_variance",
    "generalized_advantages",
    "importance_surrogate",
    "masked_mean",
    "masked_variance",
    "scale_advantages",
]
