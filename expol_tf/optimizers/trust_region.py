"""One natural-gradient step inside a KL ball."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.number_types import AtLeastOne, Count, Fraction, NonNegative, Positive
from expol_tf.optimizers.conjugate_gradient import conjugate_gradient, power_of_two
from expol_tf.optimizers.constraints import projected
from expol_tf.optimizers.fisher import fisher_product
from expol_tf.optimizers.flat import assign, flatten
from expol_tf.optimizers.line_search import backtracking_line_search
from expol_tf.replicas import gradients, means


class TrustRegionReport(NamedTuple):
    """Scalars of one step.

    `surrogate` and `kl` are the improvement and the divergence of the accepted step (0 where none was),
    `accepted_step_fraction` its fraction of the full step, `gradient_norm` ‖∇S‖, and `cg_residual`
    ‖(F + d·I)x − g‖ of the inner solve.
    """

    surrogate: tf.Tensor
    kl: tf.Tensor
    accepted_step_fraction: tf.Tensor
    gradient_norm: tf.Tensor
    cg_residual: tf.Tensor


@configurable
class TrustRegion:
    """θ ← θ + f·x·√(2δ / xᵀ(F + d·I)x), (F + d·I)x = ∇S, with the largest acceptable f ∈ {1, ρ, ρ², …}.

    Acceptable: KL ≤ `kl_slack`·δ, the surrogate improves, and everything is finite; if no f is, θ stays
    exactly as it was. F is the Fisher matrix in Gauss–Newton form, so the inner system is positive definite
    on every batch. Where variables have a Keras `constraint`, every θ that is tried is projected by it, and
    improvement and KL are measured at the projected θ.

    Reference: Schulman et al. 2015, *Trust Region Policy Optimization*, App. C. The factor 2 in the step
    length comes from KL ≈ ½ xᵀF x; see `docs/errata.md`.

    Args:
      max_kl: δ, in nats.
      damping: d, added to F's diagonal.
      cg_iterations: Conjugate-gradient iterations of the inner solve.
      cg_tolerance: Squared residual, relative to ‖∇S‖², at which the solve stops early.
      kl_slack: A step may overshoot δ by this factor, as F is a local approximation.
      max_backtracks: How many fractions are tried.
      backtrack_ratio: ρ, between 0 and 1.
    """

    def __init__(
        self,
        max_kl: Positive = 0.01,
        damping: NonNegative = 0.1,
        cg_iterations: Count = 10,
        cg_tolerance: NonNegative = 1e-10,
        kl_slack: AtLeastOne = 1.5,
        max_backtracks: Count = 10,
        backtrack_ratio: Fraction = 0.5,
    ) -> None:
        self.max_kl = max_kl
        self._damping = damping
        self._cg_iterations = cg_iterations
        self._cg_tolerance = cg_tolerance
        self._kl_slack = kl_slack
        self._max_backtracks = max_backtracks
        self._backtrack_ratio = backtrack_ratio

    def step(
        self,
        variables: Sequence[tf.Variable],
        measure: Callable[..., tuple[tf.Tensor, tf.Tensor]],
        log_prob: Callable[[Any], tf.Tensor],
        batch: Any,
        valid: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        fisher_samples: tuple[Any, tf.Tensor | None] | None = None,
    ) -> TrustRegionReport:
        """Moves the variables by one step. To be called inside a `tf.function`.

        Args:
          variables: θ, all of them trainable.
          measure: Computes (S, KL[π_old ‖ π]) of a batch at the variables' present values, two means over its
            valid samples; it takes a seed too where `seed` is given. What it uses of π_old has to be computed
            before this call.
          log_prob: Computes log π `[n]` of the samples that F averages over.
          batch: A structure of tensors `[N, …]`.
          valid: Bool `[N]`, the samples that count; by default all.
          seed: A stateless seed, int32 `[2]`; the same for every measurement.
          fisher_samples: What F averages over: a batch, and its weights as for `fisher_product`; by default
            the valid samples of `batch`.
        """
        # Kept to go back to: a rejected step leaves every bit as it was.
        old = flatten(variables)
        (old_surrogate, _), gradient = gradients(measure, batch, variables, valid, seed)
        gradient = flatten(gradient)
        samples, weights = (batch, valid) if fisher_samples is None else fisher_samples
        product = fisher_product(log_prob, samples, variables, weights, self._damping)
        # The step does not depend on the gradient's size, and with this unit neither do its roundings.
        unit = power_of_two(gradient)
        solution = conjugate_gradient(product, gradient / unit, self._cg_iterations, self._cg_tolerance)
        # xᵀ(F + d·I)x without another product: the solve leaves (F + d·I)x = g − residual.
        curvature = tf.tensordot(solution.solution, gradient / unit - solution.residual, 1)
        # At a stationary point both are 0, and the null step is not accepted.
        length = tf.where(
            tf.equal(curvature, 0.0), tf.zeros_like(curvature), tf.sqrt(2.0 * self.max_kl / curvature)
        )
        full_step = solution.solution * length

        def trial(fraction):
            """Moves to a fraction of the full step; returns (accepted, (improvement, divergence))."""
            assign(variables, projected(variables, old + fraction * full_step))
            # All measurements share a seed. Otherwise the improvement would be a difference of samples too.
            new_surrogate, divergence = means(measure, batch, valid, seed)
            improvement = new_surrogate - old_surrogate
            # NaN fails every comparison, but −∞ is below any bound.
            finite = tf.math.is_finite(improvement) & tf.math.is_finite(divergence)
            accepted = finite & (improvement > 0) & (divergence <= self._kl_slack * self.max_kl)
            return accepted, (improvement, divergence)

        search = backtracking_line_search(trial, 2, self._backtrack_ratio, self._max_backtracks, old.dtype)
        # Chosen, not multiplied by a fraction of 0, which would leave NaN where the step is NaN.
        new = projected(variables, old + search.fraction * full_step)
        assign(variables, tf.where(search.accepted, new, old))
        improvement, divergence = (tf.where(search.accepted, x, tf.zeros_like(x)) for x in search.measured)
        return TrustRegionReport(
            improvement, divergence, search.fraction, tf.norm(gradient), unit * tf.norm(solution.residual)
        )
