"""What an off-policy agent is put together of: functions of a policy and its critics, other networks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.typing import types

from expol_tf.keras_api import keras
from expol_tf.objectives import (
    Contrast,
    Critic,
    DiscriminatorFunction,
    Improvement,
    Matching,
    Policy,
    jsd,
    uniform_actions,
)
from expol_tf.optimizers import Adam

Optimizer: TypeAlias = Adam | keras.optimizers.Optimizer
# Of the specs of observations and actions.
NetworkFactory: TypeAlias = Callable[[types.NestedTensorSpec, types.NestedTensorSpec], network.Network]


class SoftValue(Protocol):
    """V(s) `[N]` of states `[N, O]`, from a policy and (target) critics: the backup of an algorithm."""

    def __call__(
        self, observation: tf.Tensor, policy: Policy, critic: Critic, temperature: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Returns V `[N]`."""


class PolicyImprovement(Protocol):
    """The loss whose gradient with respect to the policy's parameters improves the policy at states."""

    def __call__(
        self,
        observation: tf.Tensor,
        policy: Policy,
        critic: Critic,
        temperature: tf.Tensor,
        seed: tf.Tensor,
        valid: tf.Tensor | None,
    ) -> Improvement:
        """Returns the loss, and what it learned on the way."""


class ActionContrast(Protocol):
    """Draws, at states, the policy's actions and others that a discriminator is to tell from them."""

    def __call__(
        self,
        observation: tf.Tensor,
        policy: Policy,
        critic: Critic,
        temperature: tf.Tensor,
        seed: tf.Tensor,
        valid: tf.Tensor | None,
    ) -> Contrast:
        """Returns the actions, and what was measured while drawing them."""


class Discriminator(NamedTuple):
    """A network that learns to tell the policy's actions from others, before the policy learns from it.

    Attributes:
      name: What its metrics begin with.
      network: `network((observation [N, O], action [N, A])) -> (f [N], state)`, such as a
        `DiscriminatorNetwork`. If it has a method `update_spectral_norms()`, that is called before each step.
      contrast: Draws the actions, anew for each step. Its own metrics keep their names.
      matching: What f maximizes; see `Matching`.
      optimizer: `Adam(3e-4)`, say.
      num_steps: Its steps per step of the policy.
    """

    name: str
    network: network.Network
    contrast: ActionContrast
    matching: Matching
    optimizer: Optimizer
    num_steps: int = 1


def discriminator_function(network_: network.Network) -> DiscriminatorFunction:
    """f(s, a) `[N]` of a network that gives `[N]` or `[N, 1]`, as objectives ask it."""

    def values(observation: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        f = network_((observation, action))[0]
        return f if f.shape.rank < action.shape.rank else tf.squeeze(f, axis=-1)

    return values


def entropy_classifier(
    network_: network.Network, box: types.NestedTensorSpec, optimizer: Optimizer, num_steps: int = 1
) -> Discriminator:
    """c between the policy's actions and uniform ones, at best log(π·|A|): H of a policy without density."""
    contrast = functools.partial(uniform_actions, box=box)
    return Discriminator("classifier", network_, contrast, jsd(), optimizer, num_steps)


class Companion(NamedTuple):
    """A network that is trained beside the policy, from the same batches and critics.

    Attributes:
      name: What its metrics begin with.
      network: `network(observation) -> (distribution, state)`.
      improvement: Its loss; the metrics reported are `<name>_loss` and its own.
      optimizer: `Adam(3e-4)`, say.
    """

    name: str
    network: network.Network
    improvement: PolicyImprovement
    optimizer: Optimizer
