"""Feed-forward trunks of all networks, built when made."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tf_agents.specs import array_spec
from tf_agents.typing import types

from expol_tf.errors import ConfigurationError, SpaceError
from expol_tf.keras_api import keras


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


def make_mlp(
    input_size: int,
    hidden_units: Sequence[int],
    output_size: int,
    activation: str = "tanh",
    output_initializer: keras.initializers.Initializer | None = None,
    name: str = "mlp",
) -> keras.Sequential:
    """Dense layers `hidden_units` with `activation`, then a linear one of `output_size`, all built."""
    if any(units < 1 for units in hidden_units):
        raise ConfigurationError(f"hidden_units must be positive layer sizes; got {tuple(hidden_units)}.")
    layers = [
        keras.layers.Dense(units, activation, kernel_initializer=keras.initializers.Orthogonal(2.0**0.5))
        for units in hidden_units
    ]
    layers.append(keras.layers.Dense(output_size, kernel_initializer=output_initializer or "glorot_uniform"))
    network = keras.Sequential(layers, name=name)
    network.build([None, input_size])
    return network


class NormalizedColumns(keras.initializers.Initializer):
    """Gaussian weights `[inputs, outputs]` whose every column is rescaled to length `scale` ("normc")."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def __call__(self, shape, dtype=None, **kwargs):
        weights = tf.random.normal(shape, dtype=dtype or tf.float32)
        return self._scale * weights / tf.norm(weights, axis=0, keepdims=True)

    def get_config(self) -> dict[str, float]:
        return {"scale": self._scale}
