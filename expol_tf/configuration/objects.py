"""Rules between settings, checked by the constructors that have them, without an experiment."""

from __future__ import annotations

import inspect

import gin

from expol_tf.configuration import gin_internals, gin_registry
from expol_tf.configuration.configuration import Configuration
from expol_tf.configuration.gin_syntax import Binding, outer_scopes
from expol_tf.errors import ConfigurationError


def check_objects(configuration: Configuration) -> None:
    """Makes, and forgets, each object of the library's that bindings configure and that needs nothing else.

    Its constructor compares its settings with each other, as types and ranges cannot: that
    `KroneckerUpdate.min_learning_rate` is at most its `max_learning_rate`, say. Networks, agents and runners
    need environments, so they are not made. To be called where gin holds the configuration; see `applied`.

    Raises:
      ConfigurationError: A rule is broken; the message has the place of one of the bindings.
    """
    bound: dict[tuple[str, str], list[Binding]] = {}
    for (scope, selector, _), binding in configuration.bindings.items():
        bound.setdefault((scope, selector), []).append(binding)
    for (scope, selector), bindings in bound.items():
        cls = gin_internals.entries()[selector].wrapped
        ours = selector.startswith(gin_registry.OURS) and cls.__module__.startswith(gin_registry.OURS)
        if not ours or not inspect.isclass(cls):
            continue
        outer = outer_scopes(scope)
        given = {
            name for where, owner, name in configuration.bindings if owner == selector and where in outer
        }
        if gin_registry.look_up(selector).required - given:
            continue
        try:
            with gin.config_scope(scope or None):
                cls()
        except ConfigurationError as error:
            raise ConfigurationError(f"{bindings[-1].location}: {error}") from error
