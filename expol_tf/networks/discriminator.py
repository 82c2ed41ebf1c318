"""Telling the policy's actions from others."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import ActionBox
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks.mlp import vector_size
from expol_tf.networks.spectral import SpectralDense

# Activations of slope 1 at most.
LIPSCHITZ_ACTIVATIONS = ("elu", "leaky_relu", "linear", "relu", "sigmoid", "softplus", "softsign", "tanh")


@gin.configurable(module="expol_tf")
class DiscriminatorNetwork(network.Network):
    """f(s, a): `network((observation [N, O], action [N, A])) -> (f [N], ())`, large on the policy's actions.

    It sees the observation and the action scaled to [−1, 1]. What its values mean, the matching that trains
    it says (`expol_tf.objectives.jsd` and the like).

    With spectral normalization every kernel is divided by its largest singular value, so that f is
    1-Lipschitz in (observation, scaled action), together: a state's f is also smooth in the state. Singular
    values come from power iteration, whose vectors are non-trainable variables, exact at the start. They
    follow the kernels only when told, by `update_spectral_norms()` before each training step.

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), §3.4 and Table 5, corrected as
    `docs/errata.md` says: one output; Miyato et al. 2018, *Spectral Normalization for Generative Adversarial
    Networks*.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Hidden layers.
      activation: Of the hidden layers.
      spectral_normalization: Whether f is 1-Lipschitz.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[int] = (256, 256),
        activation: str = "relu",
        spectral_normalization: bool = False,
        name: str = "DiscriminatorNetwork",
    ) -> None:
        super().__init__((observation_spec, action_spec), state_spec=(), name=name)
        if not hidden_units or any(units < 1 for units in hidden_units):
            raise ConfigurationError(
                f"hidden_units must be one or more positive layer sizes; got {tuple(hidden_units)}."
            )
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
        self._dense = [make_layer(units, activation) for units in hidden_units] + [make_layer(1)]
        for layer in self._dense:
            layer.build([None, inputs])
            inputs = layer.units
        self.create_variables()

    def call(
        self,
        inputs: tuple[tf.Tensor, tf.Tensor],
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple]:
        observation, action = inputs
        scaled = (tf.cast(action, tf.float32) - self._middle) / self._half
        hidden = tf.concat([tf.cast(observation, tf.float32), scaled], axis=-1)
        for layer in self._dense:
            hidden = layer(hidden)
        return tf.squeeze(hidden, axis=-1), network_state

    @property
    def spectral_normalization(self) -> bool:
        """Whether f is 1-Lipschitz by its layers."""
        return self._spectral_normalization

    def update_spectral_norms(self, num_iterations: int = 1) -> None:
        """Lets the singular vectors follow the kernels; does nothing without spectral normalization.

        To be called outside of replicas. One iteration a training step is enough; after assigning other
        kernels altogether, some hundreds.

        Args:
          num_iterations: Of the power method.
        """
        if self._spectral_normalization:
            for layer in self._dense:
                layer.update(num_iterations)
