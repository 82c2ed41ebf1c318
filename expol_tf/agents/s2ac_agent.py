"""Stein soft actor-critic: SAC whose policy is a set of particles that the critic steers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import ClassVar

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.improvements import PolicyImprovement
from expol_tf.agents.policy_agent import AgentDefaults
from expol_tf.agents.policy_checks import require_part
from expol_tf.agents.settings import with_defaults
from expol_tf.agents.soft_values import ExpectedValue, SoftValue, ValueInParts
from expol_tf.agents.stein_improvement import SteinImprovement
from expol_tf.agents.temperature import FixedTemperature
from expol_tf.agents.variants import AlgorithmParts, Variant
from expol_tf.configurable import configurable
from expol_tf.networks import CriticNetwork, LogStd


@configurable
class S2acAgent(ActorCriticAgent):
    """S²AC: the SAC objective with π = particles of a learned Gaussian, moved by SVGD toward exp(Q/α).

    y = r + γ·discount·mean_i (min Q̄(s′, a_i) − α log π(a_i|s′));  maximizes mean_i [min Q(s, a_i) −
    α log π(a_i|s)], over the M particles of a state. log π is the closed form of `SteinDistribution`, a
    mean-field estimate. With no step, no range and one particle it is `SacAgent`, to the last bit. A wiring
    of `ActorCriticAgent` with a `SteinActorNetwork`. `docs/s2ac.md` has the details and the metrics.

    `policy` takes the particle with the highest Q; with an amortized policy it acts by that.

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    Alg. 1; with the amortized policy Alg. 2.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: The initial network, `network(observation) -> (squashed Gaussian, state)`, where
        particles start: a `GaussianActorNetwork` with `squash=True` (S²AC(φ, θ)) or a
        `FixedGaussianActorNetwork` (S²AC(φ)). The agent's own `actor_network` is the `SteinActorNetwork`
        over it.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`, smooth:
        `CriticNetwork(activation="elu")`.
      observation_normalizer: Shared by all networks, or None.
      soft_value: V, over all M particles by default; `ExpectedValue()` by default.
      improvement: The sampler of the particles, and their improvement; `SteinImprovement()` by default.
      temperature: α; `FixedTemperature(1.0)` by default.
      critic_fit: Discount, critics' optimizer and targets; as in `ActorCriticAgent` by default.
      acting: Which particle acts when collecting (`ParticleSelection`; one at random by default), seed and
        compilation; `Acting()` by default.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = ActorCriticAgent.defaults._replace(
        actor_network=functools.partial(
            ActorCriticAgent.defaults.actor_network,
            # As in the released code, σ of the particles' start lies between 0.1 and 1.
            log_std=LogStd(-0.5, state_dependent=True, bounds=(math.log(0.1), 0.0)),
        ),
        # Smooth: the policy's gradient differentiates ∇_a Q, which of ReLUs is constant almost everywhere.
        values_network=functools.partial(CriticNetwork, activation="elu"),
    )

    own_parts = AlgorithmParts(ExpectedValue, SteinImprovement, FixedTemperature)

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns nothing: a refusal does not name S²AC, which takes one kind of policy only."""
        return ()

    def _value_for(self, soft_value: SoftValue | None, improvement: PolicyImprovement | None) -> SoftValue:
        improvement = require_part("improvement", improvement, SteinImprovement)
        soft_value = require_part("soft_value", soft_value, ExpectedValue)
        # All M particles move for any one of them, so V averages over all of them.
        value = with_defaults(soft_value, num_samples=improvement.num_particles)
        return ValueInParts(value, improvement.batch_parts)
