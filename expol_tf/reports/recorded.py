"""What a run's record says about its configuration, as gin's text, also of runs of version 0.1."""

from __future__ import annotations

import ast
from typing import Any

from expol_tf.configuration import recorded_values
from expol_tf.runs import RunFiles

# The text of what JSON cannot hold begins so: references, containers, Python objects, infinity.
_GIN_TEXT = ("@", "%", "(", "[", "{", "<", "partial(", "1e999", "-1e999")


def read_configuration(files: RunFiles) -> dict[str, str]:
    """Returns the values of a run's configuration as gin writes them, by `Configurable.parameter`."""
    # Version 0.1 wrote only the gin file.
    values = files.read_values() or recorded_values(files.read_config())
    return {name: _gin_text(value) for name, value in values.items()}


def literal(text: str | None) -> Any:
    """Returns the Python value of a gin literal, the text itself if it is none, None for None."""
    if text is None:
        return None
    try:
        return ast.literal_eval(text)
    # A text that is nested without end is none either.
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _gin_text(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith(_GIN_TEXT) else repr(value)
