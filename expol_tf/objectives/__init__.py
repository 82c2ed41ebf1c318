"""Pure functions of returns, advantages and surrogates."""

from expol_tf.objectives.advantages import SCALINGS, generalized_advantages, scale_advantages
from expol_tf.objectives.masked import explained_variance, masked_mean, masked_variance
from expol_tf.objectives.surrogates import importance_surrogate

__all__ = [
    "SCALINGS",
    "explained_variance",
    "generalized_advantages",
    "importance_surrogate",
    "masked_mean",
    "masked_variance",
    "scale_advantages",
]
