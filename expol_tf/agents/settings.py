"""Types of what agents are given, and settings that a user may leave open for an agent to fill."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from tf_agents.networks import network
from tf_agents.typing import types

from expol_tf.optimizers import Optimizer as Optimizer

# The specs of observations and actions → a network.
NetworkFactory: TypeAlias = Callable[[types.NestedTensorSpec, types.NestedTensorSpec], network.Network]

Settings = TypeVar("Settings")


def with_defaults(settings: Settings, **defaults: Any) -> Settings:
    """Returns the dataclass `settings`, its fields that are None replaced by these defaults."""
    missing = {name: value for name, value in defaults.items() if getattr(settings, name) is None}
    return dataclasses.replace(settings, **missing) if missing else settings  # type: ignore[type-var]
