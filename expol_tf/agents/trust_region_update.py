"""The policy update of TRPO: one natural-gradient step inside a KL ball."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.agents.policy_update import PolicyBatch, PolicyObjective, PolicyUpdate
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count
from expol_tf.objectives import importance_surrogate
from expol_tf.optimizers import TrustRegion
from expol_tf.replicas import split_seed

FISHER_ACTIONS = ("taken", "fresh")


@configurable
class TrustRegionUpdate(PolicyUpdate, supports_replicas=True):
    """Maximizes mean[(π/π_old)·Â] + β·H[π] subject to E_s KL[π_old ‖ π] ≤ δ, by one `TrustRegion` step.

    Reference: Schulman et al. 2015, *Trust Region Policy Optimization*, Eq. 14 and App. C.

    Args:
      trust_region: The step rule; `TrustRegion()` by default.
      fisher_subsample: F averages over every n-th transition; 1 is all of them.
      fisher_actions: F is taken at the actions of the rollout ("taken") or at new ones of π_old ("fresh").
    """

    def __init__(
        self,
        trust_region: TrustRegion | None = None,
        fisher_subsample: Count = 1,
        fisher_actions: str = "taken",
    ) -> None:
        super().__init__(name="TrustRegionUpdate")
        if fisher_actions not in FISHER_ACTIONS:
            raise ConfigurationError(
                f"fisher_actions must be one of {FISHER_ACTIONS}; got {fisher_actions!r}."
            )
        self._trust_region = trust_region or TrustRegion()
        self._fisher_subsample = fisher_subsample
        self._fisher_actions = fisher_actions

    def __call__(
        self, objective: PolicyObjective, batch: PolicyBatch, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Takes the step; its `TrustRegionReport` are the metrics."""
        kl_seed, entropy_seed = split_seed(seed, 2)
        # Before the step: afterwards the network is π, no longer π_old.
        divergence = objective.divergence_from(objective.distribution(batch.observation), batch, kl_seed)

        def measure(batch, entropy_seed):
            """Returns (surrogate + bonus, KL[π_old ‖ π]), two means over a batch."""
            log_prob, new = objective.log_prob(batch)
            surrogate = importance_surrogate(log_prob, batch.log_prob, batch.advantage, batch.valid)
            return surrogate + objective.entropy_bonus(new, batch, entropy_seed), divergence(new)

        # The gradient is over all transitions; F, which only shapes the step, can do with fewer.
        samples = batch.every(self._fisher_subsample)
        if self._fisher_actions == "fresh":
            # Folded in, not split off, so that the other seeds are the same with fresh actions and without.
            fresh_seed = tf.random.experimental.stateless_fold_in(seed, 1)
            samples = objective.with_fresh_actions(samples, fresh_seed)
        report = self._trust_region.step(
            objective.variables,
            measure,
            lambda batch: objective.log_prob(batch)[0],
            batch,
            batch.valid,
            entropy_seed,
            fisher_samples=(samples, samples.valid),
        )
        return report._asdict()
