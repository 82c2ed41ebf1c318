"""The non-invertible blackbox policy off policy, its entropy by a classifier."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.density_ratio_improvement import DensityRatioImprovement
from expol_tf.agents.policy_agent import AgentDefaults
from expol_tf.agents.soft_values import DeterministicValue
from expol_tf.agents.temperature import FixedTemperature
from expol_tf.agents.variants import AlgorithmParts, Variant
from expol_tf.configurable import configurable
from expol_tf.networks import CriticNetwork, NoisyActorNetwork


@configurable
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
      critic_fit: Discount, critics' optimizer and targets; as in `ActorCriticAgent`, with a target policy.
      acting: Exploration, seed and compilation; `Acting()` by default: the policy has noise of its own.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = ActorCriticAgent.defaults._replace(
        actor_network=NoisyActorNetwork,
        values_network=functools.partial(CriticNetwork, hidden_units=(64, 64), num_critics=1),
    )

    own_parts = AlgorithmParts(
        DeterministicValue,
        DensityRatioImprovement,
        functools.partial(FixedTemperature, 0.0),
        critic_fit=lambda: dict(target_actor=True),
    )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which NBP may take a policy."""
        (without_entropy,) = super().variants()
        return (
            without_entropy._replace(temperature=FixedTemperature(1.0)),
            without_entropy._replace(note="with temperature 0"),
        )
