"""The non-invertible blackbox policy off policy, its entropy by a classifier."""

from __future__ import annotations

import functools

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.exploration import ExplorationNoise
from expol_tf.agents.off_policy_checks import require_count, require_in_box
from expol_tf.agents.off_policy_parts import (
    NetworkFactory,
    Optimizer,
    discriminator_function,
    entropy_classifier,
)
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.networks import DiscriminatorNetwork, ObservationNormalizer
from expol_tf.objectives import (
    density_ratio_improvement,
    deterministic_value,
    require_reduction,
)
from expol_tf.optimizers import Adam

_CLASSIFIER = functools.partial(DiscriminatorNetwork, hidden_units=(64, 64))


@gin.configurable(module="expol_tf")
class NbpAgent(ActorCriticAgent):
    """NBP: y = r + γ·discount·Q̄(s′, π̄(s′));  maximizes E[ Q(s, a) − β·c(s, a) ], a ~ π(·|s).

    The policy is any network that turns noise into actions, without density. Its entropy is known by a
    classifier c between its actions and uniform ones, H = −E[c] + log|A|, so that β is a temperature. With
    β = 0 nothing asks for the entropy, no classifier is trained, and this is DDPG whose policy has its own
    noise. A wiring of `ActorCriticAgent`; build that yourself to recombine the parts. See `docs/nbp.md` for
    the details and the metrics.

    Reference: Tang & Agrawal, *Implicit Policy for Reinforcement Learning*, Algorithm 1, corrected as
    `docs/errata.md` tells.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`: `NoisyActorNetwork` usually, or any
        policy whose samples gradients flow through; with β > 0, one that stays in the box.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`; one critic (C = 1) as published.
      observation_normalizer: Shared by the policies, the critics and the classifier, or None.
      temperature: β, `FixedTemperature(0.0)` by default; or a `ScheduledTemperature`.
      classifier_network: Makes c from the specs of observations and actions; two layers of 64 by default.
      classifier_steps: Of c per step of the policy.
      gamma: Discount per step.
      reduction: Of the critics' values where there are several: "min", "mean" or "first".
      target_update: How target critics and target policy follow; `TargetUpdate(0.005)` by default.
      exploration: Noise added to actions while collecting; none by default, as the policy has its own.
      actor_optimizer: `Adam(3e-4)` by default, the larger of the published two.
      critic_optimizer: `Adam(3e-4)` by default.
      classifier_optimizer: `Adam(3e-4)` by default.
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
        classifier_network: NetworkFactory = _CLASSIFIER,
        classifier_steps: int = 1,
        gamma: float = 0.99,
        reduction: str = "min",
        target_update: TargetUpdate | None = None,
        exploration: ExplorationNoise | None = None,
        actor_optimizer: Optimizer | None = None,
        critic_optimizer: Optimizer | None = None,
        classifier_optimizer: Optimizer | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        require_count("classifier_steps", classifier_steps)
        require_reduction("reduction", reduction)
        temperature = temperature or FixedTemperature(0.0)
        discriminators, log_ratio = [], None
        if not (isinstance(temperature, FixedTemperature) and temperature.temperature == 0):
            classifier = classifier_network(time_step_spec.observation, action_spec)
            log_ratio = discriminator_function(classifier)
            optimizer = classifier_optimizer or Adam(3e-4)
            discriminators.append(entropy_classifier(classifier, action_spec, optimizer, classifier_steps))
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            critic_network,
            soft_value=functools.partial(deterministic_value, reduction=reduction),
            policy_improvement=functools.partial(
                density_ratio_improvement, box=action_spec, log_ratio=log_ratio, reduction=reduction
            ),
            temperature=temperature,
            gamma=gamma,
            target_update=target_update,
            target_actor=True,
            exploration=exploration,
            discriminators=discriminators,
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            observation_normalizer=observation_normalizer,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
        if discriminators:
            require_in_box(actor_network, time_step_spec, action_spec, type(self).__name__)
