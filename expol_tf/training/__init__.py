"""Runs: training loops, their directories, checkpoints, evaluation and export."""

from __future__ import annotations

import importlib
from typing import Any

# Imported when asked for: the programs answer --help and a misspelt file name without loading TensorFlow.
_HOMES = {
    "EvaluationResult": "evaluation",
    "Evaluator": "evaluation",
    "KeepBestPolicy": "observers",
    "Observer": "observers",
    "OffPolicyRunner": "runners.off_policy_runner",
    "OnPolicyRunner": "runners.on_policy_runner",
    "StopAtReturn": "observers",
    "TrainingEvent": "observers",
    "TrainingResult": "training_loop",
    "UniformReplay": "runners.replay",
    "check_video_path": "video",
    "configure_devices": "devices",
    "evaluate_policy": "evaluation",
    "export_critic": "export",
    "export_policy": "export",
    "load_policy": "export",
    "record_video": "video",
    "train": "experiment",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
