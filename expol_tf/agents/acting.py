"""How an agent's policies act: exploration noise, selection, and how acting is compiled."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.configurable import configurable
from expol_tf.distributions import SELECTIONS, capabilities
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.number_types import NonNegative, Positive, SeedNumber


@runtime_checkable
class ExplorationNoise(Protocol):
    """A process of noise vectors, one for each environment, in half widths of the action box.

    It has no variables: whoever draws from it keeps its state, which is a nest of tensors `[B, …]`, and all
    zeros before the first step, and where an episode begins.
    """

    def state_spec(self, action_size: int) -> Any:
        """Returns the nest of specs of one environment's state for actions of this size; `()` for none."""

    def initial(self, shape: tf.Tensor) -> Any:
        """Returns the state before the first step of noise of `shape` `[B, A]`."""

    def next(self, state: Any, shape: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """Returns (noise of `shape` `[B, A]`, new state), drawn with a stateless seed, int32 `[2]`."""


@configurable
class GaussianNoise:
    """n_t ~ N(0, std²), independent from step to step; it has no state.

    Args:
      std: In half widths of the action box, 0 or more.
    """

    def __init__(self, std: NonNegative = 0.1) -> None:
        self.std = std

    def state_spec(self, action_size: int) -> tuple:
        """Returns `()`."""
        return ()

    def initial(self, shape: tf.Tensor) -> tuple:
        """Returns `()`."""
        return ()

    def next(self, state: tuple, shape: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tuple]:
        """Returns (noise of `shape` `[B, A]`, `()`)."""
        return self.std * tf.random.stateless_normal(shape, seed), state


@configurable
class OrnsteinUhlenbeckNoise:
    """n_{t+1} = n_t − θ·n_t·dt + σ·√dt·ε_t, ε_t ~ N(0, 1), n_0 = 0: it lasts for about 1/(θ·dt) steps.

    In the long run its variance is σ²·dt / (1 − (1 − θ·dt)²), about σ²/2θ for small steps, and the
    correlation of n_t and n_{t+k} is (1 − θ·dt)ᵏ. The state is n_t itself.

    References: Uhlenbeck & Ornstein 1930, *On the Theory of the Brownian Motion*; Lillicrap et al. 2016,
    *Continuous Control with Deep Reinforcement Learning*, §3.

    Args:
      theta: θ, positive.
      std: σ in half widths of the action box, 0 or more. That of the increments; the noise itself is broader.
      dt: Time of a step, with θ·dt < 2.
    """

    def __init__(self, theta: Positive = 0.15, std: NonNegative = 0.3, dt: Positive = 1.0) -> None:
        _require(
            0 < theta * dt < 2,
            f"OrnsteinUhlenbeckNoise: theta·dt must be between 0 and 2, or the noise grows without end; got "
            f"theta = {theta} and dt = {dt}.",
        )
        self.theta, self.std, self.dt = theta, std, dt

    @property
    def stationary_std(self) -> float:
        """Standard deviation of the noise in the long run, in half widths."""
        return self.std * math.sqrt(self.dt / (1.0 - (1.0 - self.theta * self.dt) ** 2))

    def state_spec(self, action_size: int) -> tf.TensorSpec:
        """Returns the spec of n, float `[A]`."""
        return tf.TensorSpec([action_size], tf.float32, "noise")

    def initial(self, shape: tf.Tensor) -> tf.Tensor:
        """Returns n_0 = 0 of `shape` `[B, A]`."""
        return tf.zeros(shape)

    def next(self, state: tf.Tensor, shape: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (n_{t+1}, n_{t+1}) of n_t `[B, A]`."""
        # √dt, because it is the variances of independent kicks that add up over time.
        kick = self.std * math.sqrt(self.dt) * tf.random.stateless_normal(shape, seed)
        state = (1.0 - self.theta * self.dt) * state + kick
        return state, state


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigurationError(message)


tfd = tfp.distributions

# A distribution over actions [B, A] and a stateless seed → one action of each, [B, A].
Selection = Callable[[tfd.Distribution, tf.Tensor], tf.Tensor]


@configurable
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

    def require(self, distribution: tfd.Distribution, policy: str) -> None:
        """Raises a `CapabilityError` unless the distribution of a policy of this name has such particles."""
        chooses = hasattr(distribution, "select")
        if not chooses or (self.rule != "random" and "greedy_action" not in capabilities(distribution)):
            missing = "a value of its particles" if chooses else "particles to select from"
            raise CapabilityError(
                f"acting.selection: ParticleSelection({self.rule!r}) needs a Stein policy; {policy}'s "
                f"{type(distribution).__name__} has no {missing}. Leave selection=None, or use S2acAgent."
            )

    def __call__(self, distribution: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Returns an action `[B, A]` of each distribution."""
        return distribution.select(self.rule, seed)


@configurable
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
    seed: SeedNumber | None = None
    jit_compile: bool = True
