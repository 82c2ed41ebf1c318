"""NBP's improvement: the policy's value, and its entropy through a classifier."""

from __future__ import annotations

import dataclasses
import functools

from tf_agents.networks import network

from expol_tf.agents.discriminators import DiscriminatorFit, make_classifier
from expol_tf.agents.improvements import ImprovementParts, PolicyImprovement
from expol_tf.agents.network_functions import discriminator_of
from expol_tf.agents.policy_agent import AgentSpecs
from expol_tf.agents.policy_checks import why_outside_box
from expol_tf.agents.settings import Optimizer, with_defaults
from expol_tf.agents.temperature import Temperature
from expol_tf.configurable import configurable
from expol_tf.networks import DiscriminatorNetwork
from expol_tf.objectives import density_ratio_improvement, require_reduction

_CLASSIFIER = functools.partial(DiscriminatorNetwork, hidden_units=(64, 64))


@configurable
@dataclasses.dataclass(frozen=True)
class DensityRatioImprovement(PolicyImprovement):
    """Maximizes E[ Q(s, a) − β·c(s, a) ]; see `objectives.density_ratio_improvement`.

    c is a classifier between the policy's actions and uniform ones, H = −E[c] + log|A|. With β fixed at 0
    nothing asks for the entropy, and no classifier is trained.

    Attributes:
      reduction: Over the critics: "min", "mean" or "first".
      classifier: c; two layers of 64 with `Adam(3e-4)` by default.
      optimizer: The policy's; `Adam(3e-4)` by default, the larger of the published two rates.
    """

    reduction: str = "min"
    classifier: DiscriminatorFit | None = None
    optimizer: Optimizer | None = None

    def __post_init__(self) -> None:
        require_reduction("DensityRatioImprovement.reduction", self.reduction)

    def build(
        self,
        specs: AgentSpecs,
        actor_network: network.Network,
        critic_network: network.Network,
        temperature: Temperature,
    ) -> ImprovementParts:
        """Makes the classifier, if the temperature asks for one."""
        discriminators, log_ratio = [], None
        if not temperature.is_zero:
            fit = with_defaults(self.classifier or DiscriminatorFit(), network=_CLASSIFIER)
            discriminators.append(make_classifier(fit, specs, 3e-4))
            log_ratio = discriminator_of(discriminators[0].network)
        loss = functools.partial(density_ratio_improvement, log_ratio=log_ratio, reduction=self.reduction)
        return ImprovementParts(loss, actor_network, discriminators)

    def refusal(
        self, specs: AgentSpecs, actor_network: network.Network, temperature: Temperature
    ) -> str | None:
        """Returns why the policy is refused: outside of the box are no uniform actions to compare with."""
        if temperature.is_zero:
            return None
        return why_outside_box(actor_network, specs, ", as its entropy compares it with uniform actions")
