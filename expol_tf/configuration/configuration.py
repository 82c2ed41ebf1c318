"""An experiment's configuration: gin files, bindings and flags, checked, written down and compared.

    statements = gin_syntax.read_files(["gin/nfp_trpo.gin"]) + gin_syntax.read_bindings(["SEED = 3"])
    configuration = resolve(statements).override("num_env_steps", 20_000)
    with applied(configuration):  # gin holds exactly this
        experiment = Experiment.of(**gin.get_bindings("expol_tf.train"), root_dir=root_dir)
        run_experiment(experiment, configuration)  # writes configuration.text as config.gin

Later statements override earlier ones, and `override` overrides them all.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import gin

from expol_tf.configurable import Made
from expol_tf.configuration import gin_registry
from expol_tf.configuration.calls import check_calls
from expol_tf.configuration.gin_syntax import (
    RECORD_TITLE,
    Binding,
    Key,
    Macro,
    expand,
    references,
    render,
    walk,
)
from expol_tf.errors import ConfigurationError

# fmt: off
EXPERIMENT_MACROS = (
    "TASK", "NUM_ENVS", "NUM_ENV_STEPS", "SEED", "BACKEND",
    "EVAL_INTERVAL", "EVAL_EPISODES", "EVAL_MAX_STEPS", "CHECKPOINT_INTERVAL", "LOG_INTERVAL",
)
# fmt: on
# What may differ between a run and its resumption: the length, the seed, and what only observes or stores the
# run. The pattern is of the root's parameters; the configurables are named.
_EXEMPT_PARAMETER = re.compile(r"^(root_dir|observers|seed|num_env_steps|log_.*|eval_.*|checkpoint_.*)$")
_EXEMPT_CONFIGURABLES = ("CheckpointStore", "Evaluator", "configure_devices")
_EXEMPT_MACROS = tuple(macro for macro in EXPERIMENT_MACROS if _EXEMPT_PARAMETER.match(macro.lower()))
# Where a run is written and who watches it are no part of what it is.
NOT_WRITTEN = ("root_dir", "observers")

# Above what a program chose by itself, in the text of a configuration of a call from Python.
CHOSEN_TITLE = "# What was made because nothing above says otherwise:"
# In the text of a configuration that only Python code can give in whole.
UNWRITABLE_MARK = "# Python objects that a gin file cannot express; pass them again from Python:"


def unwritable_entries(text: str) -> dict[str, str]:
    """Returns what only Python code could give a run, parameter → description, from its `config.gin`."""
    _, mark, lines = text.partition(UNWRITABLE_MARK)
    entries = (line.removeprefix("# ").partition(" = ") for line in lines.splitlines() if " = " in line)
    return {name: description for name, _, description in entries} if mark else {}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A checked configuration.

    Attributes:
      root: The complete name of the configurable that the program calls.
      imports: User modules that register configurables.
      macros: Definitions by macro name.
      bindings: By scope, complete selector and parameter.
      unwritable: Parameter → description of a Python object that gin cannot express (only from Python calls).
      chosen: Lines, for the reader, on what was made without being asked for; None where none are wanted, as
        gin files name it all.
    """

    root: str
    imports: tuple[str, ...] = ()
    macros: Mapping[str, Binding] = dataclasses.field(default_factory=dict)
    bindings: Mapping[Key, Binding] = dataclasses.field(default_factory=dict)
    unwritable: Mapping[str, str] = dataclasses.field(default_factory=dict)
    chosen: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """The whole configuration as one gin file without includes.

        It also holds the defaults of every configurable that is bound or referred to, so that it means the
        same after a default has changed. Parsing it again gives an equal configuration.
        """
        lines = [RECORD_TITLE, ""]
        lines += [f"import {module}" for module in self.imports] + ([""] if self.imports else [])
        order = {name: index for index, name in enumerate(EXPERIMENT_MACROS)}
        for name in sorted(self._used_macros(), key=lambda macro: (order.get(macro, len(order)), macro)):
            lines.append(f"{name} = {render(self.macros[name].value)}")
        written = self._defaults() | {key: binding.value for key, binding in self.bindings.items()}
        written.pop(("", self.root, "root_dir"), None)  # trained again, the run goes elsewhere
        groups: dict[tuple[bool, str], list[tuple[int, str]]] = {}
        for (scope, selector, parameter), value in written.items():
            known = gin_registry.look_up(selector)
            name = f"{scope}/{known.short}" if scope else known.short
            is_default = self._is_default(("", selector, parameter), value)
            line = f"{name}.{parameter} = {render(value)}{'  # default' if is_default else ''}"
            position = [*known.parameters, parameter].index(parameter)
            groups.setdefault((selector != self.root, name), []).append((position, line))
        for _, group in sorted(groups.items()):
            lines += ["", *(line for _, line in sorted(group))]
        if self.chosen:
            lines += ["", CHOSEN_TITLE, *(f"# {line}" for line in self.chosen)]
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
            if gin_registry.look_up(selector).short in _EXEMPT_CONFIGURABLES:
                continue
            if selector == self.root and _EXEMPT_PARAMETER.match(parameter):
                continue
            if self._is_default((scope, selector, parameter), binding.value):
                continue
            name = f"{selector.removeprefix('expol_tf.')}.{parameter}"
            value = expand(binding.value, self.macros, keep=_EXEMPT_MACROS)
            entries[f"{scope}/{name}" if scope else name] = render(value) or "?"
        return dict(sorted({**entries, **self.unwritable}.items()))

    def value(self, name: str) -> Any:
        """Returns what `Configurable.parameter` is bound to, macros replaced, or its default or None."""
        selector, _, parameter = name.rpartition(".")
        known = gin_registry.look_up(selector)
        binding = self.bindings.get(("", known.selector, parameter))
        if binding is not None:
            return expand(binding.value, self.macros)
        default = known.default(parameter)
        return None if default is inspect.Parameter.empty or default is gin.REQUIRED else default

    def override(self, parameter: str, value: Any) -> Configuration:
        """Returns a configuration whose root parameter has this value, by its macro if it has one.

        For flags, which override bindings and files.
        """
        key = ("", self.root, parameter)
        old = self.bindings[key].value if key in self.bindings else None
        macros, bindings = dict(self.macros), dict(self.bindings)
        if isinstance(old, Macro) and old.name in macros:
            macros[old.name] = Binding("", old.name, "", value, f"--{parameter}")
        else:
            bindings[key] = Binding(*key, value, f"--{parameter}")
        changed = dataclasses.replace(self, macros=macros, bindings=bindings)
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
        lines = [f"import {module}" for module in self.imports]
        lines += [f"{name} = {render(self.macros[name].value)}" for name in self._used_macros()]
        lines += [f"{binding.name} = {render(binding.value)}" for binding in self.bindings.values()]
        gin.clear_config()
        gin.parse_config(lines)

    def in_use(self) -> Configuration:
        """Returns the configuration without what the library's files set on things that have no part in it.

        To be called once everything is made. What the root refers to counts as used even where it was not
        needed (a flow over one dimension makes no coupling), and so does what configures code of the user's
        own, which may be called later or stand beside the experiment.

        Raises:
          ConfigurationError: The user set something on such a thing: `GaussianActorNetwork.log_std`
            in an experiment with a flow policy would silently do nothing.
        """
        made = re.findall(r"^# Parameters for (?:.*/)?([\w.]+):$", gin.operative_config_str(), re.MULTILINE)
        used = self._reachable([self.root, *made])
        unused = [key for key in self.bindings if key[1] not in used]
        lost = [key for key in unused if not gin_registry.is_foreign(key[1], self.root)]
        return self._without(lost, ["library"])

    def without_replaced(self, names: Collection[str]) -> Configuration:
        """Returns the configuration without the settings of replaced things that nothing refers to any more.

        `SacAgent.temperature = @FixedTemperature()` after a file that bound `@LearnedTemperature()` leaves
        the settings of the latter without anything that they could set.

        Args:
          names: Configurables, with their scopes, that later statements replaced by others.

        Raises:
          ConfigurationError: The user wrote such a setting.
        """
        gone = self._reachable(names)
        # Python code may make what nothing refers to, but not what another thing stands in for.
        used = self._reachable(
            [self.root, *(selector for _, selector, _ in self.bindings if selector not in gone)]
        )
        needed = {
            key: {key[1], *(f"{scope}/" for scope in key[0].split("/")[-1:] if scope)}
            for key in self.bindings
        }
        lost = [key for key, names in needed.items() if names & gone and not names <= used]
        return self._without(lost, ["library", "record"])

    def stating(self, made: Sequence[Made]) -> Configuration:
        """Returns the configuration of a call from Python, with a line on each object that it does not name.

        An agent makes parts that it was not given. Their settings are part of what the run was, and may be
        other ones in a later version. gin files name them all.

        Args:
          made: What was made for the run.
        """
        if self.chosen is None:
            return self
        named = self._reachable([self.root, *(selector for _, selector, _ in self.bindings)])
        # The last entry of an object is that of its own class.
        last = {id(target): (target, arguments) for target, arguments in made}
        lines = []
        for target, arguments in last.values():
            known = gin_registry.find(type(target))
            if known is None or known.selector in named:
                continue
            settings = []
            for name, value in arguments.items():
                text = render(gin_registry.as_gin_value(value))
                if id(value) in last and text is None:
                    text = f"@{type(value).__name__}()"
                if text is not None and name != "name":
                    settings.append(f"{name} = {text}")
            lines.append(f"{known.short}: {', '.join(settings)}" if settings else known.short)
        return dataclasses.replace(self, chosen=tuple(dict.fromkeys(lines)))

    def check(self) -> None:
        """Raises a `ConfigurationError` for what cannot be meant.

        That is an unknown parameter, a value that is not of its type or not in its range, and a call that
        cannot be made.
        """
        for (_, selector, parameter), binding in self.bindings.items():
            known, location = gin_registry.look_up(selector), binding.location
            # A `functools.partial` in a call from Python may have any keywords.
            gin_registry.check_parameter(known, parameter, location)
            if isinstance(binding.value, Macro) and binding.value.name in self.macros:
                macro = self.macros[binding.value.name]
                location = f"{macro.location}: {macro.name}"
            gin_registry.check_type(known, parameter, expand(binding.value, self.macros), location)
        check_calls(self)

    def _without(self, keys: Collection[Key], authors: Collection[str]) -> Configuration:
        """Returns the configuration without these bindings, all of which must be by the authors."""
        for key in keys:
            binding = self.bindings[key]
            if binding.author not in authors:
                name = dataclasses.replace(binding, selector=gin_registry.look_up(key[1]).short).name
                owner = name.rpartition(".")[0]
                raise ConfigurationError(
                    f"{binding.location}: {name} is bound, but nothing in this experiment uses "
                    f"{owner}. Remove the line, or refer to it as @{owner}."
                )
        remaining = {key: binding for key, binding in self.bindings.items() if key not in keys}
        return dataclasses.replace(self, bindings=remaining)

    def _is_default(self, key: Key, value: Any) -> bool:
        """Whether a binding changes nothing; in a scope it may undo a binding outside."""
        scope, selector, parameter = key
        default = gin_registry.as_gin_value(gin_registry.look_up(selector).default(parameter))
        return not scope and render(expand(value, self.macros)) == render(default)

    def _used_macros(self) -> list[str]:
        """Names of the macros that bindings use, directly or through other macros."""
        used: list[str] = []
        pending = [binding.value for binding in self.bindings.values()]
        for value in pending:  # It grows.
            for leaf in walk(value):
                if isinstance(leaf, Macro) and leaf.name in self.macros and leaf.name not in used:
                    used.append(leaf.name)
                    pending.append(self.macros[leaf.name].value)
        return used

    def _reachable(self, names: Iterable[str]) -> set[str]:
        """Returns the selectors of these configurables and of all that their bindings and defaults refer to.

        The scopes in which they are referred to are in the set as well: "scope/".
        """
        found: set[str] = set()
        bound_selectors = {selector for _, selector, _ in self.bindings}
        pending = list(names)
        for name in pending:  # It grows.
            *scopes, selector = name.split("/")
            found.update(f"{scope}/" for scope in scopes)
            known = gin_registry.look_up(selector)
            if known.selector in found:
                continue
            found.add(known.selector)
            bound = {key: binding for key, binding in self.bindings.items() if key[1] == known.selector}
            pending += references([expand(binding.value, self.macros) for binding in bound.values()])
            # What is set on a base holds for a class that derives from it.
            pending += bound_selectors.intersection(gin_registry.called_bases(known.selector))
            for parameter in known.parameters:
                if ("", known.selector, parameter) not in bound:
                    pending += references(gin_registry.as_gin_value(known.default(parameter)))
        return found

    def _defaults(self) -> dict[Key, Any]:
        """Defaults of what is bound or referred to, and of what these defaults refer to."""
        left_out = {(self.root, name) for name in NOT_WRITTEN}
        left_out |= {(self.root, name.rpartition(".")[2]) for name in self.unwritable}
        defaults = {
            ("", selector, parameter): gin_registry.as_gin_value(
                gin_registry.look_up(selector).default(parameter)
            )
            for selector in self._reachable(selector for _, selector, _ in self.bindings)
            if not selector.endswith("/")
            for parameter in gin_registry.look_up(selector).parameters
            if parameter != "name" and (selector, parameter) not in left_out
        }
        # A default of None mostly stands for what the caller passes.
        return {key: value for key, value in defaults.items() if render(value) not in (None, "None")}
