"""How the particles of a Stein distribution are drawn and moved."""

from __future__ import annotations

import dataclasses
import math

from expol_tf.checks import require_number
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.samplers import DENSITY_CHANGES, check_bandwidth

STEPS = ("plain", "per_temperature")


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
      bandwidth: The width of the kernel: "median", "mean" or a standard deviation, see `expol_tf.samplers`.
      density_change: "trace" or "logdet", see `expol_tf.samplers.svgd`.
      range: t. Particles start within t standard deviations of μ, and spares replace those that leave that
        range on their way; None for no limit.
      num_spares: Number of particles that a set has in excess of M, to replace those that leave. If they are
        too few, particles that stayed are taken again; if none stayed, all are kept.
      score_gradient: Whether gradients of samples flow through the scores. This takes the second derivative
        of ℓ, and as much time again as the scores. If ℓ is a network of ReLUs, it is 0 almost everywhere.
    """

    num_particles: int = 10
    num_sampler_steps: int = 3
    step_size: float = 0.1
    step: str = "plain"
    bandwidth: str | float = "mean"
    density_change: str = "trace"
    range: float | None = 3.0
    num_spares: int = 0
    score_gradient: bool = True

    # The least h = 2σ² of the kernel. Particles that meet have distances of 0, by which the kernel divides.
    floor = 2e-3

    def __post_init__(self) -> None:
        for name, value, least in (
            ("num_particles", self.num_particles, 1),
            ("num_sampler_steps", self.num_sampler_steps, 0),
            ("num_spares", self.num_spares, 0),
        ):
            require_number(f"SteinSampler.{name}", value, f"{least} or more")
        for name, number in (("step_size", self.step_size), ("range", self.range)):
            if number is not None and not 0 < number < math.inf:
                raise ConfigurationError(f"SteinSampler.{name} must be a positive number; got {number}.")
        for name, word, words in (
            ("step", self.step, STEPS),
            ("density_change", self.density_change, DENSITY_CHANGES),
        ):
            if word not in words:
                raise ConfigurationError(f"SteinSampler.{name} must be one of {words}; got {word!r}.")
        check_bandwidth(self.bandwidth, owner="SteinSampler.")
        if self.num_spares and self.range is None:
            raise ConfigurationError(
                f"SteinSampler.num_spares: nothing leaves without a range; got {self.num_spares}. Set a "
                "range, or no spares."
            )
