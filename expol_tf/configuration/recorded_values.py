"""A complete configuration as values by name, which other programs read without knowing gin."""

from __future__ import annotations

import json
from typing import Any

from expol_tf.configuration.gin_syntax import Binding, Macro, map_leaves, read_bindings, render


def recorded_values(text: str) -> dict[str, Any]:
    """Returns what a complete configuration binds, `scope/Configurable.parameter` → value, macros replaced.

    A value that JSON gives back unchanged stands for itself; any other (a tuple, a reference) is gin's text.

    Args:
      text: The content of a run's `config.gin`, which includes no other file.
    """
    bindings = [item for item in read_bindings([text], "config.gin") if isinstance(item, Binding)]
    macros = {binding.selector: binding.value for binding in bindings if binding.is_macro}

    def expand(leaf: Any) -> Any:
        known = isinstance(leaf, Macro) and leaf.name in macros
        return map_leaves(expand, macros[leaf.name]) if known else leaf

    values = {}
    for binding in bindings:
        if not binding.is_macro:
            scope = f"{binding.scope}/" if binding.scope else ""
            name = f"{scope}{binding.selector.removeprefix('expol_tf.')}.{binding.parameter}"
            values[name] = _as_json(map_leaves(expand, binding.value))
    return values


def _as_json(value: Any) -> Any:
    try:
        unchanged = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        unchanged = False
    return value if unchanged else render(value)
