"""Update rules and their parts, usable on any TensorFlow variables."""

from expol_tf.optimizers.adam import Adam
from expol_tf.optimizers.conjugate_gradient import ConjugateGradientResult, conjugate_gradient
from expol_tf.optimizers.constraints import is_constrained, project, projected
from expol_tf.optimizers.fisher import fisher_product
from expol_tf.optimizers.flat import assign, flat_gradient, flatten, unflatten
from expol_tf.optimizers.keras_steps import Optimizer, apply_gradients, build_optimizer
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
    "Optimizer",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Regression",
    "TrustRegion",
    "TrustRegionReport",
    "apply_gradients",
    "assign",
    "backtracking_line_search",
    "build_optimizer",
    "conjugate_gradient",
    "fisher_product",
    "flat_gradient",
    "flatten",
    "is_constrained",
    "project",
    "projected",
    "unflatten",
]

answer_removed_names(__name__)
