"""State values."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.typing import types

from expol_tf.configurable import configurable
from expol_tf.networks.mlp import make_mlp, vector_size
from expol_tf.number_types import LayerSize
from expol_tf.text_types import ModuleName


@configurable
class ValueNetwork(network.Network):
    """V(s): `network(observation [B, O]) -> (V [B], ())`, a tanh network of the observation alone.

    Args:
      observation_spec: A float vector `[O]`.
      hidden_units: Sizes of the hidden layers, which have tanh.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        hidden_units: Sequence[LayerSize] = (64, 64),
        name: ModuleName = "ValueNetwork",
    ) -> None:
        size = vector_size(observation_spec)  # TF-Agents fails at what is no spec.
        super().__init__(observation_spec, state_spec=(), name=name)
        self._value = make_mlp(size, hidden_units, 1, name="value")
        self.create_variables()

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple]:
        """Returns (V `[B]`, `()`) for observations `[B, O]`."""
        return tf.squeeze(self._value(observation), axis=-1), network_state
