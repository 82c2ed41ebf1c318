"""How a network is called: as TF-Agents calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts


def call_network(network_: network.Network, inputs: Any) -> Any:
    """Returns (output, state) of a network without a state, for inputs `[N, …]`.

    TF-Agents' protocol is `network(inputs, step_type=…, network_state=…)`. Some of its networks, such as
    `ActorDistributionNetwork`, have no defaults for these two. The step type is MID for all rows, whatever
    they were in their episodes: the density of an action must not depend on where it was recorded.

    Args:
      network_: A TF-Agents network, or another function of the inputs.
      inputs: A tensor `[N, …]` or a structure of such.
    """
    keywords: dict[str, Any] = {}
    if isinstance(network_, network.Network):
        accepted = _accepted(network_.call)
        if "step_type" in accepted:
            rows = tf.shape(tf.nest.flatten(inputs)[0])[:1]
            keywords["step_type"] = tf.fill(rows, tf.constant(ts.StepType.MID, tf.int32))
        if "network_state" in accepted:
            keywords["network_state"] = ()
    return network_(inputs, **keywords)


def _accepted(call: Callable[..., Any]) -> frozenset[str]:
    """The names of what a network's `call` takes, of these two."""
    parameters = inspect.signature(call).parameters.values()
    names = {"step_type", "network_state"}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(names)
    return frozenset(names & {parameter.name for parameter in parameters})
