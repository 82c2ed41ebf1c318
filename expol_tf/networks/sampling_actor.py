"""The implicit policy: a network that turns noise into actions."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import Squash
from expol_tf.distributions import ImplicitDistribution
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks.mlp import make_mlp, vector_size

tfd = tfp.distributions


@gin.configurable(module="expol_tf")
class SamplingActorNetwork(network.Network):
    """a = mid + half·tanh(f(s, ξ)), ξ ~ N(0, I): draws from any distribution, knows no density.

    `network(observation [B, O]) -> (ImplicitDistribution over [B, A], ())`. Its greedy action is f(s, 0). The
    observation's part of the first layer is computed once, however many actions are drawn for it.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, §3.2.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Hidden layers, one or more.
      activation: Of the hidden layers.
      noise_size: Components of ξ; None for A.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[int] = (200, 200),
        activation: str = "relu",
        noise_size: int | None = None,
        name: str = "SamplingActorNetwork",
    ) -> None:
        super().__init__(observation_spec, state_spec=(), name=name)
        if not hidden_units:
            raise ConfigurationError("hidden_units must name one hidden layer or more; got none.")
        self._box = tensor_spec.from_spec(action_spec)
        self._action_size = vector_size(action_spec, "action_spec")
        self._noise_size = self._action_size if noise_size is None else noise_size
        if self._noise_size < 1:
            raise ConfigurationError(f"noise_size must be 1 or more, or None for A; got {noise_size}.")
        first, *rest = hidden_units
        # Observation and noise, whatever their sizes, move the hidden units alike: the first policy is broad.
        initializer = keras.initializers.LecunNormal
        self._observation_layer = keras.layers.Dense(
            first, kernel_initializer=initializer(), name="observation"
        )
        self._observation_layer.build([None, vector_size(observation_spec)])
        self._noise_layer = keras.layers.Dense(
            first, use_bias=False, kernel_initializer=initializer(), name="noise"
        )
        self._noise_layer.build([None, self._noise_size])
        self._activation = keras.activations.get(activation)
        self._rest = make_mlp(first, rest, self._action_size, activation, name="rest")
        self.create_variables()

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        features = self._observation_layer(observation)
        distribution = ImplicitDistribution(
            self._latent, features, self._noise_size, self._action_size, bijector=Squash(self._box)
        )
        return distribution, network_state

    def _latent(self, features, noise):
        """u `[*S, B, A]` of features `[B, H]` and noise `[*S, B, noise_size]`."""
        return self._rest(self._activation(features + self._noise_layer(noise)))
