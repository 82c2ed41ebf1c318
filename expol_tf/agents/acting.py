"""How an agent's policies act: what they add to the network's distribution, and how they are compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import gin
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.agents.exploration import ExplorationNoise
from expol_tf.distributions import SELECTIONS
from expol_tf.errors import ConfigurationError

tfd = tfp.distributions

# A distribution over actions [B, A] and a stateless seed → one action of each, [B, A].
Selection = Callable[[tfd.Distribution, tf.Tensor], tf.Tensor]


@gin.configurable(module="expol_tf")
@dataclasses.dataclass(frozen=True)
class ParticleSelection:
    """Chooses which of a Stein policy's particles acts.

    Attributes:
      rule: "random", "softmax" (with probabilities ∝ exp(Q/α)) or "argmax" (the highest Q).
    """

    rule: str = "random"

    def __post_init__(self) -> None:
        if self.rule not in SELECTIONS:
            raise ConfigurationError(
                f"ParticleSelection.rule must be one of {SELECTIONS}; got {self.rule!r}."
            )

    def __call__(self, distribution: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Returns an action `[B, A]` of each distribution."""
        return distribution.select(self.rule, seed)


@gin.configurable(module="expol_tf")
@dataclasses.dataclass(frozen=True)
class Acting:
    """How the collect policy explores, which network the greedy policy uses, and where randomness begins.

    `expol_tf.train` gives every agent the run's seed: there `seed` stays None.

    Attributes:
      exploration: Noise that the collect policy adds to its actions, or None.
      selection: How the collect policy takes an action of a distribution; None draws one.
      evaluation_network: The network by which the greedy `policy` acts and which is exported; None for the
        actor network.
      seed: Seeds the agent's and the collect policy's randomness; None takes entropy from the system.
      jit_compile: Whether XLA compiles acting, and with on-policy agents training.
    """

    exploration: ExplorationNoise | None = None
    selection: Selection | None = None
    evaluation_network: network.Network | None = None
    seed: int | None = None
    jit_compile: bool = True
