"""One optimizer step of a network down a loss of a batch, on one device or divided over several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tf_agents.networks import network

from expol_tf.agents.settings import Optimizer
from expol_tf.agents.transitions import Transitions
from expol_tf.optimizers import Adam
from expol_tf.replicas import (
    parts_of_replicas,
    run_on_replicas,
    seed_of_replica,
    shares_of_replicas,
    sum_over_replicas,
)

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
    prepare: Prepare = lambda batch, seed: seed,
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
    part, share = parts_of_replicas(batch), shares_of_replicas(lambda: valid_or_all(batch))

    def differentiate() -> tuple[tf.Tensor, Metrics, list[tf.Tensor]]:
        data = part()
        prepared = prepare(data, seed_of_replica(seed))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value, metrics = loss(data, prepared)
            value = share(value)
        metrics = {name: share(metric) for name, metric in metrics.items()}
        gradients = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return value, metrics, gradients

    value, metrics, gradients = sum_over_replicas(differentiate)
    if variables:  # A policy may consist of its critic alone.
        pairs = list(zip(gradients, variables, strict=True))
        # The gradients are added up already; a Keras optimizer in a replica would do it again.
        own = isinstance(optimizer, Adam) or not tf.distribute.has_strategy()
        options: dict[str, Any] = {} if own else {"skip_gradients_aggregation": True}
        run_on_replicas(lambda: optimizer.apply_gradients(pairs, **options))
    return value, metrics


def valid_or_all(batch: Transitions) -> tf.Tensor:
    """Returns which transitions count, bool `[N]`."""
    return tf.ones(tf.shape(batch.reward), tf.bool) if batch.valid is None else batch.valid
