"""Soft Q-learning: an energy-based policy, drawn from by a network."""

from __future__ import annotations

import functools

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.exploration import ExplorationNoise
from expol_tf.agents.off_policy_parts import Optimizer
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.networks import ObservationNormalizer
from expol_tf.objectives import amortized_svgd, sampled_soft_value
from expol_tf.optimizers import Adam
from expol_tf.samplers import svgd_direction


@gin.configurable(module="expol_tf")
class SqlAgent(ActorCriticAgent):
    """SQL: y = r + γ·discount·V(s′), V = α log E_q[exp(Q̄/α)/q];  the policy imitates exp(Q/α) by SVGD.

    The policy is a sampling network, which needs no density; any policy whose samples gradients flow through
    will do. A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. See `docs/sql.md` for
    the details and the metrics, and `docs/errata.md` for the kernel.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, Alg. 1.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`: `SamplingActorNetwork` usually.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`.
      observation_normalizer: Shared by the policies and the critics, or None.
      temperature: α; `FixedTemperature(0.1)` by default.
      gamma: Discount per step.
      proposal: q, which V's actions are drawn from: "uniform", or "mixture", half of them from the policy,
        if that has a density.
      value_samples: Actions a state that V is estimated from.
      num_particles: M, particles that a state's kernel sums over, and as many that are moved.
      separate_particles: Whether those moved are others than those summed over.
      kernel_space: "latent", before the squash, or "action", where particles pile up at the box's edge.
      reduction: Of the critics' values, in the backup and in the score: "min", "mean" or "first".
      target_update: How the target critics follow; a copy every 1000 updates by default.
      exploration: Noise added to the actions that the collect policy draws, or None.
      actor_optimizer: `Adam(1e-4)` by default.
      critic_optimizer: `Adam(1e-3)` by default.
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
        proposal: str = "uniform",
        value_samples: int = 50,
        num_particles: int = 32,
        separate_particles: bool = True,
        kernel_space: str = "latent",
        reduction: str = "min",
        target_update: TargetUpdate | None = None,
        exploration: ExplorationNoise | None = None,
        actor_optimizer: Optimizer | None = None,
        critic_optimizer: Optimizer | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        needs = ("log_prob",) if proposal == "mixture" else ()
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            critic_network,
            soft_value=functools.partial(
                sampled_soft_value,
                box=action_spec,
                num_samples=value_samples,
                proposal=proposal,
                reduction=reduction,
            ),
            policy_improvement=functools.partial(
                amortized_svgd,
                box=action_spec,
                direction=svgd_direction,
                num_particles=num_particles,
                separate=separate_particles,
                space=kernel_space,
                reduction=reduction,
            ),
            capabilities=("reparameterized_sample", *needs),
            temperature=temperature or FixedTemperature(0.1),
            gamma=gamma,
            target_update=target_update or TargetUpdate(1.0, period=1000),
            exploration=exploration,
            actor_optimizer=actor_optimizer or Adam(1e-4),
            critic_optimizer=critic_optimizer or Adam(1e-3),
            observation_normalizer=observation_normalizer,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
