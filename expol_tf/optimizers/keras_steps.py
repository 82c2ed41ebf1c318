"""Steps of Keras's optimizers, of its present classes and of the older ones, beside those of `Adam`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.optimizers.adam import Adam
from expol_tf.replicas import run_on_replicas

Optimizer: TypeAlias = Adam | keras.optimizers.Optimizer | keras.optimizers.legacy.Optimizer
_LEGACY = keras.optimizers.legacy.Optimizer


def build_optimizer(optimizer: Optimizer, variables: Sequence[tf.Variable]) -> None:
    """Creates an optimizer's variables for these; an optimizer belongs to one network.

    Raises:
      ConfigurationError: If the optimizer was built before, or it scales losses.
    """
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        raise ConfigurationError(
            f"{type(optimizer).__name__}: it expects gradients of a scaled loss, and divides those that it "
            "gets. Losses are not scaled here; give the optimizer that is in it."
        )
    if isinstance(optimizer, Adam):
        optimizer.build(variables)  # It says itself that it was built before.
        return
    name = getattr(optimizer, "name", None) or getattr(optimizer, "_name", type(optimizer).__name__)
    if isinstance(optimizer, _LEGACY):
        built = bool(optimizer.get_weights())
    else:
        built = getattr(optimizer, "_built", getattr(optimizer, "built", False))
    # Keras would ignore the second network without a word, until the first step fails.
    if built:
        raise ConfigurationError(
            f"{name}: it already has variables of another network, and was given a second one. "
            "Make one for each network and each agent."
        )
    if isinstance(optimizer, _LEGACY):
        # They have no `build`. Made later, within a compiled loop, their variables would be an error.
        optimizer._create_all_weights(variables)
    else:
        optimizer.build(variables)


def apply_gradients(optimizer: Optimizer, pairs: Sequence[tuple[tf.Tensor, tf.Variable]]) -> None:
    """Takes an optimizer's step; under a strategy all replicas take the same one.

    Args:
      optimizer: An `expol_tf.optimizers.Adam` or a Keras optimizer.
      pairs: Gradients of the whole batch, and their variables.
    """
    if isinstance(optimizer, Adam) or not tf.distribute.has_strategy():
        optimizer.apply_gradients(pairs)
        return
    # The gradients are added up already; a Keras optimizer in a replica would do it again.
    alone = (
        {"experimental_aggregate_gradients": False}
        if isinstance(optimizer, _LEGACY)
        else {"skip_gradients_aggregation": True}
    )
    run_on_replicas(lambda: optimizer.apply_gradients(pairs, **alone))
