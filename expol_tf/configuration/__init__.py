"""Configurations: gin files read as data, checked against what can be configured, and given to gin."""

from __future__ import annotations

from expol_tf.configuration import configuration, gin_syntax, resources
from expol_tf.configuration.call_configuration import configuration_from_call
from expol_tf.configuration.gin_syntax import (
    Binding,
    Macro,
    Reference,
    map_leaves,
    read_bindings,
    read_files,
    render,
)

__all__ = [
    "Binding",
    "Macro",
    "Reference",
    "configuration",
    "configuration_from_call",
    "gin_syntax",
    "map_leaves",
    "read_bindings",
    "read_files",
    "render",
    "resources",
]
