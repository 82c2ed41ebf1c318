"""Update rules and their parts, usable on any TensorFlow variables."""

from expol_tf.optimizers.adam import Adam
from expol_tf.optimizers.conjugate_gradient import ConjugateGradientResult, conjugate_gradient
from expol_tf.optimizers.fisher import fisher_product
from expol_tf.optimizers.flat import assign, flat_gradient, flatten, unflatten
from expol_tf.optimizers.kfac import (
    Kfac,
    KfacCoverage,
    KfacLayer,
    KfacRegression,
    KfacReport,
    KroneckerFactors,
)
from expol_tf.optimizers.line_search import LineSearchResult, backtracking_line_search
from expol_tf.optimizers.minibatch_adam import MinibatchAdam, MinibatchReport
from expol_tf.optimizers.regression import MinibatchRegression, Regression
from expol_tf.optimizers.schedules import (
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from expol_tf.optimizers.trust_region import TrustRegion, TrustRegionReport
from expol_tf.removed_names import answer_removed_names

__all__ = [
    "Adam",
    "ConjugateGradientResult",
    "CosineDecay",
    "ExponentialDecay",
    "Kfac",
    "KfacCoverage",
    "KfacLayer",
    "KfacRegression",
    "KfacReport",
    "KroneckerFactors",
    "LineSearchResult",
    "MinibatchAdam",
    "MinibatchRegression",
    "MinibatchReport",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Regression",
    "TrustRegion",
    "TrustRegionReport",
    "assign",
    "backtracking_line_search",
    "conjugate_gradient",
    "fisher_product",
    "flat_gradient",
    "flatten",
    "unflatten",
]

answer_removed_names(__name__)
