"""Minibatch regression of a network onto fixed targets, in one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras


@gin.configurable(module="expol_tf")
class MinibatchRegression(tf.Module):
    """Minimizes ½·mean (f(x) − y)² by Adam over shuffled minibatches.

    Every epoch visits the data in a new order, in ⌊N / minibatch_size⌋ minibatches (what is left over
    differs from epoch to epoch). Loops and shuffles are part of the caller's graph. The optimizer is kept
    from call to call and in checkpoints of this object; each network needs one of its own.

    Args:
      learning_rate: A number or a Keras `LearningRateSchedule` of the gradient steps done.
      epochs: Passes over the data.
      minibatch_size: Examples per gradient step; all of them where there are fewer.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
        epochs: int = 5,
        minibatch_size: int = 64,
    ) -> None:
        super().__init__(name="MinibatchRegression")
        for name, number in dict(epochs=epochs, minibatch_size=minibatch_size).items():
            if number < 1:
                raise ConfigurationError(f"MinibatchRegression.{name} must be 1 or more; got {number}.")
        self.optimizer = keras.optimizers.Adam(learning_rate)
        self._built = False
        self._epochs = epochs
        self._minibatch_size = minibatch_size

    def build(self, variables: Sequence[tf.Variable]) -> None:
        """Creates the optimizer's slots for these variables; to be called once, before any `fit`."""
        if self._built:
            raise ConfigurationError(
                "MinibatchRegression: it holds the optimizer of one network, and was given a second one. "
                "Make one for each network (in gin: value_fit = @MinibatchRegression())."
            )
        self._built = True
        self.optimizer.build(variables)

    def fit(
        self,
        predict: Callable[[tf.Tensor], tf.Tensor],
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
        size = min(self._minibatch_size, inputs.shape[0])
        per_epoch = inputs.shape[0] // size
        # Sorting uniforms is a shuffle that XLA can compile; there is no such kernel for stateless_shuffle.
        uniforms = tf.random.stateless_uniform([self._epochs, inputs.shape[0]], seed)
        order = tf.argsort(uniforms, axis=1)[:, : per_epoch * size]
        minibatches = tf.reshape(order, [self._epochs * per_epoch, size])
        last_epoch = (self._epochs - 1) * per_epoch

        def step(index, total):
            chosen = minibatches[index]
            x, y, weight = (tf.gather(tensor, chosen) for tensor in (inputs, targets, valid))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                error = tf.where(weight, predict(x) - y, zero)
                count = tf.reduce_sum(tf.cast(weight, error.dtype))
                loss = 0.5 * tf.reduce_sum(tf.square(error)) / tf.maximum(count, 1)
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return index + 1, total + tf.where(index >= last_epoch, loss, zero)

        steps = self._epochs * per_epoch
        zero = tf.zeros([], targets.dtype)
        _, total = tf.while_loop(lambda index, _: index < steps, step, (tf.constant(0), zero))
        return total / per_epoch
