"""From statements to a checked configuration, and from there into gin and back."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import gin

from expol_tf.cli import did_you_mean, import_user_module, nearest_module
from expol_tf.configuration import gin_internals, gin_registry
from expol_tf.configuration.calls import refuse_program
from expol_tf.configuration.configuration import EXPERIMENT_MACROS, Configuration
from expol_tf.configuration.gin_syntax import (
    Binding,
    Import,
    Key,
    Macro,
    Reference,
    map_leaves,
    read_bindings,
    references,
    walk,
)
from expol_tf.errors import ConfigurationError
from expol_tf.renamed import moved

_WHERE = "It must be installed, or lie in the directory where the program is started."


def check_macros(statements: Sequence[Binding | Import]) -> None:
    """Raises a `ConfigurationError` for a macro that nothing uses or defines, with the nearest name.

    gin takes a misspelt `NUM_ENV = 4` for a new macro and leaves NUM_ENVS as it was. Needs no registered
    names, so that this mistake shows before TensorFlow is imported.
    """
    bindings = [statement for statement in statements if isinstance(statement, Binding)]
    defined = {binding.name: binding for binding in bindings if binding.is_macro}
    used: dict[str, str] = {}
    for binding in bindings:
        for leaf in walk(binding.value):
            if isinstance(leaf, Macro):
                used.setdefault(leaf.name, binding.location)
    for name, location in used.items():
        if name not in defined and "." not in name and not gin_internals.is_constant(name):
            raise ConfigurationError(
                f"{location}: the macro %{name} is not defined.{did_you_mean(name, defined)} "
                f"Define it: {name} = ..."
            )
    for name, binding in defined.items():
        if name not in used:
            candidates = [other for other in (*used, *EXPERIMENT_MACROS) if other != name]
            raise ConfigurationError(
                f"{binding.location}: the macro {name} is defined, but nothing uses it."
                f"{did_you_mean(name, candidates)} A parameter is set with "
                "`Name.parameter = value`; a macro must be used as %NAME in some value."
            )


def resolve(statements: Sequence[Binding | Import], root: str = "train") -> Configuration:
    """Returns the configuration that statements make, later ones winning; every name and type is checked.

    The library's configurables must be registered (imported) before; modules of the user's are imported here.
    A statement may import one, or name it before what it registers: `@munchausen.MunchausenSacAgent`.

    Raises:
      ConfigurationError: With the file, the line and the nearest known name.
    """
    check_macros(statements)
    configuration, replaced = _resolve(statements, root)
    for statement in statements:
        # Also in what later statements override, as a file that says so has a mistake.
        for leaf in walk(statement.value) if isinstance(statement, Binding) else ():
            if isinstance(leaf, Reference):
                known = gin_registry.look_up(leaf.name.rpartition("/")[2], statement.location)
                refuse_program(leaf, known, configuration.root, statement.location)
    values = [statement.value for statement in statements if isinstance(statement, Binding)]
    scopes = {scope for name in references(values) for scope in name.split("/")[:-1]}
    for binding in configuration.bindings.values():
        if gin_registry.is_foreign(binding.selector, configuration.root):
            continue  # Code of the user's own may enter scopes itself.
        if binding.scope and binding.scope.rpartition("/")[2] not in scopes:
            raise ConfigurationError(
                f"{binding.location}: nothing refers to the scope {binding.scope!r}."
                f"{did_you_mean(binding.scope, scopes)} Refer to it as "
                f"@{binding.scope}/{binding.selector.rpartition('.')[2]}."
            )
    return configuration.without_replaced(replaced)


@contextlib.contextmanager
def applied(configuration: Configuration) -> Iterator[None]:
    """Makes gin hold exactly this configuration while the block runs, and nothing afterwards."""
    try:
        configuration.apply()
        yield
    finally:
        gin.clear_config()


@contextlib.contextmanager
def held_again() -> Iterator[None]:
    """Makes gin hold after the block what it holds now, also the objects that its text cannot express."""
    text, objects = gin.config_str(), gin_internals.unwritable_bindings()
    try:
        yield
    finally:
        gin.clear_config()
        if text.strip():
            gin.parse_config(text)
        for (scope, selector, parameter), value in objects.items():
            gin.bind_parameter((scope, selector, parameter), value)


def held_configuration(root: str = "train") -> Configuration:
    """Returns what gin holds now, whoever put it there; gin forgets in which files and lines."""
    # A user's own program may keep macros and scopes for other purposes: these are not checked.
    return _resolve(read_bindings([gin.config_str()], source="gin"), root)[0]


def _resolve(statements: Sequence[Binding | Import], root: str) -> tuple[Configuration, set[str]]:
    """Returns the configuration, and the names that an overridden statement had in place of other names."""
    modules = _import_modules(statements)
    macros: dict[str, Binding] = {}
    bindings: dict[Key, Binding] = {}
    replaced: set[str] = set()
    for binding in statements:
        if isinstance(binding, Import):
            continue
        value = map_leaves(functools.partial(_look_up_reference, binding.location, modules), binding.value)
        if binding.is_macro:
            macros[binding.selector] = dataclasses.replace(binding, value=value)
            continue
        known = gin_registry.look_up(binding.selector, binding.location, binding.parameter, modules)
        # An overridden binding is checked as well: its file has a mistake.
        gin_registry.check_parameter(known, binding.parameter, binding.location)
        key = binding.scope, known.selector, binding.parameter
        # A part that gave way to a plain value may still be made, with its settings, by who has the value.
        if key in bindings and references(value):
            replaced |= references(bindings[key].value) - references(value)
        bindings[key] = dataclasses.replace(binding, selector=known.selector, value=value)
    configuration = Configuration(gin_registry.look_up(root).selector, modules, macros, bindings)
    configuration.check()
    return configuration, replaced


def _look_up_reference(location: str, modules: Sequence[str], leaf: Any) -> Any:
    if not isinstance(leaf, Reference):
        return leaf
    scopes, slash, selector = leaf.name.rpartition("/")
    known = gin_registry.look_up(selector, location, modules=modules)
    return dataclasses.replace(leaf, name=scopes + slash + known.short)


def _import_modules(statements: Sequence[Binding | Import]) -> tuple[str, ...]:
    """Imports the modules of the user's that statements need; returns them, for the record of a run."""
    needed: dict[str, None] = {}
    for statement in statements:
        if isinstance(statement, Import):
            if not _imported(statement.module, statement.location):
                raise ConfigurationError(
                    f"{statement.location}: the module {statement.module!r} cannot be imported: there is "
                    f"none.{nearest_module(statement.module)} {_WHERE}"
                )
            needed[statement.module] = None
            continue
        names = references(statement.value) | (set() if statement.is_macro else {statement.selector})
        for selector in sorted(name.rpartition("/")[2] for name in names):
            module = selector.rpartition(".")[0]
            if not module or f"{module}.".startswith(gin_registry.OURS):
                continue
            # What is registered may have any prefix; only that of a module is needed by the next process.
            known = gin_internals.selectors(selector)
            if module in sys.modules if known else _imported(module, statement.location):
                needed[module] = None
            elif not known and (near := nearest_module(module)):
                raise ConfigurationError(
                    f"{statement.location}: {selector!r} begins with the module {module!r}, but there is "
                    f"none.{near} {_WHERE}"
                )
    return tuple(needed)


def _imported(module: str, location: str) -> bool:
    answer = moved(module)
    if answer is not None:
        raise ConfigurationError(f"{location}: {answer}")
    try:
        return import_user_module(module)
    except ImportError as error:
        missing = isinstance(error.__cause__, ImportError)
        remedy = f"What it imports{_WHERE.removeprefix('It')}" if missing else "Correct the module."
        raise ConfigurationError(
            f"{location}: the module {module!r} cannot be imported: {error}. {remedy}"
        ) from error
