"""Expressive policies for reinforcement learning on TensorFlow, TensorFlow Probability and TF-Agents."""

from __future__ import annotations

import importlib
from typing import Any

from expol_tf import removed_names

__version__ = "0.2.0"

__all__ = ["load_policy", "train"]

_PACKAGES = (
    "agents",
    "bijectors",
    "cli",
    "configuration",
    "diagnostics",
    "distributions",
    "environments",
    "networks",
    "objectives",
    "optimizers",
    "papers",
    "random",
    "reports",
    "runs",
    "samplers",
    "sweeps",
    "testing",
    "training",
)


def __getattr__(name: str) -> Any:
    # Imported when asked for, since both need TensorFlow, which takes seconds.
    if name in __all__:
        return getattr(importlib.import_module("expol_tf.training"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"expol_tf.{name}")
    raise removed_names.missing(__name__, name)


removed_names.install()
