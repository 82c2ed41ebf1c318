"""A complete configuration as values by name, which other programs read without knowing gin."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from expol_tf.configuration.gin_syntax import Binding, expand, read_bindings, render


def recorded_values(text: str) -> dict[str, Any]:
    """Returns what a complete configuration binds, `scope/Configurable.parameter` → value, macros replaced.

    A value that JSON gives back unchanged stands for itself; any other (a tuple, a reference) is gin's text.

    Args:
      text: The content of a run's `config.gin`, which includes no other file.
    """
    bindings = [item for item in read_bindings([text], "config.gin") if isinstance(item, Binding)]
    macros = {binding.selector: binding for binding in bindings if binding.is_macro}
    values = {}
    for binding in bindings:
        if not binding.is_macro:
            short = dataclasses.replace(binding, selector=binding.selector.removeprefix("expol_tf."))
            values[short.name] = _as_json(expand(binding.value, macros))
    return values


def _as_json(value: Any) -> Any:
    try:
        unchanged = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        unchanged = False
    return value if unchanged else render(value)
