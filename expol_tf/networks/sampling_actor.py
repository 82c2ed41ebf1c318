"""The implicit policy: a network that turns noise into actions."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import Squash, require_squashable
from expol_tf.configurable import configurable
from expol_tf.distributions import ImplicitDistribution
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks.mlp import make_mlp, require_vectors, vector_size
from expol_tf.number_types import Count, LayerSize
from expol_tf.text_types import Activation, ModuleName

tfd = tfp.distributions


@configurable
class SamplingActorNetwork(network.Network):
    """a = mid + half·tanh(f(s, ξ)), ξ ~ N(0, I), which can have any distribution and has no density.

    `network(observation [B, O]) -> (ImplicitDistribution over [B, A], ())`. The greedy action is f(s, 0). The
    first layer's product with the observation is computed once, however many actions are drawn for it.

    With `num_noises`, ξ takes only that many fixed values. They are drawn from N(0, I) when the network is
    made, except that the first is 0. `restrict_noise` then narrows the choice, so that fine-tuning at a
    falling temperature can end in a deterministic policy, the greedy one.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, §3.2.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Sizes of the hidden layers, one or more.
      activation: Keras name of the hidden layers' activation.
      noise_size: Number of components of ξ; None for A.
      num_noises: Number of fixed values that ξ takes; None for any value.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[LayerSize] = (200, 200),
        activation: Activation = "relu",
        noise_size: Count | None = None,
        num_noises: Count | None = None,
        name: ModuleName = "SamplingActorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__(observation_spec, state_spec=(), name=name)
        if not hidden_units:
            raise ConfigurationError("hidden_units must name one hidden layer or more; got none.")
        self._box = tensor_spec.from_spec(action_spec)
        require_squashable(self._box)
        self._action_size = vector_size(action_spec, "action_spec")
        self._noise_size = self._action_size if noise_size is None else noise_size
        first, *rest = hidden_units
        # The first policy is broad: observation and noise change hidden units alike, whatever their sizes.
        initializer = keras.initializers.LecunNormal
        self._observation_layer = keras.layers.Dense(
            first, kernel_initializer=initializer(), name="observation"
        )
        self._observation_layer.build([None, vector_size(observation_spec)])
        # No second bias: the products are added.
        self._noise_layer = keras.layers.Dense(
            first, use_bias=False, kernel_initializer=initializer(), name="noise"
        )
        self._noise_layer.build([None, self._noise_size])
        self._activation = keras.activations.get(activation)
        self._rest = make_mlp(first, rest, self._action_size, activation, name="rest")
        self._noises = None
        if num_noises is not None:
            # Variables, as checkpoints restore them, and both floating, as target networks average them.
            noises = tf.random.normal([num_noises - 1, self._noise_size])
            # The first value is 0, so that a choice of one value is the greedy action.
            noises = tf.concat([tf.zeros([1, self._noise_size]), noises], axis=0)
            self._noises = tf.Variable(noises, trainable=False, name="noises")
            self._num_noises = tf.Variable(float(num_noises), trainable=False, name="num_noises")
        self.create_variables()

    def restrict_noise(self, num_noises: int | tf.Tensor) -> None:
        """Restricts ξ to the first `num_noises` of its fixed values from now on.

        Args:
          num_noises: 1 or more, at most as many as the network was made with.

        Raises:
          ConfigurationError: If the network was made without `num_noises`.
        """
        if self._noises is None:
            raise ConfigurationError(
                "restrict_noise: this network's noise takes any value. Make it with num_noises=…, of which "
                "there can then be fewer."
            )
        self._num_noises.assign(
            tf.clip_by_value(tf.cast(num_noises, tf.float32), 1.0, float(self._noises.shape[0]))
        )

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        features = self._observation_layer(observation)
        noises = self._noises
        if noises is not None:
            noises = noises[: tf.cast(self._num_noises, tf.int32)]
        distribution = ImplicitDistribution(
            self._latent, features, self._noise_size, self._action_size, noises, Squash(self._box)
        )
        return distribution, network_state

    def _latent(self, features: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Returns u `[*S, B, A]` of features `[B, H]` and noise `[*S, B, noise_size]`."""
        return self._rest(self._activation(features + self._noise_layer(noise)))
