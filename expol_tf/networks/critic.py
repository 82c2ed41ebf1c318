"""Action values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import ActionBox
from expol_tf.configurable import configurable
from expol_tf.networks.calls import call_network
from expol_tf.networks.mlp import built_layers, require_vectors, vector_size
from expol_tf.number_types import Few, LayerSize
from expol_tf.text_types import Activation, ModuleName


@configurable
class CriticNetwork(network.Network):
    """Q_1, …, Q_C: `network((observation [N, O], action [N, A])) -> (Q [N, C], ())`, C independent networks.

    Their inputs are the observation and the action scaled to [−1, 1]. Actions may be `[N, M, A]`, M for each
    state, which gives Q `[N, M, C]`: the first layer's product with the state is then computed once, not M
    times.

    Reference: Fujimoto et al. 2018, *Addressing Function Approximation Error in Actor-Critic Methods*, for
    C = 2 with the minimum of both as the target.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Sizes of the hidden layers of each critic.
      num_critics: C, the number of critics.
      activation: Keras name of the hidden layers' activation; a smooth one ("elu") for an algorithm that
        differentiates ∇_a Q, which of ReLUs is constant almost everywhere.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[LayerSize] = (256, 256),
        num_critics: Few = 2,
        activation: Activation = "relu",
        name: ModuleName = "CriticNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__((observation_spec, action_spec), state_spec=(), name=name)
        self._observation_size = vector_size(observation_spec)
        action_size = vector_size(action_spec, "action_spec")
        middle, half = ActionBox.of(tensor_spec.from_spec(action_spec))
        self._middle = tf.constant(middle, tf.float32)
        self._half = tf.constant(half, tf.float32)
        inputs = self._observation_size + action_size
        self._critics = [built_layers(hidden_units, activation, inputs) for _ in range(num_critics)]
        self.create_variables()

    def call(
        self,
        inputs: tuple[tf.Tensor, tf.Tensor],
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple]:
        """Returns (Q `[N, C]`, `()`) of actions `[N, A]`, or (Q `[N, M, C]`, `()`) of actions `[N, M, A]`."""
        observation, action = inputs
        if action.shape.rank > observation.shape.rank:
            return self.at(observation)(action), network_state
        observation = tf.cast(observation, tf.float32)
        inputs = tf.concat([observation, self._scaled(action)], axis=-1)
        values = []
        for layers in self._critics:
            hidden = inputs
            for layer in layers:
                hidden = layer(hidden)
            values.append(hidden)
        return tf.concat(values, axis=-1), network_state

    def at(self, observation: tf.Tensor, num_critics: int | None = None) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns Q at states as a function of their actions: `[N, M, A]` -> `[N, M, C]`.

        The first layers' products with the states are computed once, however often the function is called.

        Args:
          observation: s `[N, O]`.
          num_critics: C, how many critics to evaluate, from the first on; None for all.
        """
        # W·[s, a] = W_s·s + W_a·a: the first product is common to the M actions of a state.
        observation = tf.cast(observation, tf.float32)
        size = self._observation_size
        critics = self._critics[:num_critics]
        of_state = [tf.matmul(observation, first.kernel[:size]) + first.bias for first, *_ in critics]

        def _values(action: tf.Tensor) -> tf.Tensor:
            """Q `[N, M, C]` of actions `[N, M, A]` at the states."""
            action = self._scaled(action)
            particles, action_size = _num_particles(action), action.shape[-1]
            # All actions in one matrix: products of tensors of three dimensions are slower.
            flat = tf.reshape(action, [-1, action_size])
            values = []
            for (first, *rest), features in zip(critics, of_state, strict=True):
                of_action = tf.matmul(flat, first.kernel[size:])
                units = of_action.shape[-1]
                hidden = features[:, tf.newaxis] + tf.reshape(of_action, [-1, particles, units])
                hidden = tf.reshape(first.activation(hidden), [-1, units])
                for layer in rest:
                    hidden = layer(hidden)
                values.append(tf.reshape(hidden, [-1, particles, 1]))
            return tf.concat(values, axis=-1)

        return _values

    def _scaled(self, action: tf.Tensor) -> tf.Tensor:
        return (tf.cast(action, tf.float32) - self._middle) / self._half


def values_at(
    critic_network: network.Network, observation: tf.Tensor, num_critics: int | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns Q of any critic network as a function of states' actions: `[N, M, A]` -> `[N, M, C]`.

    Args:
      critic_network: A `CriticNetwork`, or `network((observation, action)) -> (Q [N] or [N, C], state)`,
        which is then called with N·M rows.
      observation: s `[N, O]`.
      num_critics: C, how many critics to evaluate, from the first on; None for all.
    """
    if isinstance(critic_network, CriticNetwork):
        return critic_network.at(observation, num_critics)

    def _values(action: tf.Tensor) -> tf.Tensor:
        """Q `[N, M, C]` of actions `[N, M, A]`, from N·M rows."""
        particles, size = _num_particles(action), action.shape[-1]
        rows = (tf.repeat(observation, particles, axis=0), tf.reshape(action, [-1, size]))
        q = call_network(critic_network, rows)[0]
        q = tf.reshape(q, [-1, particles, 1 if q.shape.rank == 1 else q.shape[-1]])
        return q[..., :num_critics]

    return _values


def _num_particles(action: tf.Tensor) -> int | tf.Tensor:
    """Returns M of actions `[N, M, A]`."""
    return tf.shape(action)[-2] if action.shape[-2] is None else action.shape[-2]


@configurable
class CriticEnsemble(network.Network):
    """C independent copies of a TF-Agents critic network: `network((observation, action)) -> (Q [N, C], ())`.

    It makes twin critics of a network of your own, which gives Q `[N]` or `[N, 1]`. Copies are made by its
    `copy()`, with variables of their own.

    Args:
      critic_network: `network((observation, action)) -> (Q, state)`.
      num_critics: C, the number of copies.
    """

    def __init__(
        self, critic_network: network.Network, num_critics: Few = 2, name: ModuleName = "CriticEnsemble"
    ) -> None:
        super().__init__(critic_network.input_tensor_spec, state_spec=(), name=name)
        self._networks = [critic_network.copy(name=f"{critic_network.name}_{i}") for i in range(num_critics)]
        # Built now, before optimizers and target networks ask for the variables.
        for critic in self._networks:
            critic.create_variables()
        self.create_variables()

    def call(
        self,
        inputs: tuple[tf.Tensor, tf.Tensor],
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple]:
        """Returns (Q `[N, C]`, `()`) of observations `[N, O]` and actions `[N, A]`."""
        values = [critic(inputs, training=training)[0] for critic in self._networks]
        return tf.concat([tf.reshape(value, [-1, 1]) for value in values], axis=-1), network_state
