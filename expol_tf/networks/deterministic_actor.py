"""The deterministic policy."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import Squash, require_squashable
from expol_tf.configurable import configurable
from expol_tf.distributions import PointMass
from expol_tf.networks.mlp import NormalizedColumns, make_mlp, require_vectors, vector_size
from expol_tf.number_types import LayerSize
from expol_tf.text_types import Activation, ModuleName

tfd = tfp.distributions


@configurable
class DeterministicActorNetwork(network.Network):
    """a = mid + half·tanh(μ(s)).

    `network(observation [B, O]) -> (PointMass over [B, A], ())`: every sample is that action, and so is the
    greedy action. There is no density. The algorithm adds exploration noise.

    Reference: Lillicrap et al. 2016, *Continuous Control with Deep Reinforcement Learning*, §7.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Sizes of the hidden layers of μ.
      activation: Keras name of the hidden layers' activation.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[LayerSize] = (256, 256),
        activation: Activation = "relu",
        name: ModuleName = "DeterministicActorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__(observation_spec, state_spec=(), name=name)
        self._box = tensor_spec.from_spec(action_spec)
        # Checked here, as an error within `call` would reach the user through Keras, which hides the reason.
        require_squashable(self._box)
        self._mean = make_mlp(
            vector_size(observation_spec),
            hidden_units,
            vector_size(action_spec, "action_spec"),
            activation,
            # A policy starts in the middle of the box, where the squash does not flatten gradients.
            NormalizedColumns(0.01),
            name="mean",
        )
        self.create_variables()

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        return PointMass(self._mean(observation), Squash(self._box)), network_state
