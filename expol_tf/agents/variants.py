"""The parts of off-policy algorithms, and what they need of a policy, together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tf_agents.networks import network

from expol_tf.agents.acting import ExplorationNoise
from expol_tf.agents.critic_fit import CriticFit
from expol_tf.agents.improvements import PolicyImprovement
from expol_tf.agents.policy_agent import AgentSpecs
from expol_tf.agents.policy_checks import accepting_agents, require_of_policy
from expol_tf.agents.soft_values import SoftValue
from expol_tf.agents.temperature import Temperature
from expol_tf.distributions import known_capabilities
from expol_tf.errors import CapabilityError, ConfigurationError


class Variant(NamedTuple):
    """The parts of an agent that decide which policies it takes.

    Attributes:
      note: How a message names these settings; "" for the agent's defaults.
      soft_value: V.
      improvement: The policy's improvement.
      temperature: α.
      critic_fit: The critics' target, and whether there is a target policy; None for the plain one without.
    """

    note: str
    soft_value: SoftValue
    improvement: PolicyImprovement
    temperature: Temperature
    critic_fit: CriticFit | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """What the parts need of the policy's distribution, without repetition."""
        learned = ("sample_and_log_prob",) if self.temperature.needs_log_prob else ()
        parts: list[PolicyImprovement | SoftValue | CriticFit] = [self.improvement, self.soft_value]
        if self.critic_fit is not None:
            parts.append(self.critic_fit)
        needed = (
            *(known_capabilities(f"{type(part).__name__}.requires", part.requires) for part in parts),
            learned,
        )
        # A dictionary keeps the order, in which messages name the capabilities.
        return tuple(dict.fromkeys(name for names in needed for name in names))


class AlgorithmParts(NamedTuple):
    """What an algorithm is made of where its user gives nothing else: functions that make the parts.

    Attributes:
      soft_value: Makes V.
      improvement: Makes the policy's improvement.
      temperature: Makes α.
      critic_fit: Makes values for fields of `CriticFit` that a user may leave None.
      exploration: Makes the noise of the collect policy.
    """

    soft_value: Callable[[], SoftValue]
    improvement: Callable[[], PolicyImprovement]
    temperature: Callable[[], Temperature]
    critic_fit: Callable[[], Mapping[str, Any]] = dict
    exploration: Callable[[], ExplorationNoise | None] = lambda: None

    def variant(self) -> Variant:
        """Returns the parts that decide which policies the algorithm takes."""
        fit = CriticFit(**self.critic_fit())
        return Variant("", self.soft_value(), self.improvement(), self.temperature(), fit)


def require_policy(specs: AgentSpecs, actor_network: network.Network, parts: Variant) -> None:
    """Raises a `CapabilityError`, which names the agents that accept it, for a policy that does not fit."""
    require_of_policy(actor_network, specs, parts.requires)
    reason = parts.improvement.refusal(specs, actor_network, parts.temperature)
    if reason is not None:
        raise CapabilityError(f"actor_network: {reason} {accepting_agents(actor_network, specs)}")


def accepted_as(variants: Sequence[Variant], specs: AgentSpecs, actor_network: network.Network) -> str | None:
    """Returns the agent's name, with the note of the first variant that takes a policy; None if none does."""
    found = specs.capabilities(actor_network)
    for variant in variants:
        if not set(variant.requires) <= found:
            continue
        if variant.improvement.refusal(specs, actor_network, variant.temperature) is not None:
            continue
        if (
            variant.critic_fit is not None
            and variant.critic_fit.target_actor
            and not _can_be_copied(actor_network)
        ):
            continue
        return f"{specs.algorithm} ({variant.note})" if variant.note else specs.algorithm
    return None


def _can_be_copied(actor_network: network.Network) -> bool:
    """Whether the network makes copies, which a target policy is."""
    try:
        actor_network.copy()
    except ConfigurationError:
        return False
    return True
