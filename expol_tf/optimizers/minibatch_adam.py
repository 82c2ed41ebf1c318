"""Epochs of Adam over shuffled minibatches, in one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.number_types import Count, NonNegative, Positive
from expol_tf.optimizers.adam import Adam
from expol_tf.optimizers.keras_steps import Optimizer, apply_gradients, build_optimizer
from expol_tf.replicas import gradients, outside_of_replicas
from expol_tf.shapes import require_shapes
from expol_tf.text_types import ModuleName

_LEARNING_RATE = 3e-4


class MinibatchReport(NamedTuple):
    """Means over the last epoch begun: the loss and ‖gradient‖ before clipping; and the share of steps taken.

    `step_fraction` is 1 unless the loop was told to stop.
    """

    loss: tf.Tensor
    gradient_norm: tf.Tensor
    step_fraction: tf.Tensor


@configurable
class MinibatchAdam(tf.Module):
    """Minimizes a mean over data by Adam: every epoch visits the data in a new order, in minibatches.

    An epoch has ⌊N / minibatch_size⌋ steps; what is left over differs from epoch to epoch. Loops and shuffles
    are part of the caller's graph. The optimizer's moments are kept from call to call and in checkpoints of
    this object; each set of variables needs one of its own.

    Under a `tf.distribute.MirroredStrategy` each replica computes the gradient of its part of a minibatch.

    Reference: Kingma & Ba 2015, *Adam: A Method for Stochastic Optimization*, Alg. 1.

    Args:
      learning_rate: A number, or a Keras `LearningRateSchedule` that counts gradient steps.
      epochs: Passes over the data.
      minibatch_size: Examples in a gradient step; all of them where there are fewer.
      max_gradient_norm: A longer gradient is scaled down to this Euclidean norm; None leaves it.
      optimizer: A Keras optimizer of any kind that takes the steps in the place of Adam, with the learning
        rate that it was made with. `learning_rate` must be left out then.
    """

    def __init__(
        self,
        learning_rate: NonNegative | keras.optimizers.schedules.LearningRateSchedule = _LEARNING_RATE,
        epochs: Count = 10,
        minibatch_size: Count = 64,
        max_gradient_norm: Positive | None = None,
        name: ModuleName = "MinibatchAdam",
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__(name=name)
        require_one_learning_rate(name, learning_rate, _LEARNING_RATE, optimizer)
        # ε as in Keras, and as in runs of earlier versions. Gradients are clipped here, where their norm is
        # known: it is a metric.
        self.optimizer: Optimizer = optimizer or Adam(learning_rate, None, epsilon=1e-7, name=name)
        self._epochs = epochs
        self._minibatch_size = minibatch_size
        self._max_gradient_norm = max_gradient_norm

    def build(self, variables: Sequence[tf.Variable]) -> None:
        """Creates the moments of these variables; to be called once, before any `minimize`."""
        build_optimizer(self.optimizer, variables)

    def minimize(
        self,
        loss: Callable[[Any, tf.Tensor], tf.Tensor | tuple[tf.Tensor, tf.Tensor]],
        variables: Sequence[tf.Variable],
        data: Any,
        seed: tf.Tensor,
        valid: tf.Tensor | None = None,
    ) -> MinibatchReport:
        """Runs all epochs, or as many steps as come before the loss says stop.

        Args:
          loss: Takes (minibatch with the structure of `data`, a stateless seed of the step) and returns the
            mean loss, or a pair of it and another mean: unless that is 0 or less (or false) the loop
            ends, without this minibatch's step.
          variables: The variables to move, those that `build` was given.
          data: A structure of tensors `[N, …]`; None stays None.
          seed: int32 `[2]`, the stateless seed of the shuffles and of the steps' seeds.
          valid: Bool `[N]`, the examples that the loss is a mean over; by default all.
        """
        require_shapes(("valid", valid, "N | None", "bool"), ("seed", seed, "2", "int"))
        number = _rows_of_all([*tf.nest.flatten(data), valid])
        size = min(self._minibatch_size, number)
        per_epoch = number // size
        steps = self._epochs * per_epoch

        # Sorting uniforms is a shuffle that XLA can compile; there is no such kernel for stateless_shuffle.
        def shuffle() -> tf.Tensor:
            """Returns the order of the data in each epoch `[epochs, N]`."""
            return tf.argsort(tf.random.stateless_uniform([self._epochs, number], seed), axis=1)

        # Whole batches are shuffled by the compiler that compiles the replicas, so the order is
        # that of one device.
        order = outside_of_replicas(shuffle)[:, : per_epoch * size]
        minibatches = tf.reshape(order, [steps, size])

        def evaluate(minibatch, step_seed):
            """Returns the loss and, if there is one, the number that says stop, in the loss's dtype."""
            result = loss(minibatch, step_seed)
            value, *stop = result if isinstance(result, tuple) else (result,)
            require_shapes(("loss", value, ""), *(("loss[1]", number, "", "any") for number in stop))
            # A number, as `gradients` adds values up over replicas, which a bool cannot be.
            return (value, *(tf.cast(number, value.dtype) for number in stop))

        def step(index, _, loss_sum, norm_sum):
            """Takes one gradient step and returns the loop's state after it."""
            chosen = minibatches[index]
            minibatch = tf.nest.map_structure(lambda x: None if x is None else tf.gather(x, chosen), data)
            # One seed for all steps would give each the same noise.
            step_seed = tf.random.experimental.stateless_fold_in(seed, index)
            counted = None if valid is None else tf.gather(valid, chosen)
            (value, *stop), gradient = gradients(evaluate, minibatch, variables, counted, step_seed)
            norm = tf.linalg.global_norm(gradient)
            if self._max_gradient_norm is not None:
                gradient, _ = tf.clip_by_global_norm(gradient, self._max_gradient_norm, use_norm=norm)

            def apply() -> tf.Tensor:
                """Moves the variables and returns that the loop was not stopped."""
                apply_gradients(self.optimizer, list(zip(gradient, variables, strict=True)))
                return tf.constant(False)

            # Also where it is NaN.
            stopped = tf.cond(~(stop[0] <= 0), lambda: tf.constant(True), apply) if stop else apply()
            # The sums are of one epoch.
            kept = tf.cast(index % per_epoch > 0, value.dtype)
            return index + 1, stopped, kept * loss_sum + value, kept * norm_sum + norm

        zero = tf.zeros([], variables[0].dtype)
        begun, stopped, loss_sum, norm_sum = tf.while_loop(
            lambda index, stop, *_: (index < steps) & ~stop, step, (0, False, zero, zero)
        )
        # An epoch that was cut short averages over the steps that it began.
        count = tf.cast((begun - 1) % per_epoch + 1, zero.dtype)
        taken = begun - tf.cast(stopped, begun.dtype)
        return MinibatchReport(
            loss_sum / count, norm_sum / count, tf.cast(taken, zero.dtype) / tf.cast(steps, zero.dtype)
        )


def require_one_learning_rate(
    name: str, learning_rate: Any, default: float, optimizer: Optimizer | None
) -> None:
    """Raises a `ConfigurationError` if there is an optimizer, which has its own rate, and a learning rate.

    Args:
      name: Who was given them.
      learning_rate: The learning rate.
      default: What it is where the user gives none.
      optimizer: The optimizer, or None.
    """
    if optimizer is not None and learning_rate != default:
        raise ConfigurationError(
            f"{name}.learning_rate must be left out where an optimizer is given, which has its own; got "
            f"{learning_rate}. Give it to the optimizer."
        )


def _rows_of_all(tensors: Sequence[tf.Tensor | None]) -> int:
    """Returns N of tensors `[N, …]`; refuses others, as rows of a longer one would never be seen."""
    shapes = [tensor.shape for tensor in tensors if tensor is not None]
    sizes = [None if shape.rank in (0, None) else shape[0] for shape in map(tf.TensorShape, shapes)]
    if len(set(sizes)) != 1 or not sizes[0]:
        raise ConfigurationError(
            "data and valid must be tensors [N, …] of the same, known N, 1 or more; got the shapes "
            f"{', '.join(str(list(shape)) for shape in shapes)}. Give every tensor a row for each example."
        )
    return int(sizes[0])
