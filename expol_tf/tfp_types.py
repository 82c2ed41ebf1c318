"""Classes of TFP that come in two, for `isinstance`."""

from __future__ import annotations

from typing import Any

import tensorflow_probability as tfp

tfb = tfp.bijectors
tfd = tfp.distributions


def _plain_class(cls: Any) -> Any:
    # `tfd.TransformedDistribution(...)` returns an instance of a plain base class, not of itself, when one of
    # its parts is no composite tensor (as every bijector of ours); so tests must be against that base.
    return next((base for base in cls.__mro__ if base.__name__ == f"_{cls.__name__}"), cls)


CHAIN = _plain_class(tfb.Chain)
INDEPENDENT = _plain_class(tfd.Independent)
MIXTURE_SAME_FAMILY = _plain_class(tfd.MixtureSameFamily)
# Its components may be of different families.
MIXTURE = _plain_class(tfd.Mixture)
_GAUSSIAN = _plain_class(tfd.MultivariateNormalLinearOperator)
_TRANSFORMED = _plain_class(tfd.TransformedDistribution)


def is_transformed(distribution: Any) -> bool:
    """Whether it is a `tfd.TransformedDistribution`, multivariate Gaussians (TFP's are) excepted."""
    return isinstance(distribution, _TRANSFORMED) and not isinstance(distribution, _GAUSSIAN)
