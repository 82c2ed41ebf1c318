"""Type tests for TFP objects that come in two classes."""

from __future__ import annotations

from typing import Any

import tensorflow_probability as tfp

tfb = tfp.bijectors
tfd = tfp.distributions


def _plain_class(cls: type) -> type:
    # `tfd.TransformedDistribution(...)` returns an instance of a plain base class, not of itself, when one of
    # its parts is no composite tensor (as every bijector of ours); so tests must be against that base.
    return next((base for base in cls.__mro__ if base.__name__ == f"_{cls.__name__}"), cls)


_CHAIN = _plain_class(tfb.Chain)
_GAUSSIAN = _plain_class(tfd.MultivariateNormalLinearOperator)
_GENERAL_MIXTURE = _plain_class(tfd.Mixture)
_MIXTURE = _plain_class(tfd.MixtureSameFamily)
_TRANSFORMED = _plain_class(tfd.TransformedDistribution)


def is_chain(bijector: Any) -> bool:
    """Whether it is a `tfb.Chain`."""
    return isinstance(bijector, _CHAIN)


def is_mixture(distribution: Any) -> bool:
    """Whether it is a `tfd.MixtureSameFamily`."""
    return isinstance(distribution, _MIXTURE)


def is_general_mixture(distribution: Any) -> bool:
    """Whether it is a `tfd.Mixture`, whose components may be of different families."""
    return isinstance(distribution, _GENERAL_MIXTURE)


def is_transformed(distribution: Any) -> bool:
    """Whether it is a `tfd.TransformedDistribution`, multivariate Gaussians (TFP's are) excepted."""
    return isinstance(distribution, _TRANSFORMED) and not isinstance(distribution, _GAUSSIAN)
