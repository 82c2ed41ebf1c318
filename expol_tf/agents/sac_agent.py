"""Soft actor-critic for any policy that knows the density of its samples."""

from __future__ import annotations

import functools

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.off_policy_parts import Optimizer
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import LearnedTemperature, Temperature
from expol_tf.networks import ObservationNormalizer
from expol_tf.objectives import expected_soft_value, reduce_critics, reparameterized_improvement


@gin.configurable(module="expol_tf")
class SacAgent(ActorCriticAgent):
    """SAC: y = r + γ·discount·(min Q̄(s′, a′) − α log π(a′|s′));  maximizes E[min Q(s, a) − α log π(a|s)].

    With a squashed Gaussian this is SAC, with a flow whose couplings see the state SAC-NF, with a mixture
    SAC-GMM. A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. See `docs/sac.md` for
    the details and the metrics.

    References: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, Alg. 1; Mazoure et al.
    2020, *Leveraging exploration in off-policy algorithms via normalizing flows*.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`, squashed into the box.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`: `CriticNetwork`, or a
        `CriticEnsemble` of a network of your own.
      observation_normalizer: Shared by the policies and the critics, or None.
      temperature: α; `LearnedTemperature()` by default.
      gamma: Discount per step.
      actor_reduction: Of the critics' values where the policy is improved: "min", "mean" or "first".
      target_reduction: Of the target critics' values in the backup.
      target_update: How the target critics follow; `TargetUpdate(0.005)` by default.
      actor_optimizer: `Adam(3e-4)` by default.
      critic_optimizer: `Adam(3e-4)` by default.
      seed: Of all randomness of this agent; None takes entropy from the system.
      train_step_counter: int64 variable counting updates; a new one by default.
      jit_compile: Whether XLA compiles acting.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        critic_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        *,
        temperature: Temperature | None = None,
        gamma: float = 0.99,
        actor_reduction: str = "min",
        target_reduction: str = "min",
        target_update: TargetUpdate | None = None,
        actor_optimizer: Optimizer | None = None,
        critic_optimizer: Optimizer | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        for reduction in (actor_reduction, target_reduction):
            reduce_critics(tf.zeros([1, 1]), reduction)  # Refuses unknown ones now.
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            critic_network,
            soft_value=functools.partial(expected_soft_value, box=action_spec, reduction=target_reduction),
            policy_improvement=functools.partial(
                reparameterized_improvement, box=action_spec, reduction=actor_reduction
            ),
            capabilities=("reparameterized_sample", "sample_and_log_prob"),
            temperature=temperature or LearnedTemperature(),
            gamma=gamma,
            target_update=target_update,
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            observation_normalizer=observation_normalizer,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
