"""An experiment's configuration: gin files, bindings and flags, checked, written down and compared.

    statements = gin_syntax.read_files(["gin/nfp_trpo.gin"]) + gin_syntax.read_bindings(["SEED = 3"])
    configuration = resolve(statements).override("num_env_steps", 20_000)
    configuration.apply()      # gin now holds exactly this
    train(root_dir)            # writes configuration.text as config.gin

Later statements override earlier ones, and `override` overrides them all.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from expol_tf.cli import did_you_mean, user_directory
from expol_tf.configuration import gin_registry
from expol_tf.configuration.gin_syntax import (
    Binding,
    Import,
    Macro,
    Reference,
    map_leaves,
    read_bindings,
    render,
    walk,
)
from expol_tf.configuration.replaced_parts import ReplacedParts
from expol_tf.errors import ConfigurationError

EXPERIMENT_MACROS = (
    "TASK",
    "NUM_ENVS",
    "NUM_ENV_STEPS",
    "SEED",
    "BACKEND",
    "EVAL_INTERVAL",
    "EVAL_EPISODES",
    "CHECKPOINT_INTERVAL",
    "LOG_INTERVAL",
)
# What may differ between a run and its resumption: the length, the seed, and what only observes or stores the
# run. The pattern is of the root's parameters; the configurables are named.
_EXEMPT_PARAMETER = re.compile(r"^(root_dir|observers|seed|num_env_steps|log_.*|eval_.*|checkpoint_.*)$")
_EXEMPT_CONFIGURABLES = ("CheckpointStore", "Evaluator", "Progress", "configure_devices")
_EXEMPT_MACROS = tuple(macro for macro in EXPERIMENT_MACROS if _EXEMPT_PARAMETER.match(macro.lower()))
# Where a run is written and who watches it are no part of what it is.
NOT_WRITTEN = ("root_dir", "observers")

# In the text of a configuration that only Python code can give in whole.
UNWRITABLE_MARK = "# Python objects that a gin file cannot express; pass them again from Python:"

Key = tuple[str, str, str]

# What `Configuration.apply` last gave to gin, and gin's own text of it.
_applied: tuple[str, Configuration] | None = None


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A checked configuration.

    Attributes:
      root: The configurable that the program calls.
      imports: User modules that register configurables.
      macros: Definitions by macro name.
      bindings: By scope, complete selector and parameter.
      unwritable: Parameter → description of a Python object that gin cannot express (only from Python calls).
    """

    root: str = "train"
    imports: tuple[str, ...] = ()
    macros: Mapping[str, Binding] = dataclasses.field(default_factory=dict)
    bindings: Mapping[Key, Binding] = dataclasses.field(default_factory=dict)
    unwritable: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole configuration as one gin file without includes.

        It also holds the defaults of every configurable that is bound or referred to, so that it means the
        same after a default has changed. Parsing it again gives an equal configuration.
        """
        lines = ["# The complete configuration of this run; train it again with --gin_file.", ""]
        lines += [f"import {module}" for module in self.imports] + ([""] if self.imports else [])
        macros = self._used_macros()
        order = {name: index for index, name in enumerate(EXPERIMENT_MACROS)}
        for name in sorted(macros, key=lambda macro: (order.get(macro, len(order)), macro)):
            lines.append(f"{name} = {render(self.macros[name].value)}")
        defaults, root = self._defaults(), self._root_selector()
        written = {key: binding.value for key, binding in self.bindings.items()}
        written.pop(("", root, "root_dir"), None)  # trained again, the run goes elsewhere
        groups: dict[tuple[bool, str], list[tuple[int, str]]] = {}
        for (scope, selector, parameter), value in {**defaults, **written}.items():
            known = gin_registry.look_up(selector, "")
            name = f"{scope}/{known.short}" if scope else known.short
            is_default = self._is_default(("", selector, parameter), value)
            line = f"{name}.{parameter} = {render(value)}{'  # default' if is_default else ''}"
            position = [*known.parameters, parameter].index(parameter)
            groups.setdefault((known.selector != root, name), []).append((position, line))
        for _, group in sorted(groups.items()):
            lines += ["", *(line for _, line in sorted(group))]
        if self.unwritable:
            lines += ["", UNWRITABLE_MARK]
            lines += [f"# {name} = {description}" for name, description in sorted(self.unwritable.items())]
        return "\n".join(lines) + "\n"

    def fingerprint(self) -> dict[str, str]:
        """Returns what makes this the experiment it is: bindings by name, as text.

        Left out are values equal to the parameter's default (so that a new parameter in a later version is no
        difference), the seed, the number of steps, and evaluation, logging and checkpoint options.
        """
        entries = {}
        for (scope, selector, parameter), binding in self.bindings.items():
            known = gin_registry.look_up(selector, binding.location)
            if known.short in _EXEMPT_CONFIGURABLES:
                continue
            if known.selector == self._root_selector() and _EXEMPT_PARAMETER.match(parameter):
                continue
            if self._is_default((scope, selector, parameter), binding.value):
                continue
            value = self._expand(binding.value, keep=_EXEMPT_MACROS)
            name = f"{selector.removeprefix('expol_tf.')}.{parameter}"
            entries[f"{scope}/{name}" if scope else name] = render(value) or "?"
        return dict(sorted({**entries, **self.unwritable}.items()))

    def value(self, name: str, default: Any = None) -> Any:
        """Returns what `Configurable.parameter` is bound to, macros replaced, or its signature's default."""
        selector, _, parameter = name.rpartition(".")
        known = gin_registry.look_up(selector, "value")
        binding = self.bindings.get(("", known.selector, parameter))
        if binding is not None:
            return self._expand(binding.value)
        found = known.default(parameter)
        return default if found is inspect.Parameter.empty or found is gin.REQUIRED else found

    def override(self, parameter: str, value: Any) -> Configuration:
        """Returns a configuration whose root parameter has this value, by its macro if it has one.

        For flags, which override bindings and files.
        """
        key = ("", self._root_selector(), parameter)
        flag = f"--{parameter}"
        binding = self.bindings.get(key)
        if binding is not None and isinstance(binding.value, Macro) and binding.value.name in self.macros:
            name = binding.value.name
            macros = {**self.macros, name: Binding("", name, "", value, flag)}
            changed = dataclasses.replace(self, macros=macros)
        else:
            bindings = {**self.bindings, key: Binding("", key[1], parameter, value, flag)}
            changed = dataclasses.replace(self, bindings=bindings)
        changed.check()
        return changed

    def apply(self) -> None:
        """Makes gin hold exactly this configuration.

        Raises:
          ConfigurationError: If it contains objects that gin cannot express.
        """
        if self.unwritable:
            raise ConfigurationError(
                f"{', '.join(self.unwritable)}: only Python code can pass such objects; "
                "call expol_tf.train again."
            )
        gin.clear_config()
        try:
            gin.parse_config(self._bound_text())
        except Exception:
            gin.clear_config()
            raise
        global _applied
        _applied = (gin.config_str(), self)

    def check_all_used(self) -> None:
        """Raises a `ConfigurationError` for a binding of something that has no part in the experiment.

        To be called once everything is made: `GaussianActorNetwork.log_std` in an experiment with a
        flow policy would silently do nothing. What `train` refers to counts as used even where it was not
        needed (a flow over one dimension makes no coupling).
        """
        heading = re.compile(r"^# Parameters for (?:.*/)?([\w.]+):$", re.MULTILINE)
        made = heading.findall(gin.operative_config_str())
        used = self._reachable([self.root, *made])
        for (_, selector, parameter), binding in self.bindings.items():
            if selector not in used:
                short = gin_registry.look_up(selector, "").short
                raise ConfigurationError(
                    f"{binding.location}: {short}.{parameter} is bound, but nothing in this experiment uses "
                    f"{short}. Remove the line, or refer to it as @{short}."
                )

    def _root_selector(self) -> str:
        return gin_registry.look_up(self.root, self.root).selector

    def _bound_text(self) -> str:
        lines = [f"import {module}" for module in self.imports]
        lines += [f"{name} = {render(self.macros[name].value)}" for name in self._used_macros()]
        for (scope, selector, parameter), binding in self.bindings.items():
            lines.append(f"{scope + '/' if scope else ''}{selector}.{parameter} = {render(binding.value)}")
        return "\n".join(lines)

    def _is_default(self, key: Key, value: Any) -> bool:
        """Whether a binding changes nothing; in a scope it may undo a binding outside."""
        scope, selector, parameter = key
        default = gin_registry.look_up(selector, "").default(parameter)
        return not scope and render(self._expand(value)) == render(gin_registry.as_gin_value(default))

    def _used_macros(self) -> list[str]:
        """Names of the macros that bindings use, directly or through other macros."""
        used: list[str] = []
        pending = [binding.value for binding in self.bindings.values()]
        while pending:
            for leaf in walk(pending.pop()):
                if isinstance(leaf, Macro) and leaf.name in self.macros and leaf.name not in used:
                    used.append(leaf.name)
                    pending.append(self.macros[leaf.name].value)
        return used

    def _expand(self, value: Any, keep: Sequence[str] = (), within: tuple[str, ...] = ()) -> Any:
        """Returns `value` with macros replaced by their values, but for those in `keep`."""

        def leaf(item: Any) -> Any:
            if not isinstance(item, Macro) or item.name in keep or item.name not in self.macros:
                return item
            if item.name in within:
                raise ConfigurationError(
                    f"{self.macros[item.name].location}: the macro {item.name} is defined by itself: "
                    f"{' → '.join((*within, item.name))}."
                )
            return self._expand(self.macros[item.name].value, keep, (*within, item.name))

        return map_leaves(leaf, value)

    def check(self) -> None:
        """Raises a `ConfigurationError` for an unknown parameter or a value that is not of its type."""
        for (_, selector, parameter), binding in self.bindings.items():
            known = gin_registry.look_up(selector, binding.location)
            gin_registry.check_parameter(known, parameter, binding.location)
            location = binding.location
            if isinstance(binding.value, Macro) and binding.value.name in self.macros:
                macro = self.macros[binding.value.name]
                location = f"{macro.location}: {macro.name}"
            gin_registry.check_type(known, parameter, self._expand(binding.value), location)

    def _reachable(self, names: Sequence[str]) -> dict[str, gin_registry.Configurable]:
        """Returns these configurables and those that their bindings and defaults refer to, by selector."""
        bound: dict[str, list[Any]] = {}
        for (_, selector, _), binding in self.bindings.items():
            bound.setdefault(selector, []).append(self._expand(binding.value))
        found: dict[str, gin_registry.Configurable] = {}
        pending = list(names)
        while pending:
            known = gin_registry.look_up(pending.pop(0), "")
            if known.selector in found:
                continue
            found[known.selector] = known
            defaults = [
                gin_registry.as_gin_value(parameter.default)
                for name, parameter in known.parameters.items()
                if ("", known.selector, name) not in self.bindings
            ]
            for leaf in walk([*bound.get(known.selector, []), *defaults]):
                if isinstance(leaf, Reference):
                    pending.append(leaf.name.rpartition("/")[2])
        return found

    def _defaults(self) -> dict[Key, Any]:
        """Defaults of what is bound or referred to, and of what these defaults refer to."""
        defaults: dict[Key, Any] = {}
        for known in self._reachable([selector for _, selector, _ in self.bindings]).values():
            for parameter in known.parameters:
                value = gin_registry.as_gin_value(known.default(parameter))
                elsewhere = known.selector == self._root_selector() and (
                    parameter in NOT_WRITTEN or f"{self.root}.{parameter}" in self.unwritable
                )
                # A default of None mostly stands for what the caller passes.
                if elsewhere or parameter == "name" or value is None or render(value) is None:
                    continue
                defaults["", known.selector, parameter] = value
        return defaults


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
        if name not in defined and "." not in name and not gin_registry.is_constant(name):
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

    The library's configurables must be registered (imported) before; modules that the statements import are
    imported here, and may lie in the user's directory.

    Raises:
      ConfigurationError: With the file, the line and the nearest known name.
    """
    check_macros(statements)
    configuration, scopes = _resolve(statements, root)
    for binding in configuration.bindings.values():
        if binding.scope and binding.scope.split("/")[-1] not in scopes:
            raise ConfigurationError(
                f"{binding.location}: nothing refers to the scope {binding.scope!r}."
                f"{did_you_mean(binding.scope, scopes)} Refer to it as "
                f"@{binding.scope}/{binding.selector.rpartition('.')[2]}."
            )
    return configuration


def held_configuration(root: str = "train") -> Configuration:
    """Returns what gin holds now, whoever put it there."""
    text = gin.config_str()
    # The applied configuration also knows where each of its bindings was written.
    if _applied is not None and _applied[0] == text and _applied[1].root == root:
        return _applied[1]
    # A user's own program may keep macros and scopes for other purposes: these are not checked.
    return _resolve(read_bindings([text], source="gin"), root)[0]


def _resolve(statements: Sequence[Binding | Import], root: str) -> tuple[Configuration, set[str]]:
    """Returns the configuration and the scopes that its references use."""
    imports = tuple(dict.fromkeys(item.module for item in statements if isinstance(item, Import)))
    for statement in statements:
        if isinstance(statement, Import):
            _import(statement)
    macros: dict[str, Binding] = {}
    bindings: dict[Key, Binding] = {}
    scopes: set[str] = set()
    replaced = ReplacedParts()
    for statement in statements:
        if isinstance(statement, Import):
            continue
        value = map_leaves(functools.partial(_look_up_reference, statement.location), statement.value)
        scopes.update(*(leaf.name.split("/")[:-1] for leaf in walk(value) if isinstance(leaf, Reference)))
        checked = dataclasses.replace(statement, value=value)
        if statement.is_macro:
            macros[statement.name] = checked
            continue
        known = gin_registry.look_up(statement.selector, statement.location)
        checked = dataclasses.replace(checked, selector=known.selector)
        # An overridden binding is checked as well: its file has a mistake.
        gin_registry.check_parameter(known, statement.parameter, statement.location)
        key = statement.scope, known.selector, statement.parameter
        replaced.bound(key)
        if key in bindings:
            before = Configuration(root, imports, macros, bindings)
            replaced.replaced(bindings[key].value, value, bindings, before._reachable)
        bindings[key] = checked
    configuration = Configuration(root, imports, macros, bindings)
    left_out = True
    while left_out:  # What was left out may have been all that referred to something else.
        remaining, left_out = replaced.remaining(configuration.bindings, configuration._reachable([root]))
        configuration = dataclasses.replace(configuration, bindings=remaining)
    configuration.check()
    return configuration, scopes


def _look_up_reference(location: str, leaf: Any) -> Any:
    if not isinstance(leaf, Reference):
        return leaf
    scopes, _, selector = leaf.name.rpartition("/")
    short = gin_registry.look_up(selector, location).short
    return dataclasses.replace(leaf, name=f"{scopes}/{short}" if scopes else short)


def _import(statement: Import) -> None:
    directory = str(user_directory())
    added = directory not in sys.path
    if added:
        sys.path.append(directory)
    try:
        importlib.import_module(statement.module)
    except ImportError as error:
        raise ConfigurationError(
            f"{statement.location}: the module {statement.module!r} cannot be imported: {error}. "
            "It must be installed, or lie in the directory where the program is started."
        ) from error
    finally:
        if added:
            sys.path.remove(directory)
