"""K-FAC: the Kronecker-factored natural gradient, for policies and for value networks."""

from expol_tf.optimizers.kfac.factors import KroneckerFactors
from expol_tf.optimizers.kfac.optimizer import Kfac, KfacReport
from expol_tf.optimizers.kfac.plan import KfacCoverage, KfacLayer
from expol_tf.optimizers.kfac.regression import KfacRegression

__all__ = ["Kfac", "KfacCoverage", "KfacLayer", "KfacRegression", "KfacReport", "KroneckerFactors"]
