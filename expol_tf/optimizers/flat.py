"""Lists of variables as one vector."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def flatten(tensors: Sequence[tf.Tensor | tf.Variable]) -> tf.Tensor:
    """Concatenates all entries into one vector `[P]`."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def unflatten(vector: tf.Tensor, like: Sequence[tf.Tensor | tf.Variable]) -> list[tf.Tensor]:
    """Cuts a vector `[P]` into tensors with the shapes of `like`."""
    sizes = [tensor.shape.num_elements() for tensor in like]
    return [
        tf.reshape(part, tensor.shape) for part, tensor in zip(tf.split(vector, sizes), like, strict=True)
    ]


def assign(variables: Sequence[tf.Variable], vector: tf.Tensor) -> None:
    """Sets the variables from a vector `[P]`."""
    for variable, value in zip(variables, unflatten(vector, variables), strict=True):
        variable.assign(value)


def flat_gradient(
    tape: tf.GradientTape,
    target: tf.Tensor,
    variables: Sequence[tf.Variable],
    output_gradients: tf.Tensor | None = None,
) -> tf.Tensor:
    """∂target/∂variables as one vector `[P]`, zeros where a variable has no part in the target.

    Args:
      tape: The tape that recorded the target.
      target: A scalar, or a tensor whose entries are weighted by `output_gradients`.
      variables: The variables to differentiate by, P numbers in all.
      output_gradients: Weights of the target's entries, of its shape; by default 1.
    """
    # Zeros in place of None, so that the vector has an entry for every number of the variables.
    gradients = tape.gradient(
        target,
        variables,
        output_gradients=output_gradients,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return flatten([tf.convert_to_tensor(gradient) for gradient in gradients])
