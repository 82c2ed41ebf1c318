"""Noise added to the actions of a policy that has none, or too little, of its own."""

from __future__ import annotations

import math
from typing import Protocol

import gin
import tensorflow as tf

from expol_tf.errors import ConfigurationError


class ExplorationNoise(Protocol):
    """A process of noise vectors, one for each environment, in half widths of the action box.

    `state = noise.initial(shape)` begins it, `value, state = noise.next(state, seed)` is a step. Both are
    pure; whoever calls them keeps the state, and replaces rows of it by rows of an initial one where an
    episode begins.
    """

    def initial(self, shape: tf.Tensor) -> tf.Tensor:
        """Returns the state before the first step, of noise of `shape` `[B, A]`."""

    def next(self, state: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (noise `[B, A]`, new state)."""


@gin.configurable(module="expol_tf")
class GaussianNoise:
    """n_t ~ N(0, std²), independent from step to step.

    Its state is the `[B, A]` zeros that tell the noise's shape.

    Args:
      std: In half widths of the action box, 0 or more.
    """

    def __init__(self, std: float = 0.1) -> None:
        _require(std >= 0, f"GaussianNoise.std must be 0 or more; got {std}.")
        self.std = std

    def initial(self, shape: tf.Tensor) -> tf.Tensor:
        """Returns the state before the first step, of noise of `shape` `[B, A]`."""
        return tf.zeros(shape)

    def next(self, state: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (noise `[B, A]`, new state)."""
        return self.std * tf.random.stateless_normal(tf.shape(state), seed), state


@gin.configurable(module="expol_tf")
class OrnsteinUhlenbeckNoise:
    """n_{t+1} = n_t − θ·n_t·dt + σ·√dt·ε_t, ε_t ~ N(0, 1), n_0 = 0: noise that lasts for about 1/(θ·dt) steps.

    In the long run its variance is σ²·dt / (1 − (1 − θ·dt)²), about σ²/2θ for small steps, and the
    correlation of n_t and n_{t+k} is (1 − θ·dt)ᵏ. The state is n_t itself.

    References: Uhlenbeck & Ornstein 1930, *On the Theory of the Brownian Motion*; Lillicrap et al. 2016,
    *Continuous Control with Deep Reinforcement Learning*, §3.

    Args:
      theta: θ, positive.
      std: σ in half widths of the action box, 0 or more. That of the increments; the noise itself is broader.
      dt: Time of a step, with θ·dt < 2.
    """

    def __init__(self, theta: float = 0.15, std: float = 0.3, dt: float = 1.0) -> None:
        _require(std >= 0, f"OrnsteinUhlenbeckNoise.std must be 0 or more; got {std}.")
        _require(dt > 0, f"OrnsteinUhlenbeckNoise.dt must be positive; got {dt}.")
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

    def initial(self, shape: tf.Tensor) -> tf.Tensor:
        """Returns the state before the first step, of noise of `shape` `[B, A]`."""
        return tf.zeros(shape)

    def next(self, state: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (noise `[B, A]`, new state)."""
        kick = self.std * math.sqrt(self.dt) * tf.random.stateless_normal(tf.shape(state), seed)
        state = (1.0 - self.theta * self.dt) * state + kick
        return state, state


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigurationError(message)
