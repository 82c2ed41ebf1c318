"""The on-policy agent: advantages, a policy update and a value fit, in one compiled call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.actor_policy import ActorPolicy
from expol_tf.agents.rollout import Rollout, rollout_from_trajectory
from expol_tf.bijectors import box_middle_and_half
from expol_tf.distributions import capabilities, require
from expol_tf.errors import ConfigurationError
from expol_tf.generators import make_generator
from expol_tf.networks import ObservationNormalizer, vector_size
from expol_tf.objectives import (
    SCALINGS,
    explained_variance,
    generalized_advantages,
    masked_mean,
    scale_advantages,
)
from expol_tf.optimizers import MinibatchRegression
from expol_tf.seeding import stream


class PolicyBatch(NamedTuple):
    """What a policy update sees: N transitions of π_old, observations as the network takes them.

    Attributes:
      observation: Normalized, `[N, O]`.
      action: `[N, A]`.
      pre_squash_action: `[N, A]`, or None where actions are not squashed.
      log_prob: log π_old(a|s) as recorded at collection, `[N]`.
      advantage: Scaled Â, `[N]`.
      valid: Bool `[N]`; other frames do not count.
    """

    observation: tf.Tensor
    action: tf.Tensor
    pre_squash_action: tf.Tensor | None
    log_prob: tf.Tensor
    advantage: tf.Tensor
    valid: tf.Tensor


PolicyUpdate = Callable[[PolicyBatch, tf.Tensor], dict[str, tf.Tensor]]


@gin.configurable(module="expol_tf")
class OnPolicyAgent(tf_agent.TFAgent):
    """One iteration of an on-policy algorithm: estimate advantages, update the policy, fit the value.

    TRPO, PPO and ACKTR differ in `policy_update` alone. `train` takes TF-Agents trajectories,
    `train_on_rollout` the transitions that the library's own runner collects; both run the same compiled
    graph, which is traced anew for every new `[B, T]`.

    The observation normalizer is frozen from collection until after the update, so that π_old is exactly the
    policy that acted; the rollout's observations join its statistics at the end.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution with log_prob, state)`.
      value_network: `network(observation) -> (value [B], state)`.
      policy_update: A function `(PolicyBatch, seed) -> metrics` that moves the actor network's variables,
        inside this agent's compiled function; the metrics are scalars, `surrogate` among them. If it has
        state of its own, make it a `tf.Module`, so that checkpoints hold it; if it rewards entropy, give it
        the attribute `entropy_weight`, so that what this needs is checked here.
      observation_normalizer: Shared by the policies and the value network, or None.
      gamma: γ, discount per step.
      gae_lambda: λ of generalized advantage estimation.
      advantage_scaling: "standardize" or "center".
      value_fit: How the value network is fitted.
      seed: Of all randomness of this agent and of its collect policy; None takes entropy from the system.
      train_step_counter: int64 variable counting calls of `train`; a new one by default.
      jit_compile: Whether XLA compiles acting and training.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        value_network: network.Network,
        *,
        policy_update: PolicyUpdate,
        observation_normalizer: ObservationNormalizer | None = None,
        gamma: float = 0.99,
        gae_lambda: float = 0.98,
        advantage_scaling: str = "standardize",
        value_fit: MinibatchRegression | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        action_spec = tensor_spec.from_spec(action_spec)
        vector_size(time_step_spec.observation)
        vector_size(action_spec, "action_spec")
        _, half = box_middle_and_half(action_spec)
        for name, value in (("gamma", gamma), ("gae_lambda", gae_lambda)):
            if not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"{name} must lie in [0, 1]; got {value}.")
        if advantage_scaling not in SCALINGS:
            raise ConfigurationError(
                f"advantage_scaling must be one of {SCALINGS}; got {advantage_scaling!r}."
            )
        entropy_weight = getattr(policy_update, "entropy_weight", 0.0)
        _require_capabilities(actor_network, time_step_spec, type(self).__name__, entropy_weight)

        acting = (time_step_spec, action_spec, actor_network, observation_normalizer)
        acting_seed = None if seed is None else stream(seed, "acting")
        collect_policy = ActorPolicy(*acting, seed=acting_seed, jit_compile=jit_compile)
        if entropy_weight > 0 and "pre_squash_action" not in collect_policy.info_spec:
            warnings.warn(
                f"entropy_weight: should be 0 for a policy that is not squashed; got {entropy_weight}. The "
                "environment clips its actions, so that entropy outside the box is free, and the density "
                "spreads without bound. Construct the actor network with squash=True.",
                stacklevel=2,
            )
        if train_step_counter is None:
            train_step_counter = tf.Variable(0, trainable=False, dtype=tf.int64, name="train_step")
        super().__init__(
            time_step_spec,
            action_spec,
            policy=ActorPolicy(*acting, greedy=True, jit_compile=jit_compile),
            collect_policy=collect_policy,
            train_sequence_length=None,
            train_step_counter=train_step_counter,
        )
        self._actor_network = actor_network
        self._value_network = value_network
        self._policy_update = policy_update
        self._observation_normalizer = observation_normalizer
        self._gamma = gamma
        self._gae_lambda = gae_lambda
        self._advantage_scaling = advantage_scaling
        self._value_fit = value_fit or MinibatchRegression()
        self._value_fit.build(value_network.trainable_variables)
        # Entropies are reported of the normalized action, so that they compare across action units.
        self._log_half_widths = float(np.sum(np.log(half)))
        self._generator = make_generator(None if seed is None else stream(seed, "minibatches"))
        self._update = tf.function(self._compute_update, jit_compile=jit_compile, autograph=False)
        self._compiled_train = tf.function(self._draw_and_update, autograph=False)

    @property
    def actor_network(self) -> network.Network:
        return self._actor_network

    @property
    def value_network(self) -> network.Network:
        return self._value_network

    @property
    def observation_normalizer(self) -> ObservationNormalizer | None:
        return self._observation_normalizer

    def train_on_rollout(self, rollout: Rollout) -> tf_agent.LossInfo:
        """Trains on transitions; `extra` holds the iteration's metrics as scalar tensors.

        `entropy` is that of the policy that acted, in nats of the action scaled to [−1, 1]: the mean of
        −log π of the actions taken, as recorded with them.
        """
        metrics = self._compiled_train(rollout)
        return tf_agent.LossInfo(loss=-metrics["surrogate"], extra=metrics)

    def _train(self, experience, weights=None):
        if weights is not None:
            raise ConfigurationError("weights: this agent weighs all transitions alike. Pass none.")
        return self.train_on_rollout(rollout_from_trajectory(experience))

    def _draw_and_update(self, rollout):
        seeds = tf.bitcast(self._generator.make_seeds(2), tf.int32)[0]  # Two int32 pairs.
        return self._update(rollout, seeds)

    def _compute_update(self, rollout, seeds):
        batch, value, target = self._evaluate(rollout)
        metrics = self._policy_update(batch, seeds[0])
        metrics["entropy"] = -masked_mean(batch.log_prob, batch.valid) - self._log_half_widths
        metrics["explained_variance"] = explained_variance(value, target, batch.valid)
        metrics["value_loss"] = self._value_fit.fit(
            lambda observation: self._value_network(observation)[0],
            self._value_network.trainable_variables,
            batch.observation,
            target,
            batch.valid,
            seeds[1],
        )
        if self._observation_normalizer is not None:
            self._observation_normalizer.update(rollout.observation, rollout.valid)
        self.train_step_counter.assign_add(1)
        return metrics

    def _evaluate(self, rollout):
        """Returns the policy's batch, V(s) `[N]` and the value targets `[N]`, N = B·T."""
        batch, time = rollout.reward.shape

        def merge(tensor):
            return tf.reshape(tensor, [batch * time, *tensor.shape[2:]])

        observation = self._normalize(merge(rollout.observation))
        value = self._value_network(observation)[0]
        next_value = self._value_network(self._normalize(merge(rollout.next_observation)))[0]
        advantage = merge(
            generalized_advantages(
                rollout.reward,
                rollout.discount,
                tf.reshape(value, [batch, time]),
                tf.reshape(next_value, [batch, time]),
                rollout.episode_end,
                self._gamma,
                self._gae_lambda,
            )
        )
        valid = merge(rollout.valid)
        info = {name: merge(tensor) for name, tensor in rollout.policy_info.items()}
        policy_batch = PolicyBatch(
            observation=observation,
            action=merge(rollout.action),
            pre_squash_action=info.get("pre_squash_action"),
            log_prob=info["log_prob"],
            advantage=scale_advantages(advantage, valid, self._advantage_scaling),
            valid=valid,
        )
        return policy_batch, value, advantage + value

    def _normalize(self, observation):
        normalizer = self._observation_normalizer
        return observation if normalizer is None else normalizer(observation)


def _require_capabilities(actor_network, time_step_spec, algorithm, entropy_weight) -> None:
    spec = tensor_spec.from_spec(time_step_spec.observation)
    distribution, _ = actor_network(tf.zeros([1, *spec.shape], spec.dtype))
    policy = type(actor_network).__name__
    require(
        distribution,
        ("log_prob", "sample_and_log_prob"),
        policy=policy,
        algorithm=algorithm,
        instead="On-policy agents (TRPO, PPO, ACKTR) compare densities of given actions: use a Gaussian, "
        "mixture or flow policy (GaussianActorNetwork, MixtureActorNetwork, FlowActorNetwork). Policies "
        "without a density are trained by algorithms that only sample from them.",
    )
    if entropy_weight and "entropy" not in capabilities(distribution):
        # Samples that gradients do not flow through would give a wrong gradient, not an error.
        require(
            distribution,
            ("reparameterized_sample",),
            policy=policy,
            algorithm=f"{algorithm} with entropy_weight={entropy_weight}",
            instead="The entropy's gradient flows through samples where there is no closed form: use a "
            "reparameterized distribution, or entropy_weight=0.",
        )
