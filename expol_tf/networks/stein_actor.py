"""The Stein policy: particles from a Gaussian, moved by SVGD toward where the critic is high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.configurable import configurable
from expol_tf.distributions import SteinDistribution, SteinSampler, split_squash
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks.calls import call_network
from expol_tf.networks.critic import values_at
from expol_tf.objectives import reduce_critics, require_reduction
from expol_tf.text_types import ModuleName

tfd = tfp.distributions


@runtime_checkable
class HasValue(Protocol):
    """A temperature, whose value may depend on variables."""

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """The variables that α depends on."""

    def value(self) -> tf.Tensor:
        """Returns α, scalar."""


@configurable
class SteinActorNetwork(network.Network):
    """u⁰ ~ N(μ_θ(s), diag σ_θ²(s)), moved by SVGD toward ∝ exp(ℓ/α);  a = squash(u^L).

    ℓ(u) = Q(s, squash(u)) + α Σ log(1 − tanh² u) makes exp(ℓ/α) the density of u where exp(Q/α) is that of a.
    `network(observation [B, O]) -> (SteinDistribution over [B, A], ())`. μ, σ and the critic's first product
    with the state are computed once per state.

    Only the initial Gaussian is trained by the policy's loss. The critic, which steers the particles, and the
    temperature are trained elsewhere. A policy improvement that differentiates samples reaches θ through all
    steps and through the second derivative of Q, so the critic should be smooth
    (`CriticNetwork(activation="elu")`). With 0 steps this is the policy of the initial network.

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    §3.1.

    Args:
      initial_network: `network(observation) -> (squashed Gaussian, state)`: a `GaussianActorNetwork` with
        `squash=True`, learned with the policy, or a `FixedGaussianActorNetwork`.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`.
      temperature: α, for example a `FixedTemperature`.
      sampler: How particles are drawn and moved; `SteinSampler()` by default.
      score_reduction: How the values of the critics make Q in ℓ: "first", which evaluates one critic and so
        takes half the work; "min"; or "mean".
    """

    def __init__(
        self,
        initial_network: network.Network,
        critic_network: network.Network,
        temperature: HasValue,
        sampler: SteinSampler | None = None,
        score_reduction: str = "first",
        name: ModuleName = "SteinActorNetwork",
    ) -> None:
        super().__init__(initial_network.input_tensor_spec, state_spec=(), name=name)
        require_reduction("score_reduction", score_reduction)
        self._initial_network = initial_network
        self._critic_network = critic_network
        self._temperature = temperature
        self._sampler = SteinSampler() if sampler is None else sampler
        self._score_reduction = score_reduction
        self.create_variables()

    @property
    def initial_network(self) -> network.Network:
        """The network of μ and σ."""
        return self._initial_network

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """θ, the weights of the initial network."""
        # The network holds the critic too, which the policy's optimizer must not move.
        return self._initial_network.trainable_weights

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """The variables of the critic and the temperature, which the policy depends on and others train."""
        others = [*self._critic_network.weights, *self._temperature.variables]
        return [*self._initial_network.non_trainable_weights, *others]

    def copy(self, **kwargs: Any) -> network.Network:
        """Raises a `ConfigurationError` always, since a copy would share the critic."""
        raise ConfigurationError(
            "SteinActorNetwork.copy: a copy would be steered by the same critic. Make another from copies of "
            "the initial and the critic network."
        )

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        initial, squash = split_squash(call_network(self._initial_network, observation)[0])
        if squash is None or not isinstance(initial, tfd.MultivariateNormalDiag):
            raise CapabilityError(
                "initial_network: must give a squashed Gaussian, whose particles are moved before the "
                f"squash; {type(self._initial_network).__name__} does not. Use GaussianActorNetwork with "
                "squash=True, or FixedGaussianActorNetwork."
            )
        all_critics = values_at(self._critic_network, observation)
        scoring = all_critics
        if self._score_reduction == "first":
            scoring = values_at(self._critic_network, observation, num_critics=1)

        def _score(u: tf.Tensor) -> tf.Tensor:
            """∇ℓ(u) `[B, R, A]` of particles `[B, R, A]`."""
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(u)
                q = reduce_critics(scoring(squash.forward(u)), self._score_reduction)
            # ∇ log(1 − tanh² u) = −2·tanh u in closed form: differentiating the logarithm would divide by
            # 1 − tanh² u, which is 0 in float32 from |u| ≈ 9 on.
            return tape.gradient(q, u) - 2.0 * self._temperature.value() * tf.tanh(u)

        def _value(u: tf.Tensor) -> tf.Tensor:
            """Q(s, squash(u)) `[B, R]` of particles `[B, R, A]`, the least of all critics."""
            return reduce_critics(all_critics(squash.forward(u)))

        distribution = SteinDistribution(
            initial, _score, self._sampler, self._temperature.value, _value, squash
        )
        return distribution, network_state
