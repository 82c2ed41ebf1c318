"""Networks that learn to tell the policy's actions from others, for the policy's loss to ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from tf_agents.networks import network

from expol_tf.agents.policy_agent import AgentSpecs
from expol_tf.agents.settings import NetworkFactory, Optimizer
from expol_tf.configurable import configurable
from expol_tf.number_types import Few
from expol_tf.objectives import Contrast, Matching, jsd, uniform_actions
from expol_tf.optimizers import Adam

# States [N, O], π, Q, α, a seed, which states count; box = the action spec → the policy's actions and others.
ActionContrast = Callable[..., Contrast]


class Discriminator(NamedTuple):
    """A network, and how it learns to tell the policy's actions from others.

    Attributes:
      name: What its metrics begin with.
      network: `network((observation [N, O], action [N, A])) -> (f [N], state)`, such as a
        `DiscriminatorNetwork`.
      contrast: Draws the actions, anew for each step. Its own metrics keep their names.
      matching: What f maximizes; see `Matching`.
      optimizer: An `expol_tf.optimizers.Adam` or a Keras optimizer.
      num_steps: Its steps per step of the policy.
      before_step: Called before each step: a network with spectral norms refreshes them.
    """

    name: str
    network: network.Network
    contrast: ActionContrast
    matching: Matching
    optimizer: Optimizer
    num_steps: int
    before_step: Callable[[], Any]


@configurable
@dataclasses.dataclass(frozen=True)
class DiscriminatorFit:
    """Which network tells the policy's actions from others, and how it is trained.

    A field that is None takes the default of the improvement that the discriminator serves.

    Attributes:
      network: Makes the network from the specs of observations and actions.
      num_steps: Its steps per step of the policy, each on actions of its own.
      optimizer: Its `expol_tf.optimizers.Adam` or Keras optimizer.
    """

    network: NetworkFactory | None = None
    num_steps: Few = 1
    optimizer: Optimizer | None = None


def make_discriminator(
    name: str,
    fit: DiscriminatorFit,
    specs: AgentSpecs,
    contrast: ActionContrast,
    matching: Matching,
    learning_rate: float,
) -> Discriminator:
    """Returns the discriminator that `fit` describes, its network made; Adam with this rate by default."""
    assert fit.network is not None, "the improvement fills it"
    made = fit.network(specs.time_step.observation, specs.action)
    # A network of the user's own may have no spectral norms, and Keras networks no common base that says so.
    before_step = getattr(made, "update_spectral_norms", _nothing)
    optimizer = fit.optimizer or Adam(learning_rate)
    return Discriminator(name, made, contrast, matching, optimizer, fit.num_steps, before_step)


def make_classifier(fit: DiscriminatorFit, specs: AgentSpecs, learning_rate: float) -> Discriminator:
    """Returns c between the policy's actions and uniform ones, at best log(π·|A|).

    It gives the entropy H = −E[c] + log|A| of a policy without density.
    """
    return make_discriminator("classifier", fit, specs, uniform_actions, jsd(), learning_rate)


def _nothing() -> None:
    """A network without spectral norms has nothing to refresh."""
