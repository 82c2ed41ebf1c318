"""Expressive policies for reinforcement learning on TensorFlow, TensorFlow Probability and TF-Agents."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

from expol_tf import removed_names

__version__ = "0.2.0"

# TensorFlow Probability and TF-Agents need Keras 2. From TensorFlow 2.16 on it is the package tf-keras, and
# `tf.keras` is that one if the variable is set before anything uses it. TensorFlow 2.15 has no such package,
# and fails with the variable.
if importlib.util.find_spec("tf_keras") is not None:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    # Such a TensorFlow opens its libraries for all others to see. Mesa, which draws MuJoCo's pictures, then
    # takes their LLVM for its own, and the process crashes. Without this module TensorFlow opens them as
    # other packages do.
    sys.modules.setdefault("tensorflow.python.pywrap_dlopen_global_flags", None)  # type: ignore[arg-type]

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
