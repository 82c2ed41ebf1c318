"""The non-invertible blackbox policy: a network whose weights are noise."""

from __future__ import annotations

import abc
import itertools
import statistics
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import Squash, require_squashable
from expol_tf.configurable import configurable
from expol_tf.distributions import ImplicitDistribution, PointMass
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks.mlp import require_vectors, vector_size
from expol_tf.networks.noisy_dense import NoisyDense
from expol_tf.number_types import Decay, Finite, LayerSize
from expol_tf.text_types import Activation, ModuleName

tfd = tfp.distributions

NOISES = ("per_sample", "per_batch", "per_episode")

_NORM_EPSILON = 1e-3


class EpisodeNetwork(network.Network):
    """An actor network whose noise a collecting policy keeps for a whole episode.

    The policy draws the noise from N(0, I), one vector for each environment, when an episode begins, carries
    it along as its policy state, and acts by `for_episode`. Called as any network, it returns the
    distribution over all such noise, and that is what is trained.
    """

    @property
    @abc.abstractmethod
    def episode_noise_size(self) -> int:
        """W, the number of components of the noise that is kept; 0 for none."""

    @abc.abstractmethod
    def for_episode(self, observation: tf.Tensor, noise: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution over actions `[B, A]` in episodes of this noise.

        Args:
          observation: s `[B, O]`.
          noise: ξ `[B, W]`, one row for each environment.
        """


@configurable
class NoisyActorNetwork(EpisodeNetwork):
    """a = mid + half·tanh(f_θ(s, ξ)): f a network with Gaussian weights and dropout, all of it drawn by ξ.

    `network(observation [B, O]) -> (ImplicitDistribution over [B, A], ())`. Each hidden layer is
    NoisyDense → LayerNorm → activation, and dropout precedes the output layer. Dropout is what makes several
    modes: the output is a sum over a random half of the features. The greedy action is that of the mean
    weights without dropout, the limit of ρ → −∞ and a dropout of 0.

    Weights are drawn

    * "per_sample": anew for each observation and sample, by way of the layers' outputs (`NoisyDense.local`);
    * "per_batch": anew for each sample, but once for all observations of a batch. This is cheaper, and what
      the code released with the paper does. Gradients of a batch are noisier, as all rows share one draw;
    * "per_episode": as "per_sample" in training, but a collecting policy keeps its weights and its mask of
      dropped features for an episode, so that it stays with one mode in all states. See `EpisodeNetwork`.

    Reference: Tang & Agrawal 2018, *Implicit Policy for Reinforcement Learning*, §3.2 and Appendix C.2.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Sizes of the hidden layers, one or more.
      noise: How often weights are drawn: "per_sample", "per_batch" or "per_episode".
      initial_rho: The initial ρ of all weights, whose standard deviation is softplus(ρ); −6 to −4 is useful.
      dropout: The share of the last hidden features that are dropped, 0 for none; up to 0.9 is useful.
      activation: Keras name of the hidden layers' activation.
      layer_norm: Whether hidden layers are normalized before their activation.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[LayerSize] = (64, 64),
        noise: str = "per_sample",
        initial_rho: Finite = -4.0,
        dropout: Decay = 0.5,
        activation: Activation = "relu",
        layer_norm: bool = True,
        name: ModuleName = "NoisyActorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__(observation_spec, state_spec=(), name=name)
        if not hidden_units:
            raise ConfigurationError("hidden_units must name one layer size or more; got ().")
        if noise not in NOISES:
            raise ConfigurationError(f"noise must be one of {NOISES}; got {noise!r}.")
        self._box = tensor_spec.from_spec(action_spec)
        require_squashable(self._box)
        self._noise, self._dropout = noise, dropout
        self._action_size = vector_size(action_spec, "action_spec")
        self._activation = keras.activations.get(activation)
        sizes = [vector_size(observation_spec), *hidden_units, self._action_size]
        self._dense = []
        for index, (inputs, units) in enumerate(itertools.pairwise(sizes)):
            # The output's kernel makes the first policy broad where features are dropped, whatever the sizes.
            is_last = index == len(hidden_units)
            kernel = keras.initializers.LecunNormal() if is_last else keras.initializers.Orthogonal(2.0**0.5)
            # Without a bias, LayerNorm would keep nothing of an observation but its direction.
            limit = inputs**-0.5 if index == 0 and layer_norm else 0.0
            bias = keras.initializers.RandomUniform(-limit, limit)
            layer = NoisyDense(units, initial_rho, kernel, bias, name=f"dense_{index}")
            layer.build([None, inputs])
            self._dense.append(layer)
        self._norms = []
        if layer_norm:
            self._norms = [_LayerNorm(units, f"norm_{index}") for index, units in enumerate(hidden_units)]
        self._mask_size = hidden_units[-1] if dropout > 0 else 0
        # Features are kept where ξ is above this, with the probability 1 − dropout.
        self._threshold = statistics.NormalDist().inv_cdf(dropout) if dropout > 0 else 0.0
        self._num_outputs = [layer.num_outputs for layer in self._dense]
        self._num_weights = [layer.num_weights for layer in self._dense]
        self.create_variables()

    @property
    def episode_noise_size(self) -> int:
        """W, the number of weights and of features that may be dropped; 0 if not "per_episode"."""
        return self._mask_size + sum(self._num_weights) if self._noise == "per_episode" else 0

    def for_episode(self, observation: tf.Tensor, noise: tf.Tensor) -> tfd.Distribution:
        """Returns a point mass at the actions `[B, A]` of observations `[B, O]` under noise `[B, W]`."""
        return PointMass(self._with_weights(observation, noise), Squash(self._box))

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        shared = self._noise == "per_batch"
        distribution = ImplicitDistribution(
            self._with_weights if shared else self._locally,
            observation,
            self._mask_size + sum(self._num_weights if shared else self._num_outputs),
            self._action_size,
            bijector=Squash(self._box),
            centre=self._without_noise,
            shared_noise=shared,
        )
        return distribution, network_state

    def _without_noise(self, observation: tf.Tensor) -> tf.Tensor:
        """u `[..., A]` of the mean weights, without dropout."""
        return self._forward(observation, lambda index, x: self._dense[index](x))

    def _locally(self, observation: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """u `[*S, ..., A]` of observations `[..., O]` and noise for the outputs of all layers."""
        mask, *parts = tf.split(noise, [self._mask_size, *self._num_outputs], axis=-1)
        return self._forward(observation, lambda index, x: self._dense[index].local(x, parts[index]), mask)

    def _with_weights(self, observation: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """u `[*S, ..., A]` of observations `[..., O]` and noise for all weights."""
        mask, *parts = tf.split(noise, [self._mask_size, *self._num_weights], axis=-1)
        return self._forward(
            observation, lambda index, x: self._dense[index].with_weights(x, parts[index]), mask
        )

    def _forward(
        self, x: tf.Tensor, dense: Callable[[int, tf.Tensor], tf.Tensor], mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """u of inputs x, with layers `dense(index, x)` and, under a mask, dropout before the last."""
        last = len(self._dense) - 1
        for index in range(last):
            x = dense(index, x)
            if self._norms:
                x = self._norms[index](x)
            x = self._activation(x)
        if mask is not None and self._mask_size:
            # Divided by the share that is kept, so that the sum over features keeps its mean.
            x *= tf.cast(mask > self._threshold, x.dtype) / (1.0 - self._dropout)
        return dense(last, x)


class _LayerNorm(keras.layers.Layer):
    """g·(x − mean x)/√(var x + ε) + o over the last axis."""

    # On a CPU, the layer of Keras takes several times as long.

    def __init__(self, units: int, name: str) -> None:
        super().__init__(name=name)
        self._gain = self.add_weight("gain", [units], initializer="ones")
        self._offset = self.add_weight("offset", [units], initializer="zeros")
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the normalized x, of the same shape."""
        x -= tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(x), axis=-1, keepdims=True)
        return x * tf.math.rsqrt(variance + _NORM_EPSILON) * self._gain + self._offset
