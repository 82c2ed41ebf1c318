"""The standard deviations of Gaussian policies."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Finite


@configurable
@dataclasses.dataclass(frozen=True)
class LogStd:
    """log σ of a Gaussian policy's own variable u: learned as numbers of their own, or by the network of μ.

    Attributes:
      initial: The initial log σ (an offset to the network's output, if it depends on the state).
      state_dependent: Whether log σ(s) is an output of the network of μ; otherwise it is a variable.
      bounds: The range (low, high) to which a state-dependent log σ is clipped.
    """

    initial: Finite = 0.0
    state_dependent: bool = False
    bounds: tuple[Finite, Finite] = (-20.0, 2.0)

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low < high:
            raise ConfigurationError(
                f"LogStd.bounds must be (low, high) with low < high; got {tuple(self.bounds)}."
            )

    def num_outputs(self, action_size: int) -> int:
        """Returns the number of outputs that the network of μ needs for A action components."""
        return 2 * action_size if self.state_dependent else action_size

    def make(self, shape: list[int]) -> tf.Tensor | tf.Variable:
        """Returns the initial log σ of a shape: a variable, or a constant if it depends on the state."""
        initial = tf.fill(shape, float(self.initial))
        return initial if self.state_dependent else tf.Variable(initial, name="log_std")

    def mean_and_std(
        self, outputs: tf.Tensor, log_std: tf.Tensor | tf.Variable
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns μ and σ `[..., A]`.

        Args:
          outputs: The outputs of the network of μ, `[..., num_outputs(A)]`.
          log_std: What `make` returned.
        """
        if not self.state_dependent:
            return outputs, tf.broadcast_to(tf.exp(log_std), tf.shape(outputs))
        mean, change = tf.split(outputs, 2, axis=-1)
        # Unbounded, exp overflows where the critic pulls log σ up, and log π does where σ vanishes.
        return mean, tf.exp(tf.clip_by_value(log_std + change, *map(float, self.bounds)))
