"""Densities of squashed distributions at actions whose pre-squash value is known."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import Squash
from expol_tf.distributions.implicit import ImplicitDistribution, PointMass
from expol_tf.distributions.stein import SteinDistribution
from expol_tf.errors import CapabilityError
from expol_tf.tfp_types import is_chain, is_transformed

tfb = tfp.bijectors
tfd = tfp.distributions


class ActionSample(NamedTuple):
    """An action `[..., A]`, its log π `[...]` and the pre-squash action u `[..., A]` (None unsquashed).

    log π is None where the distribution has no density.
    """

    action: tf.Tensor
    log_prob: tf.Tensor
    pre_squash_action: tf.Tensor | None


def split_squash(distribution: tfd.Distribution) -> tuple[tfd.Distribution, Squash | None]:
    """Returns (distribution of u, squash) where actions are squash(u), else (distribution, None).

    Recognizes a `TransformedDistribution` whose bijector is a `Squash` or a `Chain` that ends (is written to
    start) with one, and the library's own distributions that are no such image of another.
    """
    if isinstance(distribution, ImplicitDistribution | PointMass | SteinDistribution):
        squash = distribution.bijector
        return (distribution.distribution, squash) if isinstance(squash, Squash) else (distribution, None)
    if not is_transformed(distribution):
        return distribution, None
    bijector = distribution.bijector
    if isinstance(bijector, Squash):
        return distribution.distribution, bijector
    if is_chain(bijector) and bijector.bijectors and isinstance(bijector.bijectors[0], Squash):
        rest = tfb.Chain(bijector.bijectors[1:])
        return tfd.TransformedDistribution(distribution.distribution, rest), bijector.bijectors[0]
    return distribution, None


def sample_action(distribution: tfd.Distribution, seed: tf.Tensor | None) -> ActionSample:
    """Draws one action and its log π (if there is a density) in one pass, keeping the pre-squash action."""
    inner, squash = split_squash(distribution)
    log_prob: tf.Tensor | None
    try:
        value, log_prob = inner.experimental_sample_and_log_prob(seed=seed)
    except (NotImplementedError, CapabilityError):
        value, log_prob = inner.sample(seed=seed), None
    if squash is None:
        return ActionSample(value, log_prob, None)
    if log_prob is not None:
        log_prob -= squash.forward_log_det_jacobian(value, event_ndims=1)
    return ActionSample(squash.forward(value), log_prob, value)


def action_log_prob(
    distribution: tfd.Distribution, action: tf.Tensor, pre_squash_action: tf.Tensor | None = None
) -> tf.Tensor:
    """log π(action), from the pre-squash action where there is one.

    tanh loses the pre-image in float32 beyond |u| ≈ 9; with u the density stays exact and so does its
    gradient.
    """
    inner, squash = split_squash(distribution)
    # TFP's bijectors remember the pre-image of a tensor they have seen, also one computed under other
    # parameters or inside another graph, if the bijector outlives a call. A copy of the tensor is one they
    # have not seen.
    if pre_squash_action is None or squash is None:
        return distribution.log_prob(tf.identity(action))
    pre_squash_action = tf.identity(pre_squash_action)
    log_det = squash.forward_log_det_jacobian(pre_squash_action, event_ndims=1)
    return inner.log_prob(pre_squash_action) - log_det
