"""The policy update of TRPO: one natural-gradient step inside a KL ball."""

from __future__ import annotations

import gin
import tensorflow as tf

from expol_tf.agents.policy_batch import PolicyBatch
from expol_tf.agents.policy_objective import PolicyObjective
from expol_tf.agents.policy_update import PolicyUpdate
from expol_tf.distributions import sample_action
from expol_tf.errors import ConfigurationError
from expol_tf.objectives import importance_surrogate
from expol_tf.optimizers import TrustRegion
from expol_tf.renamed import answers_renamed
from expol_tf.replicas import outside_of_replicas, parts_of_replicas, shares_of_replicas, split_seed

FISHER_ACTIONS = ("taken", "fresh")


@gin.configurable(module="expol_tf")
@answers_renamed
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
        fisher_subsample: int = 1,
        fisher_actions: str = "taken",
    ) -> None:
        super().__init__(name="TrustRegionUpdate")
        if fisher_actions not in FISHER_ACTIONS:
            raise ConfigurationError(
                f"fisher_actions must be one of {FISHER_ACTIONS}; got {fisher_actions!r}."
            )
        if fisher_subsample < 1:
            raise ConfigurationError(f"fisher_subsample must be 1 or more; got {fisher_subsample}.")
        self._trust_region = trust_region or TrustRegion()
        self._fisher_subsample = fisher_subsample
        self._fisher_actions = fisher_actions

    def __call__(
        self, objective: PolicyObjective, batch: PolicyBatch, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Takes the step; its `TrustRegionReport` are the metrics."""
        kl_seed, entropy_seed = split_seed(seed, 2)
        part, share = parts_of_replicas(batch), shares_of_replicas(lambda: batch.valid)
        divergence = objective.divergence_from(
            objective.distribution(batch.observation), batch.valid, kl_seed, part
        )

        def measure():
            own = part()
            log_prob, new = objective.log_prob(own)
            surrogate = importance_surrogate(log_prob, own.log_prob, own.advantage, own.valid)
            return share(surrogate + objective.entropy_bonus(new, own, entropy_seed)), share(divergence(new))

        some = batch.every(self._fisher_subsample)
        if self._fisher_actions == "fresh":
            old = objective.distribution(some.observation)
            sample = outside_of_replicas(
                lambda: sample_action(old, tf.random.experimental.stateless_fold_in(seed, 1))
            )
            some = some._replace(action=sample.action, pre_squash_action=sample.pre_squash_action)

        valid = tf.cast(some.valid, tf.float32)
        some_part = parts_of_replicas((some, valid / tf.maximum(tf.reduce_sum(valid), 1.0)))
        report = self._trust_region.step(
            objective.variables,
            measure,
            lambda: objective.log_prob(some_part()[0])[0],
            weights=lambda: some_part()[1],
        )
        return report._asdict()
