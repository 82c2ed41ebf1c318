"""A policy that learns nothing, from which the particles of a Stein policy can start."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import Squash, require_squashable
from expol_tf.configurable import configurable
from expol_tf.networks.mlp import require_vectors, vector_size
from expol_tf.number_types import Positive
from expol_tf.text_types import ModuleName

tfd = tfp.distributions


@configurable
class FixedGaussianActorNetwork(network.Network):
    """u ~ N(0, v·I);  a = mid + half·tanh(u), whatever the observation. It has no variables.

    `network(observation [B, O]) -> (distribution over [B, A], ())`, the squashed image of a
    `MultivariateNormalDiag`. A `SteinActorNetwork` with it learns nothing but its critic, S²AC(φ).

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    Tables 3 and 4.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      variance: v, the variance of u.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        variance: Positive = 0.5,
        name: ModuleName = "FixedGaussianActorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__(observation_spec, state_spec=(), name=name)
        vector_size(observation_spec)
        self._action_size = vector_size(action_spec, "action_spec")
        self._std = float(variance) ** 0.5
        self._box = tensor_spec.from_spec(action_spec)
        require_squashable(self._box)
        self.create_variables()

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        mean = tf.zeros(tf.stack([tf.shape(observation)[0], self._action_size]))
        # The shape of a batch of unknown size is lost in tf.stack.
        mean = tf.ensure_shape(mean, [observation.shape[0], self._action_size])
        latent = tfd.MultivariateNormalDiag(mean, tf.fill(tf.shape(mean), self._std))
        return tfd.TransformedDistribution(latent, Squash(self._box)), network_state
