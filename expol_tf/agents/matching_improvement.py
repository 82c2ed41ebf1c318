"""ParPI's improvement: a policy that matches particles, in the divergence of one's choice."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from tf_agents.networks import network

from expol_tf import samplers
from expol_tf.agents.discriminators import DiscriminatorFit, make_classifier, make_discriminator
from expol_tf.agents.improvements import ImprovementLoss, ImprovementParts, PolicyImprovement
from expol_tf.agents.network_functions import discriminator_of
from expol_tf.agents.policy_agent import AgentSpecs
from expol_tf.agents.policy_checks import why_not_squashed
from expol_tf.agents.settings import Optimizer, with_defaults
from expol_tf.agents.temperature import Temperature
from expol_tf.bijectors import BoxSpec
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.networks import DiscriminatorNetwork
from expol_tf.number_types import Few, NonNegative, Positive
from expol_tf.objectives import (
    Contrast,
    Matching,
    langevin_particles,
    matching_improvement,
    require_reduction,
    wasserstein,
)


@configurable
@dataclasses.dataclass(frozen=True)
class LangevinParticles:
    """Particles that start at the policy's own samples and make K Langevin steps toward exp(Q/α); see
    `objectives.langevin_particles`.

    Attributes:
      num_steps: K.
      step_size: η of each step; ten times the paper's, whose particles hardly move (see `docs/parpi.md`).
      reduction: Over the critics whose value moves the particles: "first", "min" or "mean".
    """

    num_steps: Few = 5
    step_size: Positive = 3e-3
    reduction: str = "first"

    def __post_init__(self) -> None:
        require_reduction("LangevinParticles.reduction", self.reduction)

    def __call__(self, *inputs: Any, box: BoxSpec) -> Contrast:
        """Returns the policy's actions and, one for each, the particle it became; see `ActionContrast`."""
        return langevin_particles(
            *inputs,
            box=box,
            langevin=samplers.langevin,
            num_steps=self.num_steps,
            step_size=self.step_size,
            reduction=self.reduction,
        )


@configurable
@dataclasses.dataclass(frozen=True)
class MatchingImprovement(PolicyImprovement):
    """Minimizes D(ρ·π, ρ·p) − w·H(π), p particles moved from π toward exp(Q/α).

    A discriminator f learns to tell the policy's actions from the particles; the policy's samples descend the
    divergence D that f estimates. See `objectives.matching_improvement`.

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), Algorithm 1, corrected as
    `docs/errata.md` tells.

    Attributes:
      matching: D: `wasserstein(gradient_penalty=0.0)` by default, or `jsd()`, `reverse_kl()`,
        `f_divergence(…)`.
      particles: How particles move; `LangevinParticles()` by default.
      discriminator: f. Its network is by default a `DiscriminatorNetwork`, with spectral normalization if the
        matching asks for a bound of f's slope and has no penalty; its optimizer `Adam(1e-3)`.
      entropy_weight: w, in units of D per nat. The paper has 1, which keeps policies from ever narrowing;
        with 0 they collapse before f has learned something.
      classifier: c, which learns log(π·|A|) as NBP's does and gives H of a policy that has no density; None
        for none. Its optimizer is `Adam(1e-3)` by default.
      optimizer: The policy's; `Adam(3e-4)` by default.
    """

    matching: Matching | None = None
    particles: LangevinParticles | None = None
    discriminator: DiscriminatorFit | None = None
    entropy_weight: NonNegative = 0.01
    classifier: DiscriminatorFit | None = None
    optimizer: Optimizer | None = None

    knows_density = True

    @property
    def requires(self) -> Sequence[str]:  # type: ignore[override]
        """What it needs of the policy's distribution: a density for the entropy, unless c gives that."""
        density = self.entropy_weight and self.classifier is None
        return ("reparameterized_sample", *(("sample_and_log_prob",) if density else ()))

    def build(
        self,
        specs: AgentSpecs,
        actor_network: network.Network,
        critic_network: network.Network,
        temperature: Temperature,
    ) -> ImprovementParts:
        """Makes the discriminator and the classifier."""
        if temperature.is_zero:
            raise ConfigurationError(
                "temperature must be positive, as particles move toward exp(Q/α); got 0. Give a small one; "
                "DdpgAgent and NbpAgent maximize Q alone."
            )
        matching = self.matching or wasserstein(gradient_penalty=0.0)
        # One bound on f's slope, never two: spectral layers cannot give the slope of 1 that a
        # penalty asks for.
        bounded = matching.needs_slope_bound and not matching.penalty
        fit = with_defaults(
            self.discriminator or DiscriminatorFit(),
            network=functools.partial(DiscriminatorNetwork, spectral_normalization=bounded),
        )
        particles = self.particles or LangevinParticles()
        discriminators = [make_discriminator("discriminator", fit, specs, particles, matching, 1e-3)]
        f = discriminators[0].network
        _require_bounded_slope(f, matching)
        log_ratio = None
        if self.classifier is not None:
            classifier_fit = with_defaults(self.classifier, network=DiscriminatorNetwork)
            discriminators.append(make_classifier(classifier_fit, specs, 1e-3))
            log_ratio = discriminator_of(discriminators[1].network)
        loss: ImprovementLoss = functools.partial(
            matching_improvement,
            matching=matching,
            discriminator=discriminator_of(f),
            entropy_weight=self.entropy_weight,
            density="sample_and_log_prob" in specs.capabilities(actor_network),
            log_ratio=log_ratio,
        )
        return ImprovementParts(loss, actor_network, discriminators)

    def refusal(
        self, specs: AgentSpecs, actor_network: network.Network, temperature: Temperature
    ) -> str | None:
        """Returns why the policy is refused: particles move before the squash."""
        return why_not_squashed(actor_network, specs)


def _require_bounded_slope(f: network.Network, matching: Matching) -> None:
    """Raises a `ConfigurationError` for a discriminator that the matching's value cannot train."""
    penalized = matching.penalty > 0
    # Nothing is known of a network of the user's own.
    bounded = f.spectral_normalization if isinstance(f, DiscriminatorNetwork) else None
    if bounded and penalized:
        raise ConfigurationError(
            "DiscriminatorFit.network must not have spectral normalization beside a gradient penalty, which "
            "asks for slopes that such layers cannot give; got both, the penalty with weight "
            f"{matching.penalty}. Turn one off: gradient_penalty=0.0 or spectral_normalization=False."
        )
    if matching.needs_slope_bound and not penalized and bounded is False:
        raise ConfigurationError(
            f"DiscriminatorFit.network must be bounded in slope for the matching {matching.name!r}, whose f "
            "grows without end otherwise; got neither spectral normalization nor a gradient penalty. Set "
            "DiscriminatorNetwork's spectral_normalization=True, or gradient_penalty=10.0 of the matching."
        )
