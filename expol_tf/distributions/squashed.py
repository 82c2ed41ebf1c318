"""Densities of squashed distributions at actions whose pre-squash value is known."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import Squash
from expol_tf.distributions.image import ImageDistribution
from expol_tf.errors import CapabilityError
from expol_tf.shapes import require_shapes
from expol_tf.tfp_types import CHAIN, INDEPENDENT, is_transformed

tfb = tfp.bijectors
tfd = tfp.distributions


class ActionSample(NamedTuple):
    """An action with its density and its pre-squash action.

    Attributes:
      action: a `[..., A]`.
      log_prob: log π(a) `[...]`, None where the distribution has no density.
      pre_squash_action: u `[..., A]`, None where the distribution is not squashed.
    """

    action: tf.Tensor
    log_prob: tf.Tensor
    pre_squash_action: tf.Tensor | None


def split_squash(distribution: tfd.Distribution) -> tuple[tfd.Distribution, tfb.Bijector | None]:
    """Returns (distribution of u, squash) where actions are squash(u), else (distribution, None).

    A squash is a map of single components with constant parameters and a slope that varies: `Squash`, or
    another such as `tfb.Tanh`. It is the bijector of a `TransformedDistribution` or of one of the library's
    own distributions, or the last step of such a bijector that is a `Chain` (the one written first). Constant
    maps of single components may follow it, such as the `Shift` and `Scale` that take tanh to a box: they
    are part of the squash that is returned then. A `TransformedDistribution` may consist of these alone, with
    another one below it, and `Independent` may stand around all.

    Whether a parameter that is a tensor is constant is known in graphs, where agents act and train. In eager
    code it may come from a variable: it does not count as constant.

    Raises:
      CapabilityError: If the bijector is a chain with a `Squash` at another step.
    """
    if isinstance(distribution, INDEPENDENT):
        inner, squash = split_squash(distribution.distribution)
        if squash is None:
            return distribution, None
        return tfd.Independent(inner, distribution.reinterpreted_batch_ndims), squash
    if not (isinstance(distribution, ImageDistribution) or is_transformed(distribution)):
        return distribution, None
    bijector = distribution.bijector
    if bijector is None:
        return distribution, None
    if not (isinstance(bijector, CHAIN) and bijector.bijectors):
        if _is_squash(bijector):
            return distribution.distribution, bijector
        return _split_below(distribution, [bijector]) if _is_fixed_affine(bijector) else (distribution, None)
    # A Chain applies its bijectors from right to left, so the first one written is the last step.
    last, *rest = bijector.bijectors
    if _is_squash(last):
        return tfd.TransformedDistribution(distribution.distribution, tfb.Chain(rest)), last
    if any(isinstance(step, Squash) for step in rest):
        raise CapabilityError(
            "bijector: a Squash must be the last step of a policy, the first in its Chain; got "
            f"Chain([{', '.join(type(step).__name__ for step in bijector.bijectors)}]). Give the box of "
            "actions to the Squash instead of mapping what it returns."
        )
    # A chain in a chain is applied step by step as well.
    steps = _steps(bijector)
    outer = list(itertools.takewhile(_is_fixed_affine, steps))
    if len(outer) == len(steps):
        return _split_below(distribution, outer)
    last, *rest = steps[len(outer) :]
    if not _is_squash(last):
        return distribution, None
    inner = distribution.distribution
    latent = tfd.TransformedDistribution(inner, tfb.Chain(rest)) if rest else inner
    return latent, tfb.Chain([*outer, last]) if outer else last


def latent_and_squash(distribution: tfd.Distribution) -> tuple[tfd.Distribution, tfb.Bijector]:
    """Returns (distribution of u, squash) as `split_squash` does, where there must be a squash.

    Raises:
      CapabilityError: If the distribution is not squashed.
    """
    latent, squash = split_squash(distribution)
    if squash is None:
        raise CapabilityError(
            "policy: moving actions before the squash needs a squashed policy, "
            "tfd.TransformedDistribution(latent, Squash(…)) or an ImplicitDistribution with a Squash; got "
            f"{type(distribution).__name__}. Make the network with squash=True; soft Q-learning takes "
            'it with kernel_space="action".'
        )
    return latent, squash


def _split_below(
    distribution: tfd.Distribution, outer: list[tfb.Bijector]
) -> tuple[tfd.Distribution, tfb.Bijector | None]:
    """As `split_squash`, where all steps of a distribution are constant maps and another may be below it."""
    if not is_transformed(distribution):
        return distribution, None
    below, squash = split_squash(distribution.distribution)
    return (distribution, None) if squash is None else (below, tfb.Chain([*outer, squash]))


def _steps(bijector: tfb.Bijector) -> list[tfb.Bijector]:
    """The steps of a chain, those of chains in it among them."""
    if not isinstance(bijector, CHAIN):
        return [bijector]
    return [step for part in bijector.bijectors for step in _steps(part)]


def _is_fixed_affine(bijector: tfb.Bijector) -> bool:
    """Whether it moves and stretches each component by constants."""
    return bijector.forward_min_event_ndims == 0 and bijector.is_constant_jacobian and _is_fixed(bijector)


def _is_fixed(bijector: tfb.Bijector) -> bool:
    return not bijector.trainable_variables and not _has_tensors(bijector)


def _is_squash(bijector: tfb.Bijector) -> bool:
    # A map with parameters that a network made, or one that mixes components, is part of the policy, not of
    # the box: u would have another image once the parameters move. A map of constant slope has no edges.
    return bijector.forward_min_event_ndims == 0 and not bijector.is_constant_jacobian and _is_fixed(bijector)


def _has_tensors(bijector: tfb.Bijector) -> bool:
    # The knots of a spline are tensors made of variables that the bijector itself does not know.
    if bijector.parameters is None:  # They are not known, so there may be tensors.
        return True
    parameters = tf.nest.flatten(list(bijector.parameters.values()))
    inner = (value for value in parameters if isinstance(value, tfb.Bijector))
    return any(map(_may_move, parameters)) or any(map(_has_tensors, inner))


def _may_move(value: Any) -> bool:
    """Whether a parameter may change when variables do."""
    if not tf.is_tensor(value):
        return False
    if isinstance(value, tf.Variable):
        return True
    if isinstance(value, tf.__internal__.EagerTensor):
        # Where a graph is traced, what has a value already has this one for ever.
        return not tf.inside_function()
    return tf.get_static_value(value) is None


def sample_action(distribution: tfd.Distribution, seed: tf.Tensor | None) -> ActionSample:
    """Draws one action for each member of the batch, with log π (if there is a density), in one pass.

    Args:
      distribution: A distribution over actions `[..., A]`.
      seed: A stateless seed, int32 `[2]`.
    """
    inner, squash = split_squash(distribution)
    log_prob: tf.Tensor | None
    try:
        # One call, not two: a flow's log π at a given u would have to be inverted first.
        value, log_prob = inner.experimental_sample_and_log_prob(seed=seed)
    except (NotImplementedError, CapabilityError):
        value, log_prob = inner.sample(seed=seed), None
    if squash is None:
        return ActionSample(value, log_prob, None)
    if log_prob is not None:
        # From u, which is at hand; log_prob(a) would have to invert the squash.
        log_prob -= squash.forward_log_det_jacobian(value, event_ndims=1)
    return ActionSample(squash.forward(value), log_prob, value)


def action_log_prob(
    distribution: tfd.Distribution, action: tf.Tensor, pre_squash_action: tf.Tensor | None = None
) -> tf.Tensor:
    """log π(a) `[...]`, by way of u where it is known: log π(u) − log|∂a/∂u|.

    tanh(u) rounds to ±1 in float32 beyond |u| ≈ 9, and u cannot be told from the action any more. With u the
    density stays exact, and so does its gradient.

    Args:
      distribution: A distribution over actions `[..., A]`.
      action: a `[..., A]`, with further axes before those of the distribution or not.
      pre_squash_action: u in the shape of a, or None where it is not known.
    """
    if distribution.batch_shape.rank is not None:
        # TFP would broadcast N actions against N others, to [N, N] densities.
        sizes = [*distribution.batch_shape.as_list(), *distribution.event_shape.as_list()]
        written = " ".join(f"b{axis}" if size is None else str(size) for axis, size in enumerate(sizes))
        require_shapes(
            ("action", action, f"* {written}"),
            ("pre_squash_action", pre_squash_action, f"* {written} | None"),
        )
    inner, squash = split_squash(distribution)
    # A TFP bijector that outlives a call remembers the pre-image of a tensor that it has seen, even if its
    # parameters have changed since or the tensor is of another graph. It has not seen a copy of the tensor.
    if pre_squash_action is None or squash is None:
        return distribution.log_prob(tf.identity(action))
    pre_squash_action = tf.identity(pre_squash_action)
    log_det = squash.forward_log_det_jacobian(pre_squash_action, event_ndims=1)
    return inner.log_prob(pre_squash_action) - log_det
