"""The Gaussian policy, against which every other is compared."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import ActionBox, Squash
from expol_tf.configurable import configurable
from expol_tf.networks.log_std import LogStd
from expol_tf.networks.mlp import NormalizedColumns, make_mlp, require_vectors, vector_size
from expol_tf.number_types import LayerSize
from expol_tf.text_types import Activation, ModuleName

tfd = tfp.distributions


@configurable
class GaussianActorNetwork(network.Network):
    """u ~ N(μ(s), diag σ²);  a = mid + half·u, or mid + half·tanh(u) if squashed.

    `network(observation [B, O]) -> (distribution over [B, A], ())`: a `MultivariateNormalDiag` (exact entropy
    and KL), or its squashed image. Off-policy algorithms take it squashed, with a σ that depends on s:

    ```python
    log_std = LogStd(state_dependent=True)
    GaussianActorNetwork(
        observation_spec, action_spec, (256, 256), log_std=log_std, squash=True, activation="relu"
    )
    ```

    References: Schulman et al. 2015, *Trust Region Policy Optimization*, App. D; with σ(s), Haarnoja et al.
    2018, *Soft Actor-Critic Algorithms and Applications*, App. C.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      hidden_units: Sizes of the hidden layers of μ, which σ shares if it depends on the state.
      log_std: How log σ is learned; `LogStd()` by default.
      squash: Whether actions are squashed into the box by tanh; otherwise the environment clips them.
      activation: Keras name of the hidden layers' activation.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        hidden_units: Sequence[LayerSize] = (64, 64),
        log_std: LogStd | None = None,
        squash: bool = False,
        activation: Activation = "tanh",
        name: ModuleName = "GaussianActorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__(observation_spec, state_spec=(), name=name)
        action_size = vector_size(action_spec, "action_spec")
        # Made anew at each call: a bijector that is kept answers from its cache, also after the
        # variables moved.
        self._make_squash = functools.partial(Squash, tensor_spec.from_spec(action_spec)) if squash else None
        middle, half = ActionBox.of(action_spec)
        self._middle = tf.constant(middle, tf.float32)
        self._half = tf.constant(half, tf.float32)
        self._deviation = LogStd() if log_std is None else log_std
        self._mean = make_mlp(
            vector_size(observation_spec),
            hidden_units,
            self._deviation.num_outputs(action_size),
            activation,
            # The last layer is small, so that the first policy is nearly centred at every observation.
            output_initializer=NormalizedColumns(0.01),
            name="mean_and_log_std" if self._deviation.state_dependent else "mean",
        )
        self._log_std = self._deviation.make([action_size])
        self.create_variables()

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        mean, std = self._deviation.mean_and_std(self._mean(observation), self._log_std)
        if self._make_squash is not None:
            latent = tfd.MultivariateNormalDiag(mean, std)
            return tfd.TransformedDistribution(latent, self._make_squash()), network_state
        # Scaled parameters, not a Scale bijector: a MultivariateNormalDiag has an exact entropy and KL.
        return tfd.MultivariateNormalDiag(self._middle + self._half * mean, self._half * std), network_state
