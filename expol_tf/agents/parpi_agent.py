"""Particle-based policy improvement: a policy that matches particles, in the divergence of one's choice."""

from __future__ import annotations

import functools
from collections.abc import Callable

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf import samplers
from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.backups import Backup, SacBackup
from expol_tf.agents.exploration import ExplorationNoise
from expol_tf.agents.off_policy_checks import capabilities_of_policy
from expol_tf.agents.off_policy_parts import Discriminator, Optimizer, discriminator_function
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature, LearnedTemperature, Temperature
from expol_tf.errors import ConfigurationError
from expol_tf.networks import DiscriminatorNetwork, ObservationNormalizer
from expol_tf.objectives import Matching, langevin_particles, matching_improvement, wasserstein
from expol_tf.optimizers import Adam

NetworkFactory = Callable[[types.NestedTensorSpec, types.NestedTensorSpec], network.Network]

_DISCRIMINATOR = functools.partial(DiscriminatorNetwork, spectral_normalization=True)


@gin.configurable(module="expol_tf")
class ParpiAgent(ActorCriticAgent):
    """ParPI: the policy minimizes D(ρ·π, ρ·p) − w·H(π), p particles moved from π toward exp(Q/α).

    A particle a* = squash(u*) of each state starts at the policy's own u and makes K Langevin steps; a
    discriminator f learns to tell a from a*, and the policy's samples descend the divergence D that f
    estimates. Any divergence will do, of a policy whose samples gradients flow through; the critics are
    regressed on SAC's or soft Q-learning's values. A wiring of `ActorCriticAgent`; build that yourself to
    recombine the parts. See `docs/parpi.md` for the details and the metrics.

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), Algorithm 1, corrected as
    `docs/errata.md` tells.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`, squashed into the box. Without density
        it takes a backup, a temperature and an entropy weight that need none.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`.
      observation_normalizer: Shared by the policies, the critics and the discriminator, or None.
      matching: D: `wasserstein(gradient_penalty=0.0)` by default, or `jsd()`, `reverse_kl()`,
        `f_divergence(…)`.
      backup: `SacBackup()` by default, or `SqlBackup()`.
      num_sampler_steps: K, Langevin steps.
      step_size: η, of each; ten times the paper's, whose particles hardly move (see `docs/parpi.md`).
      score_reduction: Of the critics' values that move the particles: "first", "min" or "mean".
      entropy_weight: w, in units of D per nat. The paper has 1, which keeps policies from ever narrowing;
        without any, they collapse before f has learned something.
      discriminator_network: Makes f from the specs of observations and actions; with spectral normalization
        by default, which the Wasserstein distance needs and the others do not.
      discriminator_steps: Of f per step of the policy, each on particles of its own.
      temperature: α; by default learned from 0.02 on: with α = 1, the particles' noise hides Q for the first
        ten thousand updates.
      gamma: Discount per step.
      target_update: How the target critics follow; `TargetUpdate(0.005)` by default.
      exploration: Noise added to the actions that the collect policy draws, or None.
      actor_optimizer: `Adam(3e-4)` by default.
      critic_optimizer: `Adam(3e-4)` by default.
      discriminator_optimizer: `Adam(1e-3)` by default.
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
        matching: Matching | None = None,
        backup: Backup | None = None,
        num_sampler_steps: int = 5,
        step_size: float = 3e-3,
        score_reduction: str = "first",
        entropy_weight: float = 0.01,
        discriminator_network: NetworkFactory = _DISCRIMINATOR,
        discriminator_steps: int = 1,
        temperature: Temperature | None = None,
        gamma: float = 0.99,
        target_update: TargetUpdate | None = None,
        exploration: ExplorationNoise | None = None,
        actor_optimizer: Optimizer | None = None,
        critic_optimizer: Optimizer | None = None,
        discriminator_optimizer: Optimizer | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        if not entropy_weight >= 0:
            raise ConfigurationError(f"entropy_weight must be 0 or more; got {entropy_weight}.")
        if discriminator_steps < 1:
            raise ConfigurationError(f"discriminator_steps must be 1 or more; got {discriminator_steps}.")
        if num_sampler_steps < 1:
            raise ConfigurationError(f"num_sampler_steps must be 1 or more; got {num_sampler_steps}.")
        if not step_size > 0:
            raise ConfigurationError(f"step_size must be positive; got {step_size}.")
        matching, backup = matching or wasserstein(gradient_penalty=0.0), backup or SacBackup()
        temperature = temperature or LearnedTemperature(initial_temperature=0.02)
        if isinstance(temperature, FixedTemperature) and temperature.temperature == 0:
            raise ConfigurationError(
                "temperature must be positive, as particles move toward exp(Q/α); got 0. Give a small one; "
                "DdpgAgent and NbpAgent maximize Q alone."
            )
        needs = {"reparameterized_sample", *backup.capabilities}
        if entropy_weight or temperature.needs_log_prob:
            needs.add("sample_and_log_prob")
        f = discriminator_network(time_step_spec.observation, action_spec)
        found = capabilities_of_policy(actor_network, time_step_spec)
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            critic_network,
            soft_value=backup.soft_value(action_spec),
            policy_improvement=functools.partial(
                matching_improvement,
                box=action_spec,
                matching=matching,
                discriminator=discriminator_function(f),
                entropy_weight=entropy_weight,
                density="sample_and_log_prob" in found,
            ),
            capabilities=sorted(needs),
            temperature=temperature,
            gamma=gamma,
            target_update=target_update,
            exploration=exploration,
            discriminators=[
                Discriminator(
                    "discriminator",
                    f,
                    functools.partial(
                        langevin_particles,
                        box=action_spec,
                        langevin=samplers.langevin,
                        num_steps=num_sampler_steps,
                        step_size=step_size,
                        reduction=score_reduction,
                    ),
                    matching,
                    discriminator_optimizer or Adam(1e-3),
                    discriminator_steps,
                )
            ],
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            observation_normalizer=observation_normalizer,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
