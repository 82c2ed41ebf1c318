"""Deep deterministic policy gradient: the limit of soft Q-learning without temperature."""

from __future__ import annotations

import functools

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.exploration import ExplorationNoise, OrnsteinUhlenbeckNoise
from expol_tf.agents.off_policy_parts import Optimizer
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature
from expol_tf.networks import ObservationNormalizer
from expol_tf.objectives import deterministic_improvement, deterministic_value


@gin.configurable(module="expol_tf")
class DdpgAgent(ActorCriticAgent):
    """DDPG: y = r + γ·discount·Q̄(s′, μ̄(s′));  maximizes E[Q(s, μ(s))], acts by μ(s) + noise.

    A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. See `docs/ddpg.md` for the
    details and the metrics.

    Reference: Lillicrap et al. 2016, *Continuous control with deep reinforcement learning*, Alg. 1.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`: `DeterministicActorNetwork` usually, or
        any policy whose samples gradients flow through, which is then trained to maximize Q.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`; one critic (C = 1) as published.
      observation_normalizer: Shared by the policies and the critics, or None.
      gamma: Discount per step.
      reduction: Of the critics' values where there are several: "min", "mean" or "first".
      target_update: How target critics and target policy follow; `TargetUpdate(0.005)` by default.
      exploration: Noise added to actions while collecting; `OrnsteinUhlenbeckNoise(std=0.2)` by default.
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
        gamma: float = 0.99,
        reduction: str = "min",
        target_update: TargetUpdate | None = None,
        exploration: ExplorationNoise | None = None,
        actor_optimizer: Optimizer | None = None,
        critic_optimizer: Optimizer | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            critic_network,
            soft_value=functools.partial(deterministic_value, reduction=reduction),
            policy_improvement=functools.partial(deterministic_improvement, reduction=reduction),
            temperature=FixedTemperature(0.0),
            gamma=gamma,
            target_update=target_update,
            target_actor=True,
            exploration=exploration or OrnsteinUhlenbeckNoise(std=0.2),
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            observation_normalizer=observation_normalizer,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
