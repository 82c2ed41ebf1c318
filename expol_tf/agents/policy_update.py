"""What an on-policy update is given, a batch and an objective, and the base class of its rules."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.configurable import configurable
from expol_tf.distributions import (
    action_log_prob,
    analytic_kl,
    entropy_estimate,
    has_analytic_kl,
    sample_action,
    sampled_kl,
    split_squash,
)
from expol_tf.errors import ConfigurationError
from expol_tf.networks import call_network
from expol_tf.number_types import NonNegative, SampleSize
from expol_tf.objectives import masked_mean
from expol_tf.removed_names import answers_renamed_fields
from expol_tf.replicas import UpdatePart, divided, once_per_replica, outside_of_replicas, parts_of_replicas


@answers_renamed_fields
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

    def every(self, step: int) -> PolicyBatch:
        """Returns the batch of every `step`-th transition."""
        if step == 1:
            return self
        return PolicyBatch(*(None if tensor is None else tensor[::step] for tensor in self))


tfd = tfp.distributions

KL_ESTIMATORS = ("auto", "k1", "k3")


@configurable
class PolicyObjective:
    """log π, the entropy bonus β·H[π] and E_s KL[π_old ‖ π] of a policy on a batch.

    The entropy is the new policy's at the batch's states, in closed form or from fresh samples
    (`expol_tf.distributions.entropy_estimate`). Without a squash it is the entropy of actions before the
    environment clips them.

    The divergence is exact where it has a closed form (Gaussians). Elsewhere it is estimated at one fresh
    action of π_old per state: at the actions taken, which shaped the step, the estimate would be biased low
    (by 12 % in a measurement with a flow policy).

    Args:
      actor_network: The policy's network.
      entropy_weight: β, in units of the (scaled) advantage per nat.
      entropy_samples: Samples per state where H has no closed form.
      kl_estimator: "auto" (closed form if there is one, else k3), or "k1" or "k3" to estimate it in any case.
    """

    def __init__(
        self,
        actor_network: network.Network,
        entropy_weight: NonNegative = 0.0,
        entropy_samples: SampleSize = 10,
        kl_estimator: str = "auto",
    ) -> None:
        if kl_estimator not in KL_ESTIMATORS:
            raise ConfigurationError(f"kl_estimator must be one of {KL_ESTIMATORS}; got {kl_estimator!r}.")
        self._actor_network = actor_network
        self.entropy_weight = entropy_weight
        self._entropy_samples = entropy_samples
        self._kl_estimator = kl_estimator
        self._entropy_scale: float | tf.Tensor = 1.0

    @property
    def actor_network(self) -> network.Network:
        """The policy's network."""
        return self._actor_network

    @property
    def variables(self) -> list[tf.Variable]:
        """θ, the policy's trainable variables."""
        return self._actor_network.trainable_variables

    def distribution(self, observation: tf.Tensor) -> tfd.Distribution:
        """Returns π(·|s) for observations `[N, O]`, as the network takes them."""
        return call_network(self._actor_network, observation)[0]

    def log_prob(self, batch: PolicyBatch) -> tuple[tf.Tensor, tfd.Distribution]:
        """Returns log π(a|s) `[N]` of the batch's actions, and the distribution π(·|s) it came from."""
        distribution = self.distribution(batch.observation)
        return action_log_prob(distribution, batch.action, batch.pre_squash_action), distribution

    def example(self, size: int = 2) -> PolicyBatch:
        """Returns a batch of observations 0 with actions of this policy, to learn shapes and structure from.

        Raises:
          ConfigurationError: If the network does not say what its observations look like.
        """
        spec = self._actor_network.input_tensor_spec
        if spec is None:
            raise ConfigurationError(
                "actor_network: must know the spec of its observations; got input_tensor_spec=None. Pass the "
                "spec to the constructor of tf_agents' Network."
            )
        observation = tf.zeros([size, *spec.shape], spec.dtype)
        sample = sample_action(self.distribution(observation), tf.zeros([2], tf.int32))
        return PolicyBatch(
            observation,
            sample.action,
            sample.pre_squash_action,
            sample.log_prob,
            advantage=tf.zeros([size], sample.log_prob.dtype),
            valid=tf.fill([size], True),
        )

    def scaled(self, entropy_scale: tf.Tensor) -> PolicyObjective:
        """Returns this objective with its entropy bonus multiplied by a scalar.

        `AdvantageEstimation.scale` may divide advantages by a number. An entropy bonus that is divided by it
        too keeps its weight against them.
        """
        # Shallow: it shares the network, for whose variables the update was built.
        scaled = copy.copy(self)
        scaled._entropy_scale = entropy_scale
        return scaled

    def entropy_bonus(self, distribution: tfd.Distribution, batch: PolicyBatch, seed: tf.Tensor) -> tf.Tensor:
        """β·(entropy scale)·mean H[π], a scalar; 0 without any computation where β is 0."""
        if not self.entropy_weight:
            return tf.zeros([], batch.advantage.dtype)
        entropy = entropy_estimate(distribution, self._entropy_samples, seed)
        return self.entropy_weight * self._entropy_scale * masked_mean(entropy, batch.valid)

    def with_fresh_actions(self, batch: PolicyBatch, seed: tf.Tensor) -> PolicyBatch:
        """Returns the batch with other actions, drawn from the policy as it is now."""
        distribution = self.distribution(batch.observation)
        # For the whole batch at once, so that actions are the same with replicas and without.
        sample = outside_of_replicas(lambda: sample_action(distribution, seed))
        return batch._replace(action=sample.action, pre_squash_action=sample.pre_squash_action)

    def divergence_from(
        self, old: tfd.Distribution, batch: PolicyBatch, seed: tf.Tensor
    ) -> Callable[[tfd.Distribution], tf.Tensor]:
        """Returns E_s KL[π_old ‖ ·], a function; what it needs of π_old is computed here, before θ moves.

        Args:
          old: π_old at all states of the batch.
          batch: The whole batch, of which `observation` and `valid` are used.
          seed: int32 `[2]`, the stateless seed of the fresh actions.

        Returns:
          A function of π at all states of the batch or, inside a replica, at those of its part. It returns
          the mean over the valid ones.
        """
        inner, _ = split_squash(old)
        # A distribution that reads variables when it is asked follows them as they move: KL would stay 0.
        frozen = not inner.variables
        part = parts_of_replicas(batch)
        if self._kl_estimator == "auto" and frozen and has_analytic_kl(old):

            def exact_divergence(new: tfd.Distribution) -> tf.Tensor:
                """The mean of KL[π_old ‖ π] in closed form, over the valid states."""
                return masked_mean(analytic_kl(old if own is None or divided() else own(), new), part().valid)

            # A distribution cannot be cut into parts, so that replicas make that of their part themselves.
            own = once_per_replica(lambda: self.distribution(part().observation)) if divided() else None
            return exact_divergence
        # Drawn before θ moves: a distribution that reads variables would follow them.
        fresh = parts_of_replicas(outside_of_replicas(lambda: sample_action(old, seed)))
        estimator = "k3" if self._kl_estimator == "auto" else self._kl_estimator

        def divergence(new: tfd.Distribution) -> tf.Tensor:
            """The mean of the estimator's terms at the fresh actions, over the valid states."""
            sample = fresh()
            log_q = action_log_prob(new, sample.action, sample.pre_squash_action)
            return masked_mean(sampled_kl(sample.log_prob, log_q, estimator), part().valid)

        return divergence


class PolicyUpdate(UpdatePart):
    """One update of a policy from a batch of transitions of π_old; TRPO, PPO and ACKTR are subclasses.

    A subclass is made without the policy, so that gin can make it, and implements `__call__`. State of its
    own (variables, optimizers) are attributes, which checkpoints hold: it is a `tf.Module`. What it can do
    beyond that it says in keywords of its class (see `UpdatePart`):

    ```python
    class MyUpdate(PolicyUpdate, supports_replicas=True):
        def __call__(self, objective, batch, seed):
            ...
            return {"surrogate": improvement}
    ```
    """

    def build(self, objective: PolicyObjective, jit_compile: bool = True) -> None:
        """Creates state for a policy; the agent calls it once, when it has found the policy fit.

        Args:
          objective: Measures the policy; `objective.variables` are what the update moves.
          jit_compile: Whether XLA compiles training. A rule that compiles itself follows it.
        """

    def __call__(
        self, objective: PolicyObjective, batch: PolicyBatch, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Moves the policy's variables; called inside the agent's compiled function.

        Args:
          objective: Measures the policy. Its entropy bonus is weighed for this batch, so take this one and
            not the one that `build` was given.
          batch: N transitions of π_old.
          seed: int32 `[2]`, the stateless seed of all randomness.

        Returns:
          Scalars by name, `surrogate` (by how much the objective rose) among them.
        """
        raise NotImplementedError(f"{type(self).__name__}.__call__ must be implemented.")
