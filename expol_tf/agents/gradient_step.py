"""One optimizer step of a network down a loss of a batch, on one device or divided over several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tf_agents.networks import network

from expol_tf.agents.experience import Transitions
from expol_tf.agents.settings import Optimizer
from expol_tf.errors import ConfigurationError
from expol_tf.optimizers import Adam
from expol_tf.replicas import gradients, run_on_replicas

Metrics = dict[str, tf.Tensor]
# A batch and a stateless seed → what the loss is given besides the batch; no gradient flows through it.
Prepare = Callable[[Transitions, tf.Tensor], Any]
# A batch and what was prepared → (a mean over the valid transitions, metrics that are such means).
BatchLoss = Callable[[Transitions, Any], tuple[tf.Tensor, Metrics]]


def descend(
    loss: BatchLoss,
    batch: Transitions,
    seed: tf.Tensor,
    network_: network.Network,
    optimizer: Optimizer,
    prepare: Prepare | None = None,
) -> tuple[tf.Tensor, Metrics]:
    """Takes one step of a network down a loss; returns the loss and its metrics, over the whole batch.

    Args:
      loss: The loss as a pure function of a batch.
      batch: N transitions, observations normalized.
      seed: int32 `[2]`.
      network_: What is trained.
      optimizer: Applies the gradient.
      prepare: Makes the loss's second argument outside of the gradient's tape; by default the seed itself.
    """
    variables = network_.trainable_variables
    (value, metrics), gradient = gradients(loss, batch, variables, batch.valid, seed, prepare)
    if variables:  # A policy may consist of its critic alone.
        apply_gradients(optimizer, list(zip(gradient, variables, strict=True)))
    return value, metrics


def build_optimizer(optimizer: Optimizer, variables: Sequence[tf.Variable]) -> None:
    """Creates an optimizer's variables for these; an optimizer belongs to one network.

    Raises:
      ConfigurationError: If the optimizer was built before.
    """
    # Keras would ignore the second network without a word, until the first step fails; Adam says so itself.
    if not isinstance(optimizer, Adam) and getattr(optimizer, "_built", getattr(optimizer, "built", False)):
        raise ConfigurationError(
            f"{optimizer.name}: it already has variables of another network, and was given a second one. "
            "Make one for each network and each agent."
        )
    optimizer.build(variables)


def apply_gradients(optimizer: Optimizer, pairs: Sequence[tuple[tf.Tensor, tf.Variable]]) -> None:
    """Takes an optimizer's step; under a strategy all replicas take the same one.

    Args:
      optimizer: An `expol_tf.optimizers.Adam` or a Keras optimizer.
      pairs: Gradients of the whole batch, and their variables.
    """
    if isinstance(optimizer, Adam) or not tf.distribute.has_strategy():
        optimizer.apply_gradients(pairs)
    else:
        # The gradients are added up already; a Keras optimizer in a replica would do it again.
        run_on_replicas(lambda: optimizer.apply_gradients(pairs, skip_gradients_aggregation=True))
