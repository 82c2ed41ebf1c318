"""Reads sweep files: they are in gin's syntax, but gin itself does not learn of them."""

from __future__ import annotations

import inspect
import os
from typing import Any

from expol_tf.checked import checked
from expol_tf.cli import did_you_mean
from expol_tf.configuration import Binding, Macro, Reference, expand, find_file, read_files, render, walk
from expol_tf.errors import ConfigurationError
from expol_tf.sweeps.sweep import LogUniform, Sweep, Uniform

_CONFIGURABLES = {"Sweep": Sweep, "Uniform": Uniform, "LogUniform": LogUniform}


@checked
def read_sweep(name: str | os.PathLike[str]) -> Sweep:
    """Returns the sweep that a file describes; see `Sweep`.

    ```
    Sweep.experiments = {"nfp": "gin/nfp_trpo.gin", "gaussian": "gin/gaussian_trpo.gin"}
    Sweep.tasks = ["gin/tasks/hopper.gin"]
    Sweep.seeds = (0, 1, 2)
    Sweep.draws = {"TrustRegion.max_kl": @LogUniform()}
    LogUniform.low = 1e-3
    LogUniform.high = 1e-2
    ```

    Args:
      name: The file, looked for in the user's directory and among the library's (`gin/sweeps/…`).

    Raises:
      ConfigurationError: A line is wrong; the message has its number, and the nearest name that exists.
    """
    path = find_file(os.fspath(name), "--sweep_file")
    statements = [item for item in read_files([str(path)]) if isinstance(item, Binding)]
    macros = {statement.selector: statement for statement in statements if statement.is_macro}
    bound: dict[tuple[str, str], dict[str, Any]] = {}
    used = {leaf.name for each in statements for leaf in walk(each.value) if isinstance(leaf, Macro)}
    for statement in statements:
        if statement.is_macro:
            continue
        _check_name(statement)
        value = expand(statement.value, macros)  # Other macros are left to the runs.
        bound.setdefault((statement.scope, statement.selector), {})[statement.parameter] = value
    for macro in macros.values():
        if macro.selector not in used:
            raise ConfigurationError(
                f"{macro.location}: the macro {macro.selector} is defined, but nothing uses it. A setting of "
                f'the runs goes into Sweep.bindings = ["{macro.selector} = {render(macro.value)}"].'
            )
    arguments = bound.pop(("", "Sweep"), {})
    draws = arguments.get("draws", {})
    if isinstance(draws, dict):
        arguments["draws"] = {key: _distribution(key, value, bound) for key, value in draws.items()}
    if "experiments" not in arguments:
        raise ConfigurationError(
            f"{path}: Sweep.experiments must be set. Write "
            'Sweep.experiments = {"nfp_trpo": "gin/nfp_trpo.gin"}.'
        )
    sweep = Sweep(**arguments)
    if bound:
        shown = "/".join(filter(None, next(iter(bound))))
        raise ConfigurationError(
            f"{path}: {shown} is bound, but Sweep.draws does not refer to it. "
            f"Remove the lines, or write @{shown}() there."
        )
    return sweep


def _check_name(statement: Binding) -> None:
    selector = statement.selector.removeprefix("expol_tf.")
    if selector != statement.selector or selector not in _CONFIGURABLES:
        raise ConfigurationError(
            f"{statement.location}: a sweep file sets {', '.join(_CONFIGURABLES)}; "
            f"got {statement.selector!r}."
            f"{did_you_mean(selector, _CONFIGURABLES)} A setting of the runs goes into "
            f'Sweep.bindings = ["{statement.selector}.{statement.parameter} = {render(statement.value)}"].'
        )
    known = [name for name in inspect.signature(_CONFIGURABLES[selector]).parameters]
    if statement.parameter not in known:
        raise ConfigurationError(
            f"{statement.location}: {selector} has no parameter {statement.parameter!r}."
            f"{did_you_mean(statement.parameter, known)} Its parameters: {', '.join(known)}."
        )


def _distribution(name: str, value: Any, bound: dict[tuple[str, str], dict[str, Any]]) -> Any:
    """Returns the distribution that `@scope/LogUniform()` stands for, its bindings taken out of `bound`."""
    if not isinstance(value, Reference) or not value.evaluate:
        return value
    scope, _, selector = value.name.rpartition("/")
    if selector not in ("Uniform", "LogUniform"):
        return value
    arguments = bound.pop((scope, selector), None)
    missing = sorted({"low", "high"} - set(arguments or ()))
    if arguments is None or missing:
        shown = f"{scope}/{selector}" if scope else selector
        raise ConfigurationError(
            f"Sweep.draws[{name!r}] = {value}: {shown}.{missing[0]} must be set on a line of its own. "
            f"Two parameters need scopes: @one/{selector}(), @two/{selector}()."
        )
    return _CONFIGURABLES[selector](**arguments)
