"""The policy update of ACKTR: one K-FAC step, whose length follows the divergence it caused."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from expol_tf.agents.policy_update import PolicyBatch, PolicyObjective, PolicyUpdate
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Positive
from expol_tf.objectives import importance_surrogate
from expol_tf.optimizers import Kfac, KfacCoverage, assign, flatten
from expol_tf.replicas import compiled, means

# Each change of the learning rate is by this factor.
_RATE_FACTOR = 1.5
# A step is scaled back where its divergence is more than so many times the desired one, so often at most.
# Each time it becomes half as long or less.
_TOO_FAR = 4.0
_SCALINGS = 10


# It compiles itself, as eigendecompositions must stay outside of what XLA compiles.
@configurable
class KroneckerUpdate(PolicyUpdate, compiles_itself=True, supports_replicas=True):
    """Ascends mean[(π/π_old)·Â] + β·H[π] by one `Kfac` step whose rate is adapted to E_s KL[π_old ‖ π].

    The rate is divided by 1.5 after a step with KL > 2·desired_kl, and multiplied by 1.5 after one with
    KL < desired_kl/2. A step with KL > 4·desired_kl, which the Fisher matrix did not foresee, is scaled back
    to √(desired_kl/KL) of its length and measured again, and so is its momentum. A step after which the
    surrogate or the divergence is not finite is undone, and its momentum forgotten.

    Reference: Wu et al. 2017, *Scalable trust-region method for deep reinforcement learning using
    Kronecker-factored approximation*, §3 and 4.

    Args:
      kfac: The optimizer, which serves this policy alone; by default one whose steps have the Fisher matrix
        of the last ten batches or so, and predict `desired_kl` where the rate allows it: `Kfac(1.0,
        damping=0.1, clip_kl=desired_kl, momentum=0.0, factor_decay=0.9, eigen_interval=1)`, compiled as the
        agent is.
      desired_kl: Divergence per update that the learning rate aims at, in nats.
      min_learning_rate: The smallest rate.
      max_learning_rate: The largest rate.
    """

    def __init__(
        self,
        kfac: Kfac | None = None,
        desired_kl: Positive = 0.01,
        min_learning_rate: Positive = 1e-4,
        max_learning_rate: Positive = 1.0,
    ) -> None:
        super().__init__(name="KroneckerUpdate")
        if min_learning_rate > max_learning_rate:
            raise ConfigurationError(
                "KroneckerUpdate.min_learning_rate must be at most max_learning_rate; got "
                f"{min_learning_rate} and {max_learning_rate}."
            )
        self.kfac = kfac
        self._desired_kl = desired_kl
        self._rate_bounds = min_learning_rate, max_learning_rate
        self._jit_compile = True

    @property
    def coverage(self) -> KfacCoverage:
        """Which of the policy's variables have Kronecker factors and which are in the exact Fisher block."""
        assert self.kfac is not None, "build comes first"
        return self.kfac.coverage

    def build(self, objective: PolicyObjective, jit_compile: bool = True) -> None:
        """Finds the policy's layers and creates the optimizer's state for them.

        Args:
          objective: Measures the policy.
          jit_compile: Whether XLA compiles what is measured after a step, and the default optimizer's steps.
        """
        self._jit_compile = jit_compile
        if self.kfac is None:
            # A policy changes fast, and with it its Fisher matrix: a mean over many batches lags behind, and
            # so does a velocity.
            self.kfac = Kfac(
                learning_rate=1.0,
                damping=0.1,
                clip_kl=self._desired_kl,
                momentum=0.0,
                factor_decay=0.9,
                eigen_interval=1,
                jit_compile=jit_compile,
            )
        example = objective.example()
        self.kfac.build(objective.variables, lambda: objective.log_prob(example)[0])

    def __call__(
        self, objective: PolicyObjective, batch: PolicyBatch, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Takes the step, measures what it led to, and adapts the rate."""
        assert self.kfac is not None, "build comes first"
        kl_seed, entropy_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        # Kept to go back to: a rejected step leaves every bit as it was.
        old = flatten(objective.variables)
        # Before the step: afterwards the network is π, no longer π_old.
        divergence = objective.divergence_from(objective.distribution(batch.observation), batch, kl_seed)

        def evaluate(batch, entropy_seed):
            """Returns (surrogate + bonus, log π `[n]`, π) of a batch."""
            log_prob, new = objective.log_prob(batch)
            surrogate = importance_surrogate(log_prob, batch.log_prob, batch.advantage, batch.valid)
            return surrogate + objective.entropy_bonus(new, batch, entropy_seed), log_prob, new

        def objective_and_log_prob(batch, entropy_seed):
            """Returns (objective, log π `[n]`), as `Kfac.step` takes them."""
            return evaluate(batch, entropy_seed)[:2]

        def objective_and_divergence(batch, entropy_seed):
            """Returns (objective, KL[π_old ‖ π]), two means over a batch."""
            value, _, new = evaluate(batch, entropy_seed)
            return value, divergence(new)

        report = self.kfac.step(objective_and_log_prob, batch, batch.valid, entropy_seed)
        measure = compiled(
            lambda: means(objective_and_divergence, batch, batch.valid, entropy_seed), self._jit_compile
        )
        surrogate, measured_kl = measure()
        fraction, surrogate, kl = self._scaled_back(objective.variables, old, measure, surrogate, measured_kl)
        improvement = surrogate - report.objective
        # Where the objective was not finite before, Kfac took no step, and the metrics must tell.
        undone = ~(tf.math.is_finite(improvement) & tf.math.is_finite(kl))
        undone &= tf.math.is_finite(report.objective)
        assign(objective.variables, tf.where(undone, old, flatten(objective.variables)))
        # Momentum would take what led there into the next steps.
        self.kfac.scale_momentum(tf.where(undone, tf.zeros_like(fraction), fraction))
        self._adapt(self.kfac.learning_rate, measured_kl, taken=report.trust_region_scale > 0)
        improvement, kl, fraction = (
            tf.where(undone, tf.zeros_like(number), number)
            for number in (improvement, kl, fraction * report.trust_region_scale)
        )
        return {
            "surrogate": improvement,
            "kl": kl,
            "accepted_step_fraction": fraction,
            "learning_rate": tf.identity(self.kfac.learning_rate),
            "predicted_kl": report.predicted_kl,
            "gradient_norm": report.gradient_norm,
        }

    def _scaled_back(self, variables, old, measure, surrogate, kl):
        """Shortens the step while its divergence is too large: (its fraction, surrogate, divergence) then.

        A step that stays too long gets a divergence of infinity, so that it is undone.
        """
        new = flatten(variables)
        limit = _TOO_FAR * self._desired_kl

        def too_far(_, fraction, surrogate, kl):
            """Whether a finite divergence is above the limit."""
            return (kl > limit) & tf.math.is_finite(kl)

        def shorten(count, fraction, surrogate, kl):
            """The divergence is nearly quadratic in the step's length."""
            fraction *= tf.sqrt(self._desired_kl / kl)
            assign(variables, old + fraction * (new - old))
            return count + 1, fraction, *measure()

        _, fraction, surrogate, kl = tf.while_loop(
            too_far,
            shorten,
            (tf.constant(0), tf.ones_like(kl), surrogate, kl),
            maximum_iterations=_SCALINGS,
        )
        return fraction, surrogate, tf.where(kl > limit, tf.constant(np.inf, kl.dtype), kl)

    def _adapt(self, rate, kl, taken):
        # A divergence that is not finite counts as too large.
        factor = tf.where(taken & (kl < 0.5 * self._desired_kl), _RATE_FACTOR, 1.0)
        factor = tf.where(kl <= 2.0 * self._desired_kl, factor, 1.0 / _RATE_FACTOR)
        rate.assign(tf.clip_by_value(rate * factor, *self._rate_bounds))
