"""Minibatch regression of a network onto fixed targets, in one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import gin
import tensorflow as tf

from expol_tf.keras_api import keras
from expol_tf.optimizers.minibatch_adam import MinibatchAdam

Prediction = Callable[[tf.Tensor], tf.Tensor]


class Regression(Protocol):
    """How a network is fitted to fixed targets inside a caller's graph: what agents do with value networks.

    An implementation with state is a `tf.Module`, so that checkpoints hold it. One that compiles its own
    parts sets `compiles_itself = True`; otherwise XLA may be asked to compile `fit` whole. One
    that divides its work over the replicas of a strategy sets `supports_replicas = True`.
    """

    def build(self, predict: Prediction, variables: Sequence[tf.Variable], example: tf.Tensor) -> None:
        """Creates all state; called once, before any `fit`. `example` `[n, …]` has the shape of inputs."""

    def fit(
        self,
        predict: Prediction,
        variables: Sequence[tf.Variable],
        inputs: tf.Tensor,
        targets: tf.Tensor,
        valid: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """Moves `variables` so that `predict(inputs)` nears `targets` where `valid`; returns the loss."""


@gin.configurable(module="expol_tf")
class MinibatchRegression(tf.Module):
    """Minimizes ½·mean (f(x) − y)² by epochs of Adam over shuffled minibatches.

    Args:
      learning_rate: A number or a Keras `LearningRateSchedule` of the gradient steps done.
      epochs: Passes over the data.
      minibatch_size: Examples per gradient step; all of them where there are fewer.
      max_gradient_norm: A longer gradient is scaled down to this Euclidean norm; None leaves it.
    """

    supports_replicas = True

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
        epochs: int = 5,
        minibatch_size: int = 64,
        max_gradient_norm: float | None = None,
    ) -> None:
        super().__init__(name="MinibatchRegression")
        self.adam = MinibatchAdam(
            learning_rate, epochs, minibatch_size, max_gradient_norm, name="MinibatchRegression"
        )

    def build(self, predict: Prediction, variables: Sequence[tf.Variable], example: tf.Tensor) -> None:
        """Creates the optimizer's slots for these variables; to be called once, before any `fit`."""
        self.adam.build(variables)

    def fit(
        self,
        predict: Prediction,
        variables: Sequence[tf.Variable],
        inputs: tf.Tensor,
        targets: tf.Tensor,
        valid: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """Runs all epochs and returns the mean loss over the last one.

        Args:
          predict: `[n, …] -> [n]`, computed from `variables`.
          variables: Those to fit.
          inputs: `[N, …]`.
          targets: `[N]`.
          valid: Bool `[N]`; other examples do not count.
          seed: int32 `[2]`, of the shuffles.
        """

        def loss(minibatch, _):
            x, y, weight = minibatch
            error = tf.where(weight, predict(x) - y, tf.zeros_like(y))
            count = tf.reduce_sum(tf.cast(weight, error.dtype))
            return 0.5 * tf.reduce_sum(tf.square(error)) / tf.maximum(count, 1)

        return self.adam.minimize(loss, variables, (inputs, targets, valid), seed, valid).loss
