"""Soft Q-learning: an energy-based policy, drawn from by a network."""

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
from expol_tf.agents.improvements import PolicyImprovement, SvgdImprovement
from expol_tf.agents.policy_agent import AgentDefaults
from expol_tf.agents.settings import with_defaults
from expol_tf.agents.soft_values import LogSumExpValue, SoftValue
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.agents.variants import Variant
from expol_tf.networks import CriticNetwork, ObservationNormalizer, SamplingActorNetwork
from expol_tf.optimizers import Adam
from expol_tf.renamed import answers_renamed


@gin.configurable(module="expol_tf")
@answers_renamed
class SqlAgent(ActorCriticAgent):
    """SQL: y = r + γ·discount·V(s′), V = α log E_q[exp(Q̄/α)/q];  the policy imitates exp(Q/α) by SVGD.

    The policy is a sampling network, which needs no density; any policy whose samples gradients flow through
    will do. A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. `docs/sql.md` has the
    details and the metrics, `docs/errata.md` the kernel's correction.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, Alg. 1.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`: `SamplingActorNetwork` usually.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`.
      observation_normalizer: Shared by all networks, or None.
      soft_value: V; `LogSumExpValue()` by default.
      improvement: The policy's improvement; `SvgdImprovement()` by default.
      temperature: α; `FixedTemperature(0.1)` by default.
      critic_fit: Discount, critics' optimizer and targets; `CriticFit()` with `Adam(1e-3)` and a copy every
        1000 updates, `TargetUpdate(1.0, period=1000)`, by default.
      acting: Exploration, seed and compilation; `Acting()` by default.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = ActorCriticAgent.defaults._replace(
        actor_network=SamplingActorNetwork,
        values_network=functools.partial(CriticNetwork, hidden_units=(200, 200), num_critics=1),
        runner_settings={"batch_size": 64},
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
            soft_value=soft_value or LogSumExpValue(),
            improvement=improvement or SvgdImprovement(),
            temperature=temperature or FixedTemperature(0.1),
            critic_fit=with_defaults(
                critic_fit or CriticFit(),
                optimizer=Adam(1e-3),
                target_update=TargetUpdate(1.0, period=1000),
            ),
            acting=acting,
            train_step_counter=train_step_counter,
        )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which soft Q-learning may take a policy."""
        value, temperature = LogSumExpValue(), FixedTemperature(0.1)
        return (
            Variant("", value, SvgdImprovement(), temperature),
            Variant(
                'with SvgdImprovement(space="action")', value, SvgdImprovement(space="action"), temperature
            ),
        )
