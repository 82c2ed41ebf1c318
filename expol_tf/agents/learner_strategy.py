"""What a `tf.distribute` strategy asks of the parts of an agent."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
from tf_agents.networks import network

from expol_tf.errors import ConfigurationError
from expol_tf.replicas import UpdatePart, mirrored_strategy


def learner_strategy(
    networks: Mapping[str, network.Network], parts: Mapping[str, UpdatePart] | None = None
) -> tf.distribute.MirroredStrategy | None:
    """Returns the strategy under which an agent with these parts trains, or None.

    Args:
      networks: The networks that the agent trains, by the names of its arguments.
      parts: Other parts of an update, by the names of the agent's arguments; they must support replicas.

    Raises:
      ConfigurationError: If one of them does not belong to the strategy.
    """
    strategy = mirrored_strategy()
    if strategy is None:
        return None
    for name, network_ in networks.items():
        if not all(map(strategy.extended.variable_created_in_scope, network_.variables)):
            raise ConfigurationError(
                f"{name}: its variables must be created in the scope of the strategy that the agent is made "
                f"under; those of {type(network_).__name__} were not. Construct networks and agent together "
                "inside `with strategy.scope():`."
            )
    for name, part in (parts or {}).items():
        if not part.supports_replicas:
            raise ConfigurationError(
                f"{name}: {type(part).__name__} does not say that it divides its work over replicas "
                "(class keyword supports_replicas; see docs/devices.md). Train on one device, or divide it."
            )
    return strategy
