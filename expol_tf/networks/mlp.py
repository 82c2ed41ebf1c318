"""Feed-forward networks, of which all others are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tf_agents.specs import array_spec
from tf_agents.typing import types

from expol_tf.checked import checked
from expol_tf.checks import require_number
from expol_tf.errors import ConfigurationError, SpaceError
from expol_tf.keras_api import keras
from expol_tf.text_types import Activation, ModuleName


def vector_size(observation_spec: types.NestedTensorSpec, argument: str = "observation_spec") -> int:
    """Returns the size of a rank-1 floating spec; raises `SpaceError` for any other."""
    is_vector = isinstance(observation_spec, tf.TensorSpec | array_spec.ArraySpec) and (
        len(observation_spec.shape) == 1 and tf.as_dtype(observation_spec.dtype).is_floating
    )
    if not is_vector:
        raise SpaceError(
            f"{argument} must be one floating-point vector, shape [size]; got {observation_spec}. "
            "Flatten the space first (gymnasium.wrappers.FlattenObservation)."
        )
    return int(observation_spec.shape[0])


def require_vectors(observation_spec: types.NestedTensorSpec, action_spec: types.NestedTensorSpec) -> None:
    """Raises a `SpaceError` for specs that are no float vectors, at which TF-Agents' own base class fails."""
    vector_size(observation_spec)
    vector_size(action_spec, "action_spec")


@checked
def make_mlp(
    input_size: int,
    hidden_units: Sequence[int],
    output_size: int,
    activation: Activation = "tanh",
    output_initializer: keras.initializers.Initializer | None = None,
    name: ModuleName = "mlp",
) -> keras.Sequential:
    """Returns a network of dense layers, the last one linear, with all its variables.

    Args:
      input_size: Number of inputs.
      hidden_units: Sizes of the hidden layers.
      output_size: Number of outputs.
      activation: Keras name of the hidden layers' activation.
      output_initializer: How the last kernel is drawn; "glorot_uniform" by default.
      name: The name of the network.

    Raises:
      ConfigurationError: If a hidden layer has no units, or Keras has no such activation.
    """
    if not all(units >= 1 for units in hidden_units):
        raise ConfigurationError(f"hidden_units must be positive layer sizes; got {tuple(hidden_units)}.")
    layers = [
        keras.layers.Dense(units, activation, kernel_initializer=keras.initializers.Orthogonal(2.0**0.5))
        for units in hidden_units
    ]
    layers.append(keras.layers.Dense(output_size, kernel_initializer=output_initializer or "glorot_uniform"))
    network = keras.Sequential(layers, name=name)
    # Built now: a variable that appears at the first call would be unknown to optimizers and checkpoints.
    network.build([None, input_size])
    return network


def built_layers(
    hidden_units: Sequence[int],
    activation: Activation,
    input_size: int,
    make_layer: Callable[..., keras.layers.Layer] = keras.layers.Dense,
) -> list[keras.layers.Layer]:
    """Returns dense layers with one output, the last one linear, with all their variables.

    Raises:
      ConfigurationError: If there is no hidden layer, or one without units.
    """
    if not hidden_units or not all(units >= 1 for units in hidden_units):
        raise ConfigurationError(
            f"hidden_units must be one or more positive layer sizes; got {tuple(hidden_units)}."
        )
    layers = [*(make_layer(units, activation) for units in hidden_units), make_layer(1)]
    # Built now: a variable that appears at the first call would be unknown to optimizers, targets
    # and checkpoints.
    for layer in layers:
        layer.build([None, input_size])
        input_size = layer.units
    return layers


class NormalizedColumns(keras.initializers.Initializer):
    """Gaussian weights `[inputs, outputs]`, with every column rescaled to the length `scale` ("normc").

    Args:
      scale: The length of every column.
    """

    def __init__(self, scale: float = 1.0) -> None:
        require_number(
            "NormalizedColumns.scale", scale, "positive", "0.01 is small, 1 the length of a column."
        )
        self._scale = scale

    def __call__(self, shape: Sequence[int], dtype: tf.DType | None = None, **kwargs: Any) -> tf.Tensor:
        weights = tf.random.normal(shape, dtype=dtype or tf.float32)
        return self._scale * weights / tf.norm(weights, axis=0, keepdims=True)

    def get_config(self) -> dict[str, float]:
        """Returns the constructor's arguments, as Keras wants them."""
        return {"scale": self._scale}
