"""Minibatch regression of a network onto fixed targets, in one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.keras_api import keras
from expol_tf.number_types import Count, NonNegative, Positive
from expol_tf.optimizers.keras_steps import Optimizer
from expol_tf.optimizers.minibatch_adam import MinibatchAdam, require_one_learning_rate
from expol_tf.replicas import UpdatePart
from expol_tf.shapes import require_shapes

_LEARNING_RATE = 1e-3

Prediction = Callable[[tf.Tensor], tf.Tensor]


class Regression(UpdatePart):
    """How a network is fitted to fixed targets inside a caller's graph: what agents do with value networks.

    A base class: `build` and `fit` are to be implemented. What a subclass can do beyond that it says in
    keywords of its class (see `UpdatePart`).
    """

    def build(self, predict: Prediction, variables: Sequence[tf.Variable], example: tf.Tensor) -> None:
        """Creates all state; to be called once, before any `fit`.

        Args:
          predict: `[n, …] -> [n]`, computed from `variables`.
          variables: The variables to fit.
          example: Inputs `[n, …]`; their values do not matter.
        """
        raise NotImplementedError(f"{type(self).__name__}.build must be implemented.")

    def fit(
        self,
        predict: Prediction,
        variables: Sequence[tf.Variable],
        inputs: tf.Tensor,
        targets: tf.Tensor,
        valid: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """Moves the variables so that predictions near the targets; returns the loss, a scalar.

        Args:
          predict: `[n, …] -> [n]`, computed from `variables`.
          variables: The variables that `build` was given.
          inputs: `[N, …]`.
          targets: `[N]`.
          valid: Bool `[N]`; other examples do not count.
          seed: int32 `[2]`, the stateless seed of all randomness.
        """
        raise NotImplementedError(f"{type(self).__name__}.fit must be implemented.")


@configurable
class MinibatchRegression(Regression, supports_replicas=True):
    """Minimizes ½·mean (f(x) − y)² by epochs of Adam over shuffled minibatches.

    Args:
      learning_rate: A number, or a Keras `LearningRateSchedule` that counts gradient steps.
      epochs: Passes over the data.
      minibatch_size: Examples in a gradient step; all of them where there are fewer.
      max_gradient_norm: A longer gradient is scaled down to this Euclidean norm; None leaves it.
      optimizer: A Keras optimizer of any kind in the place of Adam; see `MinibatchAdam`.
    """

    def __init__(
        self,
        learning_rate: NonNegative | keras.optimizers.schedules.LearningRateSchedule = _LEARNING_RATE,
        epochs: Count = 5,
        minibatch_size: Count = 64,
        max_gradient_norm: Positive | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__(name="MinibatchRegression")
        require_one_learning_rate("MinibatchRegression", learning_rate, _LEARNING_RATE, optimizer)
        rate = {} if optimizer is not None else {"learning_rate": learning_rate}
        self.adam = MinibatchAdam(
            **rate,
            epochs=epochs,
            minibatch_size=minibatch_size,
            max_gradient_norm=max_gradient_norm,
            name="MinibatchRegression",
            optimizer=optimizer,
        )

    def build(self, predict: Prediction, variables: Sequence[tf.Variable], example: tf.Tensor) -> None:
        """Creates Adam's moments; see `Regression.build`."""
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
        """Runs all epochs and returns the mean loss over the last one; see `Regression.fit`."""
        require_shapes(("targets", targets, "N"), ("valid", valid, "N", "bool"), ("seed", seed, "2", "int"))

        def loss(minibatch, _):
            """½·mean (f(x) − y)² over the examples of a minibatch that count."""
            x, y, weight = minibatch
            # Selected before the square, through which an invalid NaN would return in the gradient.
            prediction = predict(x)
            # Predictions [n, 1] and targets [n] would broadcast to [n, n].
            require_shapes(("predict(inputs)", prediction, "N"), ("targets", y, "N"))
            error = tf.where(weight, prediction - y, tf.zeros_like(y))
            count = tf.reduce_sum(tf.cast(weight, error.dtype))
            return 0.5 * tf.reduce_sum(tf.square(error)) / tf.maximum(count, 1)

        return self.adam.minimize(loss, variables, (inputs, targets, valid), seed, valid).loss
