"""Configurations: gin files read as data, checked against what can be configured, and given to gin."""

from __future__ import annotations

from expol_tf.configuration import gin_syntax, resources
from expol_tf.configuration.call_configuration import configuration_from_call
from expol_tf.configuration.configuration import (
    CHOSEN_TITLE,
    EXPERIMENT_MACROS,
    UNWRITABLE_MARK,
    Configuration,
    unwritable_entries,
)
from expol_tf.configuration.gin_syntax import (
    Binding,
    Macro,
    Reference,
    expand,
    find_file,
    read_bindings,
    read_files,
    render,
    walk,
)
from expol_tf.configuration.objects import check_objects
from expol_tf.configuration.recorded_values import recorded_values
from expol_tf.configuration.resolution import applied, check_macros, held_again, resolve

__all__ = [
    "CHOSEN_TITLE",
    "EXPERIMENT_MACROS",
    "UNWRITABLE_MARK",
    "Binding",
    "Configuration",
    "Macro",
    "Reference",
    "applied",
    "check_macros",
    "check_objects",
    "configuration_from_call",
    "expand",
    "find_file",
    "gin_syntax",
    "held_again",
    "read_bindings",
    "read_files",
    "recorded_values",
    "render",
    "resolve",
    "resources",
    "unwritable_entries",
    "walk",
]
