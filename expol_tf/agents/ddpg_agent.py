"""Deep deterministic policy gradient: the limit of soft Q-learning without temperature."""

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
from expol_tf.agents.exploration import OrnsteinUhlenbeckNoise
from expol_tf.agents.improvements import DeterministicImprovement, PolicyImprovement
from expol_tf.agents.policy_agent import AgentDefaults
from expol_tf.agents.settings import with_defaults
from expol_tf.agents.soft_values import DeterministicValue, SoftValue
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.agents.variants import Variant
from expol_tf.networks import CriticNetwork, DeterministicActorNetwork, ObservationNormalizer
from expol_tf.renamed import answers_renamed


@gin.configurable(module="expol_tf")
@answers_renamed
class DdpgAgent(ActorCriticAgent):
    """DDPG: y = r + γ·discount·Q̄(s′, μ̄(s′));  maximizes E[Q(s, μ(s))], acts by μ(s) + noise.

    A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. `docs/ddpg.md` has the details
    and the metrics.

    Reference: Lillicrap et al. 2016, *Continuous control with deep reinforcement learning*, Alg. 1.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`: `DeterministicActorNetwork` usually, or
        any policy whose samples gradients flow through, which is then trained to maximize Q.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`; one critic (C = 1) as published.
      observation_normalizer: Shared by all networks, or None.
      soft_value: V; `DeterministicValue()` by default.
      improvement: The policy's improvement; `DeterministicImprovement()` by default.
      temperature: α, which plays no part; `FixedTemperature(0.0)` by default.
      critic_fit: Discount, critics' optimizer and targets; `CriticFit()` with `Adam(3e-4)`,
        `TargetUpdate(0.005)` and a target policy by default.
      acting: Exploration, seed and compilation; `Acting()` with `OrnsteinUhlenbeckNoise(std=0.2)` by default.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = ActorCriticAgent.defaults._replace(
        actor_network=DeterministicActorNetwork,
        values_network=functools.partial(CriticNetwork, num_critics=1),
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
            improvement=improvement or DeterministicImprovement(),
            temperature=temperature or FixedTemperature(0.0),
            critic_fit=with_defaults(critic_fit or CriticFit(), target_actor=True),
            acting=with_defaults(acting or Acting(), exploration=OrnsteinUhlenbeckNoise(std=0.2)),
            train_step_counter=train_step_counter,
        )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which DDPG may take a policy."""
        fit = CriticFit(target_actor=True)
        return (Variant("", DeterministicValue(), DeterministicImprovement(), FixedTemperature(0.0), fit),)
