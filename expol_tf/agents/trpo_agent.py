"""Trust region policy optimization for any policy with a density."""

from __future__ import annotations

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.on_policy_agent import OnPolicyAgent, PolicyBatch
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
from expol_tf.networks import ObservationNormalizer
from expol_tf.objectives import importance_surrogate, masked_mean
from expol_tf.optimizers import MinibatchRegression, TrustRegion

FISHER_ACTIONS = ("taken", "fresh")
KL_ESTIMATORS = ("auto", "k1", "k3")


@gin.configurable(module="expol_tf")
class TrustRegionUpdate:
    """Maximizes mean[(π/π_old)·Â] + β·H[π] subject to E_s KL[π_old ‖ π] ≤ δ, by one `TrustRegion` step.

    The divergence is exact where it has a closed form (Gaussians). Elsewhere it is estimated at one fresh
    action of π_old per state: at the actions taken, which shaped the step, the estimate would be biased low
    (by 12 % in a measurement with a flow policy).

    The entropy in the objective is the new policy's at the rollout's states, in closed form or from fresh
    reparameterized samples (`expol_tf.distributions.entropy_estimate`). Without a squash it is the entropy of
    actions before the environment clips them.

    Args:
      actor_network: Whose variables are moved.
      trust_region: The step rule.
      entropy_weight: β, in units of the (scaled) advantage per nat.
      entropy_samples: Samples per state where H has no closed form.
      kl_estimator: "auto" (closed form if there is one, else k3), or "k1" or "k3" to estimate it in any case.
      fisher_subsample: F averages over every n-th transition; 1 is all of them.
      fisher_actions: F is taken at the actions of the rollout ("taken") or at new ones of π_old ("fresh").
    """

    def __init__(
        self,
        actor_network: network.Network,
        trust_region: TrustRegion | None = None,
        entropy_weight: float = 0.0,
        entropy_samples: int = 10,
        kl_estimator: str = "auto",
        fisher_subsample: int = 1,
        fisher_actions: str = "taken",
    ) -> None:
        if fisher_actions not in FISHER_ACTIONS:
            raise ConfigurationError(
                f"fisher_actions must be one of {FISHER_ACTIONS}; got {fisher_actions!r}."
            )
        if kl_estimator not in KL_ESTIMATORS:
            raise ConfigurationError(f"kl_estimator must be one of {KL_ESTIMATORS}; got {kl_estimator!r}.")
        if fisher_subsample < 1:
            raise ConfigurationError(f"fisher_subsample must be 1 or more; got {fisher_subsample}.")
        if entropy_weight < 0:
            raise ConfigurationError(f"entropy_weight must be 0 or more; got {entropy_weight}.")
        self._actor_network = actor_network
        self._trust_region = trust_region or TrustRegion()
        self.entropy_weight = entropy_weight
        self._entropy_samples = entropy_samples
        self._kl_estimator = kl_estimator
        self._fisher_subsample = fisher_subsample
        self._fisher_actions = fisher_actions

    def __call__(self, batch: PolicyBatch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        kl_seed, entropy_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        divergence = self._divergence(self._distribution(batch.observation), batch, kl_seed)

        def measure():
            new = self._distribution(batch.observation)
            log_prob = action_log_prob(new, batch.action, batch.pre_squash_action)
            objective = importance_surrogate(log_prob, batch.log_prob, batch.advantage, batch.valid)
            if self.entropy_weight:
                entropy = entropy_estimate(new, self._entropy_samples, entropy_seed)
                objective += self.entropy_weight * masked_mean(entropy, batch.valid)
            return objective, divergence(new)

        some = PolicyBatch(*(None if part is None else part[:: self._fisher_subsample] for part in batch))

        if self._fisher_actions == "fresh":
            fisher_seed = tf.random.experimental.stateless_fold_in(seed, 1)
            sample = sample_action(self._distribution(some.observation), fisher_seed)
            some = some._replace(action=sample.action, pre_squash_action=sample.pre_squash_action)

        def log_prob():
            return action_log_prob(self._distribution(some.observation), some.action, some.pre_squash_action)

        valid = tf.cast(some.valid, tf.float32)
        report = self._trust_region.step(
            self._actor_network.trainable_variables,
            measure,
            log_prob,
            weights=valid / tf.maximum(tf.reduce_sum(valid), 1.0),
        )
        return report._asdict()

    def _distribution(self, observation):
        return self._actor_network(observation)[0]

    def _divergence(self, old, batch, seed):
        """Returns KL[π_old ‖ ·] as a function; what it needs of π_old is computed here, before θ moves."""
        inner, _ = split_squash(old)
        # A distribution that reads variables when asked would follow them as they move, and KL would stay 0.
        frozen = not inner.variables
        if self._kl_estimator == "auto" and frozen and has_analytic_kl(old):
            return lambda new: masked_mean(analytic_kl(old, new), batch.valid)
        fresh = sample_action(old, seed)
        estimator = "k3" if self._kl_estimator == "auto" else self._kl_estimator

        def divergence(new):
            log_q = action_log_prob(new, fresh.action, fresh.pre_squash_action)
            return masked_mean(sampled_kl(fresh.log_prob, log_q, estimator), batch.valid)

        return divergence


@gin.configurable(module="expol_tf")
class TrpoAgent(OnPolicyAgent):
    """TRPO (Schulman et al. 2015) with sampled or exact KL, for Gaussian, mixture and flow policies.

    A wiring of `OnPolicyAgent` with a `TrustRegionUpdate`; build `OnPolicyAgent` yourself to recombine the
    parts. See `docs/trpo.md` for the details and the metrics, and `docs/errata.md` for where the flow-policy
    papers' formulas were corrected.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution with log_prob, state)`.
      value_network: `network(observation) -> (value [B], state)`.
      observation_normalizer: Shared by the policies and the value network, or None.
      gamma: γ, discount per step.
      gae_lambda: λ of generalized advantage estimation.
      entropy_weight: β; squash the policy if it is positive, as beyond a clipped box entropy is free (warns).
      trust_region: The step rule; `TrustRegion()` by default.
      value_fit: How the value network is fitted; `MinibatchRegression()` by default.
      advantage_scaling: "standardize", "center", or None: standardize unless β > 0, which it would rescale.
      seed: Of all randomness of this agent; None takes entropy from the system.
      train_step_counter: int64 variable counting calls of `train`; a new one by default.
      jit_compile: Whether XLA compiles acting and training.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        value_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        *,
        gamma: float = 0.99,
        gae_lambda: float = 0.98,
        entropy_weight: float = 0.0,
        trust_region: TrustRegion | None = None,
        value_fit: MinibatchRegression | None = None,
        advantage_scaling: str | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            value_network,
            policy_update=TrustRegionUpdate(actor_network, trust_region, entropy_weight),
            observation_normalizer=observation_normalizer,
            gamma=gamma,
            gae_lambda=gae_lambda,
            advantage_scaling=advantage_scaling or ("center" if entropy_weight else "standardize"),
            value_fit=value_fit,
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
