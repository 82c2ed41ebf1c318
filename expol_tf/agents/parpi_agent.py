"""Particle-based policy improvement: a policy that matches particles, in the divergence of one's choice."""

from __future__ import annotations

import functools
import math

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf import samplers
from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.backups import Backup, SacBackup
from expol_tf.agents.exploration import ExplorationNoise
from expol_tf.agents.off_policy_checks import capabilities_of_policy, require_count, require_squashed
from expol_tf.agents.off_policy_parts import (
    Discriminator,
    NetworkFactory,
    Optimizer,
    discriminator_function,
    entropy_classifier,
)
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature, LearnedTemperature, Temperature
from expol_tf.errors import ConfigurationError
from expol_tf.networks import DiscriminatorNetwork, ObservationNormalizer
from expol_tf.objectives import (
    Matching,
    langevin_particles,
    matching_improvement,
    require_reduction,
    wasserstein,
)
from expol_tf.optimizers import Adam


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
      discriminator_network: Makes f from the specs of observations and actions; by default a
        `DiscriminatorNetwork`, with spectral normalization if the matching asks for a bound of f's slope and
        has no penalty.
      discriminator_steps: Of f per step of the policy, each on particles of its own.
      classifier_network: Makes c from the specs, which learns log(π·|A|) as NBP's does (`NbpAgent`) and gives
        H of a policy that has no density. None by default.
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
        discriminator_network: NetworkFactory | None = None,
        discriminator_steps: int = 1,
        classifier_network: NetworkFactory | None = None,
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
        require_count("discriminator_steps", discriminator_steps)
        require_count("num_sampler_steps", num_sampler_steps)
        if not 0 < step_size < math.inf:
            raise ConfigurationError(f"step_size must be positive and finite; got {step_size}.")
        require_reduction("score_reduction", score_reduction)
        matching, backup = matching or wasserstein(gradient_penalty=0.0), backup or SacBackup()
        temperature = temperature or LearnedTemperature(initial_temperature=0.02)
        if isinstance(temperature, FixedTemperature) and temperature.temperature == 0:
            raise ConfigurationError(
                "temperature must be positive, as particles move toward exp(Q/α); got 0. Give a small one; "
                "DdpgAgent and NbpAgent maximize Q alone."
            )
        needs = {"reparameterized_sample", *backup.capabilities}
        if temperature.needs_log_prob or (entropy_weight and classifier_network is None):
            needs.add("sample_and_log_prob")
        f = _make_discriminator(discriminator_network, matching, time_step_spec.observation, action_spec)
        particles = functools.partial(
            langevin_particles,
            box=action_spec,
            langevin=samplers.langevin,
            num_steps=num_sampler_steps,
            step_size=step_size,
            reduction=score_reduction,
        )
        optimizer = discriminator_optimizer or Adam(1e-3)
        discriminators = [
            Discriminator("discriminator", f, particles, matching, optimizer, discriminator_steps)
        ]
        log_ratio = None
        if classifier_network is not None:
            classifier = classifier_network(time_step_spec.observation, action_spec)
            log_ratio = discriminator_function(classifier)
            discriminators.append(entropy_classifier(classifier, action_spec, Adam(1e-3)))
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
                density="sample_and_log_prob" in capabilities_of_policy(actor_network, time_step_spec),
                log_ratio=log_ratio,
            ),
            capabilities=sorted(needs),
            temperature=temperature,
            gamma=gamma,
            target_update=target_update,
            exploration=exploration,
            discriminators=discriminators,
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            observation_normalizer=observation_normalizer,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
        require_squashed(actor_network, time_step_spec, type(self).__name__)


def _make_discriminator(make, matching, observation_spec, action_spec):
    penalized = matching.penalty > 0
    if make is None:
        bounded = matching.needs_slope_bound and not penalized
        make = functools.partial(DiscriminatorNetwork, spectral_normalization=bounded)
    f = make(observation_spec, action_spec)
    # Of a network of the user's own nothing is known.
    bounded = getattr(f, "spectral_normalization", None)
    if bounded and penalized:
        raise ConfigurationError(
            "discriminator_network must not have spectral normalization beside a gradient penalty, which "
            "asks for slopes that such layers cannot give; got both, the penalty with weight "
            f"{matching.penalty}. Turn one off: gradient_penalty=0.0 or spectral_normalization=False."
        )
    if matching.needs_slope_bound and not penalized and bounded is False:
        raise ConfigurationError(
            f"discriminator_network must be bounded in slope for the matching {matching.name!r}, whose f "
            "grows without end otherwise; got neither spectral normalization nor a gradient penalty. Set "
            "DiscriminatorNetwork's spectral_normalization=True, or gradient_penalty=10.0 of the matching."
        )
    return f
