"""The action that a policy takes when it does not explore."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.errors import CapabilityError
from expol_tf.tfp_types import MIXTURE, MIXTURE_SAME_FAMILY, is_transformed

tfd = tfp.distributions


def greedy_action(distribution: tfd.Distribution) -> tf.Tensor:
    """Returns a deterministic action `[..., A]` at the centre of the distribution's mass.

    * If the distribution has a method `greedy_action()`: what that returns.
    * `TransformedDistribution`: the image of the base's greedy action under the bijector. For a flow that is
      f(s, 0), which is not in general the mode of the transformed density.
    * `MixtureSameFamily` and `Mixture`: the component mean (greedy action, for components without a mean)
      with the highest density under the mixture, of equal ones the first.
    * Any other: its mode.

    Args:
      distribution: A distribution over actions `[..., A]`.

    Raises:
      CapabilityError: If none of these is defined.
    """
    own = getattr(distribution, "greedy_action", None)
    if own is not None:
        return own()
    if is_transformed(distribution):
        # TFP refuses mode() here, rightly: a map that stretches moves the mode. Finding it would take an
        # optimization for each state, and the image of the base's centre is a good action without one.
        return distribution.bijector.forward(greedy_action(distribution.distribution))
    if isinstance(distribution, MIXTURE_SAME_FAMILY):
        # The mode of a mixture has no closed form, and its mean may lie where no component has any mass.
        centres = _centre(distribution.components_distribution)  # [..., K, A]
        return _densest(distribution, tf.unstack(centres, axis=-1 - distribution.event_shape.rank))
    if isinstance(distribution, MIXTURE):
        return _densest(distribution, [_centre(component) for component in distribution.components])
    try:
        return distribution.mode()
    except NotImplementedError as error:
        raise CapabilityError(
            f"distribution: {type(distribution).__name__} has neither a mode nor a greedy_action(); "
            "give it a method `greedy_action()` that returns an action, or evaluate with sampled actions."
        ) from error


def _centre(component: tfd.Distribution) -> tf.Tensor:
    """A component's mean, or its greedy action where TFP knows no mean."""
    try:
        return component.mean()
    except NotImplementedError:
        return greedy_action(component)


def _densest(mixture: tfd.Distribution, points: list[tf.Tensor]) -> tf.Tensor:
    """Returns, for each batch member, the first of the points `[..., A]` at which the mixture is densest."""
    best = points[0]
    highest = mixture.log_prob(best)
    for point in points[1:]:
        density = mixture.log_prob(point)
        better = density > highest  # Strictly: of equal densities the first wins.
        for _ in range(mixture.event_shape.rank):
            better = better[..., tf.newaxis]
        best = tf.where(better, point, best)
        highest = tf.maximum(density, highest)
    return best
