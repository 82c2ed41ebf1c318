"""One optimizer step of a network down a loss of a batch, on one device or divided over several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tf_agents.networks import network

from expol_tf.agents.experience import Transitions
from expol_tf.optimizers import Optimizer, apply_gradients
from expol_tf.replicas import gradients

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
