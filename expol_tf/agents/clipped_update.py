"""The policy update of PPO: epochs of Adam on the clipped surrogate."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.agents.policy_update import PolicyBatch, PolicyObjective, PolicyUpdate
from expol_tf.configurable import configurable
from expol_tf.distributions import sampled_kl
from expol_tf.number_types import Positive
from expol_tf.objectives import clip_fraction, clipped_surrogate, masked_mean
from expol_tf.optimizers import MinibatchAdam
from expol_tf.replicas import split_seed


@configurable
class ClippedUpdate(PolicyUpdate, supports_replicas=True):
    """Maximizes mean[ min( r·Â, clip(r, 1 − c, 1 + c)·Â ) ] + β·H[π], r = π/π_old, by epochs of Adam.

    Reference: Schulman et al. 2017, *Proximal Policy Optimization Algorithms*, Eq. 7 and Alg. 1.

    Args:
      optimizer: The epochs, minibatches and step size; by default `MinibatchAdam(max_gradient_norm=0.5)`.
      clip_range: c: how far a ratio may move from 1 before it gains nothing more.
      max_kl: Early stop: no step is made any more as soon as KL[π_old ‖ π], estimated by k3 at a minibatch's
        own actions, exceeds it (nats); None never stops.
    """

    def __init__(
        self,
        optimizer: MinibatchAdam | None = None,
        clip_range: Positive = 0.2,
        max_kl: Positive | None = None,
    ) -> None:
        super().__init__(name="ClippedUpdate")
        self.optimizer = optimizer or MinibatchAdam(max_gradient_norm=0.5)
        self._clip_range = clip_range
        self._max_kl = max_kl

    def build(self, objective: PolicyObjective, jit_compile: bool = True) -> None:
        """Creates Adam's moments for the policy's variables."""
        self.optimizer.build(objective.variables)

    def __call__(
        self, objective: PolicyObjective, batch: PolicyBatch, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Takes all steps; the divergence is measured after them, at fresh actions or exactly."""
        kl_seed, entropy_seed, steps_seed = split_seed(seed, 3)

        def evaluate(batch, bonus_seed):
            """Returns (surrogate + bonus, log π `[n]`, π) of a batch."""
            log_prob, distribution = objective.log_prob(batch)
            surrogate = clipped_surrogate(
                log_prob, batch.log_prob, batch.advantage, batch.valid, self._clip_range
            )
            bonus = objective.entropy_bonus(distribution, batch, bonus_seed)
            return surrogate + bonus, log_prob, distribution

        def loss(minibatch, step_seed):
            """Returns the loss and, if there is a bound on KL, by how much KL exceeds it."""
            surrogate, log_prob, _ = evaluate(minibatch, step_seed)
            if self._max_kl is None:
                return -surrogate
            # Before the step: a minibatch that is already too far away moves nothing.
            kl = masked_mean(sampled_kl(minibatch.log_prob, log_prob, "k3"), minibatch.valid)
            return -surrogate, kl - self._max_kl

        old_surrogate, _, old = evaluate(batch, entropy_seed)
        # Before θ moves: afterwards the network is π, no longer π_old.
        divergence = objective.divergence_from(old, batch, kl_seed)
        report = self.optimizer.minimize(loss, objective.variables, batch, steps_seed, batch.valid)
        # With the seed of the first evaluation, so that the improvement is not a difference of samples.
        surrogate, log_prob, new = evaluate(batch, entropy_seed)
        return {
            "surrogate": surrogate - old_surrogate,
            "kl": divergence(new),
            "accepted_step_fraction": report.step_fraction,
            "clip_fraction": clip_fraction(log_prob, batch.log_prob, batch.valid, self._clip_range),
            "gradient_norm": report.gradient_norm,
        }
