"""Configurations: gin files read as data, checked against what can be configured, and given to gin."""

from __future__ import annotations

from expol_tf.configuration import configuration, gin_syntax, resources
from expol_tf.configuration.call_configuration import configuration_from_call
from expol_tf.configuration.configuration import Configuration
from expol_tf.configuration.gin_syntax import (
    Binding,
    Macro,
    Reference,
    map_leaves,
    read_bindings,
    read_files,
    render,
)
from expol_tf.configuration.recorded_values import recorded_values

__all__ = [
    "Binding",
    "Configuration",
    "Macro",
    "Reference",
    "configuration",
    "configuration_from_call",
    "gin_syntax",
    "map_leaves",
    "read_bindings",
    "read_files",
    "recorded_values",
    "render",
    "resources",
]
