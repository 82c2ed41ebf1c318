"""How an off-policy agent improves its policy: the loss, its optimizer and its networks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tf_agents.networks import network

from expol_tf.agents.acting import Acting
from expol_tf.agents.discriminators import Discriminator
from expol_tf.agents.policy_agent import AgentSpecs
from expol_tf.agents.policy_checks import why_not_squashed, why_outside_box
from expol_tf.agents.settings import Optimizer
from expol_tf.agents.temperature import Temperature
from expol_tf.bijectors import BoxSpec
from expol_tf.checks import refuse_misspelt_attributes
from expol_tf.configurable import configurable
from expol_tf.number_types import Positive, SampleSize
from expol_tf.objectives import (
    Improvement,
    amortized_svgd,
    deterministic_improvement,
    improvement_in_parts,
    reparameterized_improvement,
    require_particles,
    require_reduction,
)
from expol_tf.optimizers import Adam
from expol_tf.removed_names import answers_renamed_fields
from expol_tf.samplers import check_bandwidth, svgd_direction

# States [N, O], π, Q after this update's step, α, a seed, which states count; box = the action spec → a loss
# whose gradient with respect to the policy's parameters improves the policy at the states.
ImprovementLoss = Callable[..., Improvement]


@answers_renamed_fields
class Companion(NamedTuple):
    """A network that is trained beside the policy, from the same batches and critics.

    Attributes:
      name: What its metrics begin with.
      network: `network(observation) -> (distribution, state)`.
      loss: Its loss; `<name>_loss` and the loss's own metrics are reported.
      optimizer: An `expol_tf.optimizers.Adam` or a Keras optimizer.
    """

    name: str
    network: network.Network
    loss: ImprovementLoss
    optimizer: Optimizer


class ImprovementParts(NamedTuple):
    """What an improvement makes of an agent's networks.

    Attributes:
      loss: The policy's loss.
      actor_network: The policy: the network that was given, or one over it.
      discriminators: Networks trained just before the policy, whose loss asks them.
      companions: Networks trained beside the policy.
      evaluation_network: A companion's network for `policy` to act by; None for the actor network.
    """

    loss: ImprovementLoss
    actor_network: network.Network
    discriminators: Sequence[Discriminator] = ()
    companions: Sequence[Companion] = ()
    evaluation_network: network.Network | None = None


class PolicyImprovement:
    """How a policy is improved under its critics; a subclass says by which loss.

    A subclass with no networks of its own implements `__call__`, which is the loss. One with networks
    implements `build`.

    Attributes:
      requires: What it needs of the policy's distribution (`expol_tf.distributions.capabilities`).
      knows_density: Whether a policy with a density is improved through log π, which a temperature may learn
        from.
      optimizer: The policy's optimizer; None for Adam with the default learning rate.
      default_learning_rate: That rate.
    """

    requires: Sequence[str] = ("reparameterized_sample",)
    knows_density: bool = False
    optimizer: Optimizer | None = None
    default_learning_rate: float = 3e-4

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        refuse_misspelt_attributes(cls, PolicyImprovement)

    def __call__(self, *inputs: Any, box: BoxSpec) -> Improvement:
        """Returns the loss, whose gradient improves the policy's parameters, and what it measured.

        Args:
          *inputs: The states s `[N, O]`, normalized; π, whose parameters learn; Q, after this update's step;
            α, a scalar; a stateless seed, int32 `[2]`; and which states count, bool `[N]`, None for all.
          box: The action spec.
        """
        raise NotImplementedError(f"{type(self).__name__} has networks of its own: ask what `build` returns.")

    def build(
        self,
        specs: AgentSpecs,
        actor_network: network.Network,
        critic_network: network.Network,
        temperature: Temperature,
    ) -> ImprovementParts:
        """Returns the loss and the networks that belong to it; called once, when the agent is made."""
        del specs, critic_network, temperature
        return ImprovementParts(self, actor_network)

    def refusal(
        self, specs: AgentSpecs, actor_network: network.Network, temperature: Temperature
    ) -> str | None:
        """Returns why a policy cannot be improved though it can do what is required; None if it can."""
        del specs, actor_network, temperature
        return None

    def check_acting(self, acting: Acting) -> None:
        """Raises a `ConfigurationError` if the policy cannot act so; by default every one can.

        Args:
          acting: How the agent acts.
        """
        del acting

    def make_optimizer(self) -> Optimizer:
        """Returns the policy's optimizer."""
        return self.optimizer or Adam(self.default_learning_rate)

    def warnings(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Returns what a user should know of means over some updates, a sentence each; usually nothing."""
        del metrics
        return ()


@configurable
@dataclasses.dataclass(frozen=True)
class ReparameterizedImprovement(PolicyImprovement):
    """Minimizes E[ α log π(a|s) − Q(s, a) ], as SAC does; see `objectives.reparameterized_improvement`.

    Attributes:
      reduction: Over the critics: "min", "mean" or "first".
      num_samples: Actions a state.
      optimizer: The policy's; `Adam(3e-4)` by default.
    """

    reduction: str = "min"
    num_samples: SampleSize = 1
    optimizer: Optimizer | None = None

    requires = ("reparameterized_sample", "sample_and_log_prob")
    knows_density = True

    def __post_init__(self) -> None:
        require_reduction("ReparameterizedImprovement.reduction", self.reduction)

    def refusal(
        self, specs: AgentSpecs, actor_network: network.Network, temperature: Temperature
    ) -> str | None:
        """Returns why the policy is refused: Q and log π would be those of actions that nobody takes."""
        because = ", as environments clip actions and neither Q nor the entropy knows of it"
        return why_outside_box(actor_network, specs, because)

    def __call__(self, *inputs: Any, box: BoxSpec) -> Improvement:
        """Returns the loss; see `PolicyImprovement`."""
        return reparameterized_improvement(
            *inputs, box=box, reduction=self.reduction, num_samples=self.num_samples
        )


@configurable
@dataclasses.dataclass(frozen=True)
class DeterministicImprovement(PolicyImprovement):
    """Maximizes Q(s, a), as DDPG does; see `objectives.deterministic_improvement`.

    Attributes:
      reduction: Over the critics: "min", "mean" or "first".
      optimizer: The policy's; `Adam(3e-4)` by default.
    """

    reduction: str = "min"
    optimizer: Optimizer | None = None

    def __post_init__(self) -> None:
        require_reduction("DeterministicImprovement.reduction", self.reduction)

    def __call__(self, *inputs: Any, box: BoxSpec) -> Improvement:
        """Returns the loss; see `PolicyImprovement`."""
        return deterministic_improvement(*inputs, reduction=self.reduction)


@configurable
@dataclasses.dataclass(frozen=True)
class SvgdImprovement(PolicyImprovement):
    """Moves the policy's actions toward exp(Q/α) by SVGD, as soft Q-learning does; see
    `objectives.amortized_svgd`.

    Attributes:
      num_particles: M, particles that a state's kernel sums over, and as many that are moved.
      separate: Whether those moved are others than those summed over.
      space: "latent", before the squash, or "action", where particles pile up at the box's edge.
      reduction: Over the critics, in the score: "min", "mean" or "first".
      bandwidth: The kernel's: "median", "mean" or a standard deviation; see `expol_tf.samplers`.
      floor: The least h = 2σ² of the kernel.
      optimizer: The policy's; `Adam(1e-4)` by default.
    """

    num_particles: SampleSize = 32
    separate: bool = True
    space: str = "latent"
    reduction: str = "min"
    bandwidth: str | Positive = "median"
    floor: Positive = 1e-3
    optimizer: Optimizer | None = None

    default_learning_rate = 1e-4

    def __post_init__(self) -> None:
        require_reduction("SvgdImprovement.reduction", self.reduction)
        require_particles(self.num_particles, self.space)
        check_bandwidth(self.bandwidth, self.floor, "SvgdImprovement.")

    def refusal(
        self, specs: AgentSpecs, actor_network: network.Network, temperature: Temperature
    ) -> str | None:
        """Returns why the policy is refused: in the latent space actions move before the squash."""
        return why_not_squashed(actor_network, specs) if self.space == "latent" else None

    def __call__(self, *inputs: Any, box: BoxSpec) -> Improvement:
        """Returns the loss; see `PolicyImprovement`."""
        direction = functools.partial(svgd_direction, bandwidth=self.bandwidth, floor=self.floor)
        return amortized_svgd(
            *inputs,
            box=box,
            direction=direction,
            num_particles=self.num_particles,
            separate=self.separate,
            space=self.space,
            reduction=self.reduction,
        )


def in_parts(loss: ImprovementLoss, num_parts: int) -> ImprovementLoss:
    """Returns the loss of a batch as the mean of its parts' losses, which a CPU computes side by side."""

    def loss_of_parts(*inputs: Any, box: BoxSpec) -> Improvement:
        """Returns the improvement of a batch, as a weighted mean over its parts."""
        return improvement_in_parts(functools.partial(loss, box=box), num_parts, *inputs)

    return loss_of_parts
