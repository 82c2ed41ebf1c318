"""The normalizing-flow policy (NFP)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from absl import logging
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import (
    AffineConditioner,
    Squash,
    flow_chain,
    make_transformations,
    require_box,
    require_squashable,
    to_action_units,
)
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks.mlp import make_mlp, require_vectors, vector_size
from expol_tf.number_types import FewOrNone, LayerSize
from expol_tf.text_types import Activation, ModuleName

tfb = tfp.bijectors
tfd = tfp.distributions


@configurable
class FlowActorNetwork(network.Network):
    """u = g_K ∘ … ∘ g_2 ∘ ( L(s) + g_1(ε) ), ε ~ N(0, I); a = mid + half·u, or mid + half·tanh(u) squashed.

    log π(a|s) = log N(ε; 0, I) − Σ_k log|det ∂g_k| − log|det ∂a/∂u|. Each g_k is a pair of affine couplings
    with complementary halves (`expol_tf.bijectors.make_transformations`); L is a network of the observation.
    The initial policy is close to N(0, I) in u, whatever the observation.

    `network(observation [B, O]) -> (TransformedDistribution over [B, A], ())`. Its greedy action is the image
    of the base mode, f(s, 0).

    References: Tang & Agrawal 2018, *Implicit Policy for Reinforcement Learning*, Eq. 5; *Boosting Trust
    Region Policy Optimization by Normalizing Flows Policy*, Eq. 7.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      num_transformations: K; 0 gives the Gaussian u = L(s) + ε.
      hidden_units: Sizes of the hidden layers of L.
      conditioner: Makes the couplings' networks: `functools.partial(AffineConditioner, …)` or your own.
      condition_on_observation: Whether the couplings get the observation too (as in flow policies for SAC).
        With A = 1 there are no couplings: the splines do not get it, and a line says so.
      squash: Whether actions are squashed into the box by tanh; otherwise the environment clips them.
      activation: Keras name of the activation of L's hidden layers; the couplings have their own.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        num_transformations: FewOrNone = 4,
        hidden_units: Sequence[LayerSize] = (64, 64),
        conditioner: Callable[..., AffineConditioner] = AffineConditioner,
        condition_on_observation: bool = False,
        squash: bool = False,
        activation: Activation = "tanh",
        name: ModuleName = "FlowActorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__(observation_spec, state_spec=(), name=name)
        observation_size = vector_size(observation_spec)
        self._action_size = vector_size(action_spec, "action_spec")
        box = tensor_spec.from_spec(action_spec)
        if squash:
            require_squashable(box)
        else:
            require_box(box)
        # A new one for each call: TFP's bijectors cache, and would answer with what old variables gave.
        self._to_action: Callable[[], tfb.Bijector] = lambda: Squash(box) if squash else to_action_units(box)
        if condition_on_observation and self._action_size == 1:
            logging.warning(
                "%s.condition_on_observation is for couplings, which need two action components. The action "
                "has one: the flow is %d splines, the same for every observation, moved by L(s).",
                name,
                num_transformations,
            )
        self._condition_on_observation = condition_on_observation and self._action_size > 1
        self._state_shift = make_mlp(
            observation_size,
            hidden_units,
            self._action_size,
            activation,
            # The first policy is N(0, I), nearly, whatever the observation.
            output_initializer=keras.initializers.RandomUniform(-3e-3, 3e-3),
            name="state_shift",
        )
        self._transformations = make_transformations(
            self._action_size,
            num_transformations,
            conditioner,
            context_size=observation_size if self._condition_on_observation else 0,
        )
        self.create_variables()

    def copy(self, **kwargs: Any) -> FlowActorNetwork:
        """Returns a network with new variables, made with the same arguments except for `kwargs`.

        Raises:
          ConfigurationError: If `conditioner` gave it layers of this network.
        """
        copy = super().copy(**kwargs)
        own = {variable.ref() for variable in self.variables}
        shared = [variable.name for variable in copy.variables if variable.ref() in own]
        if shared:
            raise ConfigurationError(
                f"conditioner must make new layers at each call; a copy would share {shared}. Pass a "
                "function, such as functools.partial(AffineConditioner, …)."
            )
        return copy

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        shift = self._state_shift(observation)
        context = tf.cast(observation, shift.dtype) if self._condition_on_observation else None
        flow = flow_chain(self._transformations, self._action_size, shift, context)
        base = tfd.Independent(tfd.Normal(tf.zeros_like(shift), tf.ones_like(shift)), 1)
        # The squash stays a step of its own, so that `split_squash` can take it off and work with u.
        latent = tfd.TransformedDistribution(base, flow)
        return tfd.TransformedDistribution(latent, self._to_action()), network_state
