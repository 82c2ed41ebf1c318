"""Texts of TensorFlow's errors, read without importing it."""

from __future__ import annotations

import re

_NODES = re.compile(r"\{\{.*?\}\} ?| ?\[Op:\w+\]$")


def without_nodes(line: str) -> str:
    """Returns a line without the names of nodes around it: "{{function_node …}} …", "… [Op:Fill]"."""
    return _NODES.sub("", line)
