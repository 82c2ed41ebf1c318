"""Soft actor-critic for any policy that knows the density of its samples."""

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
from expol_tf.agents.improvements import PolicyImprovement, ReparameterizedImprovement
from expol_tf.agents.soft_values import ExpectedValue, SoftValue
from expol_tf.agents.temperature import LearnedTemperature, Temperature
from expol_tf.agents.variants import Variant
from expol_tf.networks import ObservationNormalizer
from expol_tf.renamed import answers_renamed


@gin.configurable(module="expol_tf")
@answers_renamed
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
            improvement=improvement or ReparameterizedImprovement(),
            temperature=temperature or LearnedTemperature(),
            critic_fit=critic_fit,
            acting=acting,
            train_step_counter=train_step_counter,
        )

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which SAC may take a policy."""
        return (Variant("", ExpectedValue(), ReparameterizedImprovement(), LearnedTemperature()),)
