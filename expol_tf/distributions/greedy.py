"""The action that a policy takes when it does not explore."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.distributions.tfp_types import is_mixture, is_transformed
from expol_tf.errors import CapabilityError

tfd = tfp.distributions


def greedy_action(distribution: tfd.Distribution) -> tf.Tensor:
    """Returns a deterministic action `[..., A]` of the distribution, the centre of where it puts its mass.

    * a distribution with its own `greedy_action()` decides itself;
    * `TransformedDistribution`: the image of the base's greedy action under the bijector. For a flow that is
      f(s, 0), which is not in general the mode of the transformed density;
    * `MixtureSameFamily`: the component mean with the highest density under the mixture, ties to the lowest index;
    * any other: its mode.

    Raises:
      CapabilityError: If none of these is defined.
    """
    own = getattr(distribution, "greedy_action", None)
    if own is not None:
        return own()
    if is_transformed(distribution):
        base = greedy_action(distribution.distribution)
        return distribution.bijector.forward(base)
    if is_mixture(distribution):
        return _densest_component_mean(distribution)
    try:
        return distribution.mode()
    except NotImplementedError as error:
        raise CapabilityError(
            f"distribution: {type(distribution).__name__} has neither a mode nor a greedy_action(); "
            "give it a method `greedy_action()` that returns an action, or evaluate with sampled actions."
        ) from error


def _densest_component_mean(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    means = mixture.components_distribution.mean()  # [..., K, A]
    event_ndims = mixture.event_shape.rank
    rank = means.shape.rank
    # Each component's mean in turn as a point of the mixture: [K, ..., A].
    component_axis = rank - event_ndims - 1
    order = [component_axis, *(axis for axis in range(rank) if axis != component_axis)]
    points = tf.transpose(means, order)
    densities = mixture.log_prob(points)  # [K, ...]
    best = tf.argmax(densities, axis=0)  # argmax returns the lowest index among equals.
    one_hot = tf.one_hot(best, tf.shape(points)[0], axis=0, dtype=means.dtype)  # [K, ...]
    for _ in range(event_ndims):
        one_hot = one_hot[..., tf.newaxis]
    return tf.reduce_sum(one_hot * points, axis=0)
