"""How the particles of a Stein distribution are drawn and moved."""

from __future__ import annotations

import dataclasses

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count, FewOrNone, Fraction, Positive, SampleSize
from expol_tf.samplers import (
    JOINT_CHANGES,
    check_bandwidth,
    check_density_change,
    check_num_probes,
)

STEPS = ("plain", "per_temperature")
# Components up to which the trace of ∇²ℓ costs little exactly.
_EXACT_UP_TO = 2


@configurable
@dataclasses.dataclass(frozen=True)
class SteinSampler:
    """M particles, drawn from a Gaussian q⁰ = N(μ, diag σ²) and moved by L steps of SVGD.

    Attributes:
      num_particles: M, the number of particles that move together as one set.
      num_sampler_steps: L, 0 or more.
      step_size: ε, positive.
      step: What multiplies the direction k∇ℓ + α∇k: "plain", ε; or "per_temperature", ε/α, with which a
        large α does not make large steps.
      bandwidth: The width of the kernel: "median" (not where XLA compiles for the CPU), "mean" or a standard
        deviation, see `expol_tf.samplers`.
      density_change: What log π is. The entropies of "joint_trace" and "joint_logdet" are lower bounds where
        the scores are smooth and steps are short against their curvature (the statistic `largest_curvature`);
        those of "printed", the paper's, and of "logdet" are above the truth in more than a few dimensions.
        XLA has no determinants on the CPU. See `expol_tf.samplers.svgd`.
      num_probes: Random directions in which "joint_trace" takes ∇²ℓ; None takes all A of them if A ≤ 2, and
        one otherwise.
      step_limit: The largest contraction of a set by a step. Longer steps, which might fold the set, are
        shortened; None takes every step as it is. A single particle is never limited.
      range: t. Particles start within t standard deviations of μ, and spares replace those that leave that
        range on their way; None for no limit.
      num_spares: Number of particles that a set has in excess of M, to replace those that leave. If they are
        too few, particles that stayed are taken again; if none stayed, all are kept.
      score_gradient: Whether gradients of samples flow through the scores. This takes the second derivative
        of ℓ, and as much time again as the scores. If ℓ is a network of ReLUs, it is 0 almost everywhere.
      curvature_gradient: Whether gradients of log π flow through ∇²ℓ, by the third derivative of ℓ, and in
        "joint_trace" through the second order in ε.
    """

    num_particles: SampleSize = 10
    num_sampler_steps: FewOrNone = 3
    step_size: Positive = 0.1
    step: str = "plain"
    bandwidth: str | Positive = "mean"
    density_change: str = "joint_trace"
    num_probes: Count | None = None
    step_limit: Fraction | None = 0.75
    range: Positive | None = 3.0
    num_spares: FewOrNone = 0
    score_gradient: bool = True
    curvature_gradient: bool = False

    # The least h = 2σ² of the kernel. Particles that meet have distances of 0, by which the kernel divides.
    floor = 2e-3

    def __post_init__(self) -> None:
        if self.step not in STEPS:
            raise ConfigurationError(f"SteinSampler.step must be one of {STEPS}; got {self.step!r}.")
        check_density_change(self.density_change, owner="SteinSampler.", optional=False)
        self._check_curvature()
        check_bandwidth(self.bandwidth, owner="SteinSampler.")
        if self.num_spares and self.range is None:
            raise ConfigurationError(
                f"SteinSampler.num_spares: nothing leaves without a range; got {self.num_spares}. Set a "
                "range, or no spares."
            )

    def probes_of(self, size: int) -> int | None:
        """Returns how many random directions ∇²ℓ is taken in for A components; None for the A unit vectors.

        Args:
          size: A.
        """
        if self.density_change == "joint_logdet" or (self.num_probes is None and size <= _EXACT_UP_TO):
            return None
        return self.num_probes or 1

    def _check_curvature(self) -> None:
        """Refuses settings of ∇²ℓ that nothing would read."""
        check_num_probes(self.num_probes, self.density_change, owner="SteinSampler.")
        if self.curvature_gradient and self.density_change not in JOINT_CHANGES:
            raise ConfigurationError(
                "SteinSampler.curvature_gradient must be False without ∇²ℓ in the density; got True with "
                f"density_change {self.density_change!r}. Set it to one of {JOINT_CHANGES}."
            )
