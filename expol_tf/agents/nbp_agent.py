"""The non-invertible blackbox policy off policy, its entropy by a classifier."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import Acting
from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.critic_fit import CriticFit
from expol_tf.agents.density_ratio_improvement import DensityRatioImprovement
from expol_tf.agents.improvements import PolicyImprovement
from expol_tf.agents.policy_agent import AgentDefaults
from expol_tf.agents.settings import with_defaults
from expol_tf.agents.soft_values import DeterministicValue, SoftValue
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.agents.variants import Variant
from expol_tf.networks import CriticNetwork, NoisyActorNetwork, ObservationNormalizer
from expol_tf.renamed import answers_renamed


@gin.configurable(module="expol_tf")
@answers_renamed
class NbpAgent(ActorCriticAgent):
    """NBP: y = r + γ·discount·Q̄(s′, π̄(s′));  maximizes E[ Q(s, a) − β·c(s, a) ], a ~ π(·|s).

    The policy is any network that turns noise into actions, without density. Its entropy is known by a
    classifier c between its actions and uniform ones, H = −E[c] + log|A|, so that β is a temperature. With
    β = 0 nothing asks for the entropy, no classifier is trained, and this is DDPG whose policy has its own
    noise. A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. `docs/nbp.md` has the
    details and the metrics.

    Reference: Tang & Agrawal, *Implicit Policy for Reinforcement Learning*, Algorithm 1, corrected as
    `docs/errata.md` tells.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`: `NoisyActorNetwork` usually, or any
        policy whose samples gradients flow through; with β > 0, one that stays in the box.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`; one critic (C = 1) as published.
      observation_normalizer: Shared by all networks, or None.
      soft_value: V; `DeterministicValue()` by default.
      improvement: The policy's improvement, with its classifier; `DensityRatioImprovement()` by default.
      temperature: β; `FixedTemperature(0.0)` by default, or a `ScheduledTemperature`.
      critic_fit: Discount, critics' optimizer and targets; `CriticFit()` with `Adam(3e-4)`,
        `TargetUpdate(0.005)` and a target policy by default.
      acting: Exploration, seed and compilation; `Acting()` by default, without exploration, as the policy has
        its own noise.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = ActorCriticAgent.defaults._replace(
        actor_network=NoisyActorNetwork,
        values_network=functools.partial(CriticNetwork, hidden_units=(64, 64), num_critics=1),
    )

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        critic_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        *,
        soft_value: SoftValue | None = None,
        improvement: PolicyImprovement | None = None,
        temperature: Temperature | None = None,
        critic_fit: CriticFit | None = None,
        acting: Acting | None = None,
        train_step_counter: tf.Variable | None = None,
    ) -> None:
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            critic_network,
            observation_normalizer,
            soft_value=soft_value or DeterministicValue(),
            improvement=improvement or DensityRatioImprovement(),
            temperature=temperature or FixedTemperature(0.0),
            critic_fit=with_defaults(critic_fit or CriticFit(), target_actor=True),
            acting=acting,
            train_step_counter=train_step_counter,
        )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which NBP may take a policy."""
        value, improvement, fit = (
            DeterministicValue(),
            DensityRatioImprovement(),
            CriticFit(target_actor=True),
        )
        return (
            Variant("", value, improvement, FixedTemperature(1.0), fit),
            Variant("with temperature 0", value, improvement, FixedTemperature(0.0), fit),
        )
