"""Particle-based policy improvement: a policy that matches particles, in the divergence of one's choice."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.matching_improvement import MatchingImprovement
from expol_tf.agents.soft_values import ExpectedValue, LogSumExpValue
from expol_tf.agents.temperature import FixedTemperature, LearnedTemperature
from expol_tf.agents.variants import AlgorithmParts, Variant
from expol_tf.configurable import configurable


@configurable
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
      critic_fit: Discount, critics' optimizer and targets; as in `ActorCriticAgent` by default.
      acting: Exploration, seed and compilation; `Acting()` by default.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    own_parts = AlgorithmParts(
        ExpectedValue, MatchingImprovement, functools.partial(LearnedTemperature, initial_temperature=0.02)
    )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which ParPI may take a policy."""
        (own,) = super().variants()
        without_density = own._replace(
            note="with LogSumExpValue, a FixedTemperature and entropy_weight=0 or a classifier",
            soft_value=LogSumExpValue(),
            improvement=MatchingImprovement(entropy_weight=0.0),
            temperature=FixedTemperature(1.0),
        )
        return own, without_density
