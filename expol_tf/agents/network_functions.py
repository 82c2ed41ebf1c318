"""Networks as the functions that objectives ask."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.networks import network

from expol_tf.networks import call_network, values_at
from expol_tf.objectives import Critic, DiscriminatorFunction, Policy


def policy_of(network_: network.Network) -> Policy:
    """Returns π: observations `[N, O]` → distribution over actions `[N, A]`."""
    return lambda observation: call_network(network_, observation)[0]


def critic_of(network_: network.Network) -> Critic:
    """Returns Q: observations `[N, O]`, actions `[N, A]` or `[N, M, A]` → values `[N, C]` or `[N, M, C]`."""

    def critic(observation: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Q `[N, C]` of actions `[N, A]`, or `[N, M, C]` of actions `[N, M, A]`."""
        if action.shape.rank > observation.shape.rank:
            # What depends on the state alone is computed once for its M actions.
            return values_at(network_, observation)(action)
        q = call_network(network_, (observation, action))[0]
        # A network that gives Q [N] counts as one critic, C = 1.
        return q if q.shape.rank == action.shape.rank else q[..., tf.newaxis]

    return critic


def discriminator_of(network_: network.Network) -> DiscriminatorFunction:
    """Returns f: observations `[N, O]`, actions `[N, A]` → `[N]`; the network may give `[N, 1]`."""

    def discriminator(observation: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """f `[N]` of actions `[N, A]`."""
        f = call_network(network_, (observation, action))[0]
        # Values [N, 1] would broadcast with [N] to [N, N].
        return tf.squeeze(f, axis=-1) if f.shape.rank == action.shape.rank and f.shape[-1] == 1 else f

    return discriminator
