"""Deep deterministic policy gradient: the limit of soft Q-learning without temperature."""

from __future__ import annotations

import functools
from typing import ClassVar

from expol_tf.agents.acting import OrnsteinUhlenbeckNoise
from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.improvements import DeterministicImprovement
from expol_tf.agents.policy_agent import AgentDefaults
from expol_tf.agents.soft_values import DeterministicValue
from expol_tf.agents.temperature import FixedTemperature
from expol_tf.agents.variants import AlgorithmParts
from expol_tf.configurable import configurable
from expol_tf.networks import CriticNetwork, DeterministicActorNetwork


@configurable
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
      critic_fit: Discount, critics' optimizer and targets; as in `ActorCriticAgent`, with a target policy.
      acting: Exploration, seed and compilation; `Acting()` with `OrnsteinUhlenbeckNoise(std=0.2)` by default.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = ActorCriticAgent.defaults._replace(
        actor_network=DeterministicActorNetwork,
        values_network=functools.partial(CriticNetwork, num_critics=1),
    )

    own_parts = AlgorithmParts(
        DeterministicValue,
        DeterministicImprovement,
        functools.partial(FixedTemperature, 0.0),
        critic_fit=lambda: dict(target_actor=True),
        exploration=functools.partial(OrnsteinUhlenbeckNoise, std=0.2),
    )
