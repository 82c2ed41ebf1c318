"""Soft Q-learning: an energy-based policy, drawn from by a network."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.critic_fit import TargetUpdate
from expol_tf.agents.improvements import SvgdImprovement
from expol_tf.agents.policy_agent import AgentDefaults
from expol_tf.agents.soft_values import LogSumExpValue
from expol_tf.agents.temperature import FixedTemperature
from expol_tf.agents.variants import AlgorithmParts, Variant
from expol_tf.configurable import configurable
from expol_tf.networks import CriticNetwork, SamplingActorNetwork
from expol_tf.optimizers import Adam


@configurable
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

    own_parts = AlgorithmParts(
        LogSumExpValue,
        SvgdImprovement,
        functools.partial(FixedTemperature, 0.1),
        critic_fit=lambda: dict(optimizer=Adam(1e-3), target_update=TargetUpdate(1.0, period=1000)),
    )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which soft Q-learning may take a policy."""
        (own,) = super().variants()
        in_action_space = SvgdImprovement(space="action")
        return own, own._replace(note='with SvgdImprovement(space="action")', improvement=in_action_space)
