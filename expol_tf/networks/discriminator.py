"""The network that tells the policy's actions from others."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import ActionBox
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks.mlp import built_layers, require_vectors, vector_size
from expol_tf.networks.spectral import SpectralDense
from expol_tf.number_types import LayerSize
from expol_tf.text_types import Activation, ModuleName

# Activations whose slope is 1 at most.
LIPSCHITZ_ACTIVATIONS = ("elu", "leaky_relu", "linear", "relu", "sigmoid", "softplus", "softsign", "tanh")


@configurable
class DiscriminatorNetwork(network.Network):
    """f(s, a): `network((observation [N, O], action [N, A])) -> (f [N], ())`, large on the policy's actions.

    Its inputs are the observation and the action scaled to [−1, 1]. The divergence that trains it defines
    what its values mean (`expol_tf.objectives.jsd`, for example).

    With spectral normalization every kernel is divided by its largest singular value, so that f is
    1-Lipschitz in observation and scaled action together. Singular values come from power iteration, whose
    vectors are non-trainable variables. They are exact at the start, and follow the kernels when
    `update_spectral_norms()` is called, which must be done before each training step.

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), §3.4 and Table 5, corrected as
    `docs/errata.md` says: one output; Miyato et al. 2018, *Spectral Normalization for Generative Adversarial
    Networks*.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Sizes of the hidden layers.
      activation: Keras name of the hidden layers' activation.
      spectral_normalization: Whether kernels are normalized, so that f is 1-Lipschitz.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[LayerSize] = (256, 256),
        activation: Activation = "relu",
        spectral_normalization: bool = False,
        name: ModuleName = "DiscriminatorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__((observation_spec, action_spec), state_spec=(), name=name)
        if spectral_normalization and activation not in LIPSCHITZ_ACTIVATIONS:
            raise ConfigurationError(
                "activation must have no slope above 1 for spectral normalization to bound f's, one of "
                f"{LIPSCHITZ_ACTIVATIONS}; got {activation!r}."
            )
        inputs = vector_size(observation_spec) + vector_size(action_spec, "action_spec")
        middle, half = ActionBox.of(tensor_spec.from_spec(action_spec))
        self._middle = tf.constant(middle, tf.float32)
        self._half = tf.constant(half, tf.float32)
        make_layer = SpectralDense if spectral_normalization else keras.layers.Dense
        self._spectral_normalization = spectral_normalization
        self._dense = built_layers(hidden_units, activation, inputs, make_layer)
        self.create_variables()

    def call(
        self,
        inputs: tuple[tf.Tensor, tf.Tensor],
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple]:
        """Returns (f `[N]`, `()`) for observations `[N, O]` and actions `[N, A]`."""
        observation, action = inputs
        scaled = (tf.cast(action, tf.float32) - self._middle) / self._half
        hidden = tf.concat([tf.cast(observation, tf.float32), scaled], axis=-1)
        for layer in self._dense:
            hidden = layer(hidden)
        return tf.squeeze(hidden, axis=-1), network_state

    @property
    def spectral_normalization(self) -> bool:
        """Whether kernels are normalized, so that f is 1-Lipschitz."""
        return self._spectral_normalization

    def update_spectral_norms(self, num_iterations: int = 1) -> None:
        """Moves the singular vectors after the kernels; does nothing without spectral normalization.

        Call it outside of replicas. One iteration is enough before a training step; after an assignment of
        entirely different kernels it takes some hundreds.

        Args:
          num_iterations: Number of iterations of the power method.
        """
        if self._spectral_normalization:
            for layer in self._dense:
                layer.update(num_iterations)
