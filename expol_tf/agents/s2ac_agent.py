"""Stein soft actor-critic: SAC whose policy is a set of particles that the critic steers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import gin
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.alternatives import accepting_agents
from expol_tf.agents.off_policy_parts import Companion, NetworkFactory, Optimizer
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.distributions import SELECTIONS, SteinSampler
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import ObservationNormalizer, SteinActorNetwork
from expol_tf.objectives import (
    amortized_svgd,
    expected_soft_value,
    reduce_critics,
    reparameterized_improvement,
)
from expol_tf.optimizers import Adam
from expol_tf.samplers import svgd_direction

tfd = tfp.distributions


@gin.configurable(module="expol_tf")
class S2acAgent(ActorCriticAgent):
    """S²AC: the SAC objective with π = particles of a learned Gaussian, moved by SVGD toward exp(Q/α).

    y = r + γ·discount·mean_i (min Q̄(s′, a_i) − α log π(a_i|s′));  maximizes mean_i [min Q(s, a_i) −
    α log π(a_i|s)], over the M particles of a state. log π is the closed form of `SteinDistribution`, a
    mean-field estimate. With no step, no range and one particle it is `SacAgent`, to the last bit. A wiring
    of `ActorCriticAgent` with a `SteinActorNetwork`. See `docs/s2ac.md` for the details and the metrics.

    `policy` takes the particle with the highest Q; with an amortized network it acts by that, which imitates
    exp(Q/α) as in soft Q-learning, needs no critic to act, and is what is exported.

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    Alg. 1; with the amortized network Alg. 2.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: The initial network, `network(observation) -> (squashed Gaussian, state)`, where
        particles start: a `GaussianActorNetwork` with `squash=True` (S²AC(φ, θ)) or a
        `FixedGaussianActorNetwork` (S²AC(φ)). The agent's own `actor_network` is the `SteinActorNetwork`
        over it.
      critic_network: `network((observation, action)) -> (Q [N, C], state)`, smooth:
        `CriticNetwork(activation="elu")`.
      observation_normalizer: Shared by the policies and the critics, or None.
      sampler: How particles move; `SteinSampler()` by default.
      score_reduction: Of the critics' values that steer the particles: "first", "min" or "mean".
      selection: Which particle acts when collecting: "random", "softmax" (of Q/α) or "argmax".
      amortized_network: Makes, from the specs of observations and actions, a network to be trained beside the
        policy and to act when testing: `SamplingActorNetwork`; None for none.
      batch_parts: In so many parts, side by side, particles of a batch are moved: as many as a CPU has cores,
        or 1 on a GPU.
      temperature: α; `FixedTemperature(1.0)` by default.
      gamma: Discount per step.
      actor_reduction: Of the critics' values where the policy is improved: "min", "mean" or "first".
      target_reduction: Of the target critics' values in the backup.
      target_update: How the target critics follow; `TargetUpdate(0.005)` by default.
      actor_optimizer: `Adam(3e-4)` by default.
      critic_optimizer: `Adam(3e-4)` by default.
      amortized_optimizer: `Adam(3e-4)` by default.
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
        sampler: SteinSampler | None = None,
        score_reduction: str = "first",
        selection: str = "random",
        amortized_network: NetworkFactory | None = None,
        batch_parts: int = 2,
        temperature: Temperature | None = None,
        gamma: float = 0.99,
        actor_reduction: str = "min",
        target_reduction: str = "min",
        target_update: TargetUpdate | None = None,
        actor_optimizer: Optimizer | None = None,
        critic_optimizer: Optimizer | None = None,
        amortized_optimizer: Optimizer | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        for reduction in (actor_reduction, target_reduction):
            reduce_critics(tf.zeros([1, 1]), reduction)  # Refuses unknown ones now.
        if selection not in SELECTIONS:
            raise ConfigurationError(f"selection must be one of {SELECTIONS}; got {selection!r}.")
        sampler = sampler or SteinSampler()
        temperature = temperature or FixedTemperature(1.0)
        companions, amortized = [], None
        if amortized_network is not None:
            amortized = amortized_network(time_step_spec.observation, action_spec)
            improvement = functools.partial(
                amortized_svgd,
                box=action_spec,
                direction=functools.partial(svgd_direction, bandwidth=sampler.bandwidth, floor=sampler.floor),
                num_particles=sampler.num_particles,
                reduction=score_reduction,
            )
            optimizer = amortized_optimizer or Adam(3e-4)
            companions.append(Companion("amortized", amortized, improvement, optimizer))
        super().__init__(
            time_step_spec,
            action_spec,
            _stein_network(actor_network, critic_network, temperature, sampler, score_reduction),
            critic_network,
            soft_value=functools.partial(
                expected_soft_value,
                box=action_spec,
                reduction=target_reduction,
                num_samples=sampler.num_particles,
            ),
            policy_improvement=functools.partial(
                reparameterized_improvement,
                box=action_spec,
                reduction=actor_reduction,
                num_samples=sampler.num_particles,
            ),
            capabilities=("reparameterized_sample", "sample_and_log_prob", "greedy_action"),
            temperature=temperature,
            gamma=gamma,
            target_update=target_update,
            selection=None if selection == "random" else functools.partial(_select, rule=selection),
            companions=companions,
            batch_parts=batch_parts,
            test_network=amortized,
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            observation_normalizer=observation_normalizer,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
        self._sampler = sampler

    def warnings(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Returns a sentence if the particles' map has lost its inverse, else nothing."""
        share = metrics.get("folded_share", 0.0)
        if not share > 0:
            return ()
        return (
            f"S2acAgent: steps fold {share:.2g} of the particles over others (folded_share): there the map "
            "has no inverse, and log π is wrong. If it is more than a few, lower SteinSampler.step_size, "
            f'which is {self._sampler.step_size:g}, or set SteinSampler.step = "per_temperature".',
        )


def _stein_network(initial, *arguments):
    try:
        return SteinActorNetwork(initial, *arguments)
    except CapabilityError as error:
        reason = str(error).partition("initial_network: ")[2].splitlines()[0]
        example = tf.zeros([1, *initial.input_tensor_spec.shape])
        raise CapabilityError(
            f"actor_network: S2acAgent makes it the initial_network: {reason} "
            + accepting_agents(initial, example)
        ) from error


def _select(distribution: tfd.Distribution, seed: tf.Tensor, rule: str) -> tf.Tensor:
    return distribution.select(rule, seed)
