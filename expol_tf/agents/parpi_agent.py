"""Particle-based policy improvement: a policy that matches particles, in the divergence of one's choice."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import Acting
from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.critic_fit import CriticFit
from expol_tf.agents.improvements import PolicyImprovement
from expol_tf.agents.matching_improvement import MatchingImprovement
from expol_tf.agents.soft_values import ExpectedValue, LogSumExpValue, SoftValue
from expol_tf.agents.temperature import FixedTemperature, LearnedTemperature, Temperature
from expol_tf.agents.variants import Variant
from expol_tf.networks import ObservationNormalizer
from expol_tf.renamed import answers_renamed


@gin.configurable(module="expol_tf")
@answers_renamed
class ParpiAgent(ActorCriticAgent):
    """ParPI: the policy minimizes D(ρ·π, ρ·p) − w·H(π), p particles moved from π toward exp(Q/α).

    A particle a* = squash(u*) of each state starts at the policy's own u and makes K Langevin steps; a
    discriminator f learns to tell a from a*, and the policy's samples descend the divergence D that f
    estimates. Any divergence will do, of a policy whose samples gradients flow through; the critics are
    regressed on SAC's or soft Q-learning's values. A wiring of `ActorCriticAgent`; build that yourself to
    recombine the parts. `docs/parpi.md` has the details and the metrics.

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), Algorithm 1, corrected as
    `docs/errata.md` tells.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`, squashed into the box. Without density
        it takes a V, a temperature and an entropy weight that need none.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`.
      observation_normalizer: Shared by all networks, or None.
      soft_value: V; `ExpectedValue()` by default, or `LogSumExpValue()`.
      improvement: D, the particles, the discriminator and w; `MatchingImprovement()` by default.
      temperature: α; by default learned from 0.02 on: with α = 1, the particles' noise hides Q for the first
        ten thousand updates.
      critic_fit: Discount, critics' optimizer and targets; `CriticFit()` with `Adam(3e-4)` and
        `TargetUpdate(0.005)` by default.
      acting: Exploration, seed and compilation; `Acting()` by default.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

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
            soft_value=soft_value or ExpectedValue(),
            improvement=improvement or MatchingImprovement(),
            temperature=temperature or LearnedTemperature(initial_temperature=0.02),
            critic_fit=critic_fit,
            acting=acting,
            train_step_counter=train_step_counter,
        )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which ParPI may take a policy."""
        without = "with LogSumExpValue, a FixedTemperature and entropy_weight=0 or a classifier"
        return (
            Variant("", ExpectedValue(), MatchingImprovement(), LearnedTemperature()),
            Variant(
                without, LogSumExpValue(), MatchingImprovement(entropy_weight=0.0), FixedTemperature(1.0)
            ),
        )
