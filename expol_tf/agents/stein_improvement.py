"""S²AC's improvement: SAC's loss over particles that the critic steers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from absl import logging
from tf_agents.networks import network

from expol_tf.agents.acting import Acting
from expol_tf.agents.improvements import (
    Companion,
    ImprovementParts,
    PolicyImprovement,
    ReparameterizedImprovement,
    SvgdImprovement,
    in_parts,
)
from expol_tf.agents.policy_agent import AgentSpecs
from expol_tf.agents.policy_checks import accepting_agents
from expol_tf.agents.settings import NetworkFactory, Optimizer
from expol_tf.agents.temperature import Temperature
from expol_tf.configurable import configurable
from expol_tf.distributions import SteinSampler
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import SteinActorNetwork
from expol_tf.number_types import Few
from expol_tf.objectives import require_reduction
from expol_tf.optimizers import Adam
from expol_tf.samplers import JOINT_CHANGES

# Names of activations and of Keras's layers.
_KINKED = {
    "relu",
    "relu6",
    "leaky_relu",
    "selu",
    "hard_sigmoid",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ThresholdedReLU",
}
# The share of a direction's width that a step takes away, beyond which the second order is not enough.
_LARGEST_CURVATURE = 0.5


@configurable
@dataclasses.dataclass(frozen=True)
class AmortizedPolicy:
    """A network trained beside a Stein policy to imitate exp(Q/α), as in soft Q-learning.

    `policy` acts by it: it needs no critic, and is what is exported.

    Attributes:
      network: Makes the network from the specs of observations and actions: `SamplingActorNetwork`.
      optimizer: Its optimizer; `Adam(3e-4)` by default.
    """

    network: NetworkFactory
    optimizer: Optimizer | None = None


@configurable
@dataclasses.dataclass(frozen=True)
class SteinImprovement(PolicyImprovement):
    """Maximizes mean_i [Q(s, a_i) − α log π(a_i|s)] over the M particles of a `SteinActorNetwork`.

    The network that the agent is given is where particles start; it is what learns.

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    Alg. 1; with an amortized policy Alg. 2.

    Attributes:
      sampler: How particles move; `SteinSampler()` by default.
      score_reduction: Over the critics that steer the particles: "first", "min" or "mean".
      reduction: Over the critics in the loss: "min", "mean" or "first".
      amortized: A network that acts when the policy is evaluated; None for none.
      batch_parts: Parts of a batch whose particles are moved side by side: as many as a CPU has cores, or 1
        on a GPU.
      optimizer: The initial network's; `Adam(3e-4)` by default.
    """

    sampler: SteinSampler | None = None
    score_reduction: str = "first"
    reduction: str = "min"
    amortized: AmortizedPolicy | None = None
    batch_parts: Few = 2
    optimizer: Optimizer | None = None

    requires = ("reparameterized_sample", "sample_and_log_prob", "greedy_action")
    knows_density = True

    def __post_init__(self) -> None:
        require_reduction("SteinImprovement.score_reduction", self.score_reduction)
        require_reduction("SteinImprovement.reduction", self.reduction)
        if self.sampler is None:
            object.__setattr__(self, "sampler", SteinSampler())

    @property
    def num_particles(self) -> int:
        """M, of one state."""
        assert self.sampler is not None, "filled when made"
        return self.sampler.num_particles

    def build(
        self,
        specs: AgentSpecs,
        actor_network: network.Network,
        critic_network: network.Network,
        temperature: Temperature,
    ) -> ImprovementParts:
        """Makes the amortized network, and the particles' network over the initial one."""
        sampler = self.sampler
        assert sampler is not None, "filled when made"
        if sampler.density_change in JOINT_CHANGES and _has_kinks(critic_network):
            logging.warning(
                "S2acAgent: the critic has ReLUs or the like, whose slopes jump, which the curvature of Q in "
                "log π does not know. The reported entropy is no lower bound then, and can lie above the "
                'truth. Take CriticNetwork(activation="elu"), or SteinSampler(density_change="printed") for '
                "the paper's estimate."
            )
        companions, evaluation_network = [], None
        if self.amortized is not None:
            evaluation_network = self.amortized.network(specs.time_step.observation, specs.action)
            svgd = SvgdImprovement(
                num_particles=sampler.num_particles,
                reduction=self.score_reduction,
                bandwidth=sampler.bandwidth,
                floor=sampler.floor,
            )
            optimizer = self.amortized.optimizer or Adam(3e-4)
            loss = in_parts(svgd, self.batch_parts)
            companions.append(Companion("amortized", evaluation_network, loss, optimizer))
        particles = _particles_of(
            specs, actor_network, critic_network, temperature, sampler, self.score_reduction
        )
        loss = in_parts(ReparameterizedImprovement(self.reduction, sampler.num_particles), self.batch_parts)
        return ImprovementParts(loss, particles, companions=companions, evaluation_network=evaluation_network)

    def check_acting(self, acting: Acting) -> None:
        """Refuses what XLA cannot compile, where it compiles acting."""
        sampler = self.sampler
        assert sampler is not None, "filled when made"
        determinants = sampler.density_change in ("joint_logdet", "logdet")
        if not acting.jit_compile or not (determinants or sampler.bandwidth == "median"):
            return
        name = "density_change" if determinants else "bandwidth"
        what, others = (
            ("determinants", '"joint_trace" or "printed"') if determinants else ("medians", '"mean"')
        )
        raise ConfigurationError(
            f"SteinSampler.{name} must be {others} where XLA compiles acting (Acting.jit_compile = True), as "
            f"it has no {what} on the CPU; got {getattr(sampler, name)!r}. Or set Acting.jit_compile = False "
            "(in Python: acting=Acting(jit_compile=False))."
        )

    def warnings(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Returns sentences if the particles' map has lost its inverse, or log π its bound; else nothing."""
        assert self.sampler is not None, "filled when made"
        said = []
        remedy = f"lower SteinSampler.step_size, which is {self.sampler.step_size:g}"
        # ε and ε/α: the shorter of the two depends on α.
        shorter = "plain" if metrics.get("temperature", math.inf) < 1.0 else "per_temperature"
        remedy += "." if self.sampler.step == shorter else f', or set SteinSampler.step = "{shorter}".'
        share = metrics.get("folded_share", 0.0)
        if share > 0:
            said.append(
                f"S2acAgent: steps fold {share:.2g} of the particles over others (folded_share): there the "
                f"map has no inverse, and log π is wrong. If it is more than a few, {remedy}"
            )
        curvature = metrics.get("largest_curvature", 0.0)
        if curvature > _LARGEST_CURVATURE:
            said.append(
                f"S2acAgent: steps are long against the critic's curvature (largest_curvature is "
                f"{curvature:.2g}, above {_LARGEST_CURVATURE}): the reported entropy can be above the truth "
                f"there. If that lasts, {remedy}"
            )
        return said


def _has_kinks(critic_network: network.Network) -> bool:
    """Whether the slope of a layer's activation jumps, as far as Keras's layers tell."""
    activations = [getattr(module, "activation", None) for module in critic_network.submodules]
    names = {getattr(activation, "__name__", "") for activation in activations}
    names |= {type(module).__name__ for module in critic_network.submodules}
    return bool(names & _KINKED)


def _particles_of(specs, initial, *arguments):
    """Returns the particles' network; an initial network that it refuses is refused in the agent's name."""
    try:
        return SteinActorNetwork(initial, *arguments)
    except CapabilityError as error:
        rule = str(error).partition("initial_network: ")[2].splitlines()[0]
        raise CapabilityError(
            f"actor_network: the particles of {specs.algorithm} start from it, so it {rule} "
            + accepting_agents(initial, specs)
        ) from error
