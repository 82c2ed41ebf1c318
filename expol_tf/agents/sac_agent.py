"""Soft actor-critic for any policy that knows the density of its samples."""

from __future__ import annotations

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.improvements import ReparameterizedImprovement
from expol_tf.agents.soft_values import ExpectedValue
from expol_tf.agents.temperature import LearnedTemperature
from expol_tf.agents.variants import AlgorithmParts
from expol_tf.configurable import configurable


@configurable
class SacAgent(ActorCriticAgent):
    """SAC: y = r + γ·discount·(min Q̄(s′, a′) − α log π(a′|s′));  maximizes E[min Q(s, a) − α log π(a|s)].

    With a squashed Gaussian this is SAC, with a flow whose couplings see the state SAC-NF, with a mixture
    SAC-GMM. A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. `docs/sac.md` has the
    details and the metrics.

    References: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, Alg. 1; Mazoure et al.
    2020, *Leveraging exploration in off-policy algorithms via normalizing flows*.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`, squashed into the box.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`: `CriticNetwork`, or a
        `CriticEnsemble` of a network of your own.
      observation_normalizer: Shared by all networks, or None.
      soft_value: V; `ExpectedValue()` by default.
      improvement: The policy's improvement; `ReparameterizedImprovement()` by default.
      temperature: α; `LearnedTemperature()` by default.
      critic_fit: Discount, critics' optimizer and targets; as in `ActorCriticAgent` by default.
      acting: Exploration, seed and compilation; `Acting()` by default.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    own_parts = AlgorithmParts(ExpectedValue, ReparameterizedImprovement, LearnedTemperature)
