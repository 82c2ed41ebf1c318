"""The Gaussian policy, against which every other is compared."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import gin
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import ActionBox, Squash
from expol_tf.networks.mlp import NormalizedColumns, check_log_std_bounds, make_mlp, vector_size

tfd = tfp.distributions


@gin.configurable(module="expol_tf")
class GaussianActorNetwork(network.Network):
    """u ~ N(μ(s), diag σ²);  a = mid + half·u, or mid + half·tanh(u) if squashed. σ depends on s if asked to.

    `network(observation [B, O]) -> (distribution over [B, A], ())`: a `MultivariateNormalDiag` (exact entropy
    and KL), or its squashed image. Off-policy algorithms take it squashed, with a deviation of the state:

    ```python
    GaussianActorNetwork(
        observation_spec, action_spec, (256, 256), squash=True, activation="relu", state_dependent_std=True
    )
    ```

    References: Schulman et al. 2015, *Trust Region Policy Optimization*, App. D; with σ(s), Haarnoja et al.
    2018, *Soft Actor-Critic Algorithms and Applications*, App. C.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Hidden layers of μ, which σ shares if it depends on the state.
      initial_log_std: Initial log σ of u (about that, if it depends on the state).
      squash: Whether actions are squashed into the box by tanh; otherwise the environment clips them.
      activation: Of the hidden layers.
      state_dependent_std: Whether log σ is an output of μ's network, and no variable of its own.
      log_std_bounds: Range to which a state-dependent log σ is clipped.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[int] = (64, 64),
        initial_log_std: float = 0.0,
        squash: bool = False,
        activation: str = "tanh",
        state_dependent_std: bool = False,
        log_std_bounds: tuple[float, float] = (-20.0, 2.0),
        name: str = "GaussianActorNetwork",
    ) -> None:
        super().__init__(observation_spec, state_spec=(), name=name)
        action_size = vector_size(action_spec, "action_spec")
        self._make_squash = functools.partial(Squash, tensor_spec.from_spec(action_spec)) if squash else None
        middle, half = ActionBox.of(action_spec)
        self._middle = tf.constant(middle, tf.float32)
        self._half = tf.constant(half, tf.float32)
        self._log_std_bounds = check_log_std_bounds(log_std_bounds) if state_dependent_std else None
        self._mean = make_mlp(
            vector_size(observation_spec),
            hidden_units,
            2 * action_size if state_dependent_std else action_size,
            activation,
            output_initializer=NormalizedColumns(0.01),
            name="mean_and_log_std" if state_dependent_std else "mean",
        )
        log_std = tf.fill([action_size], float(initial_log_std))
        # A constant that the network's output adds to, where σ depends on the state.
        self._log_std = log_std if state_dependent_std else tf.Variable(log_std, name="log_std")
        self.create_variables()

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        mean = self._mean(observation)
        if self._log_std_bounds is None:
            std = tf.broadcast_to(tf.exp(self._log_std), tf.shape(mean))
        else:
            mean, log_std = tf.split(mean, 2, axis=-1)
            std = tf.exp(tf.clip_by_value(self._log_std + log_std, *self._log_std_bounds))
        if self._make_squash is not None:
            latent = tfd.MultivariateNormalDiag(mean, std)
            return tfd.TransformedDistribution(latent, self._make_squash()), network_state
        return tfd.MultivariateNormalDiag(self._middle + self._half * mean, self._half * std), network_state
