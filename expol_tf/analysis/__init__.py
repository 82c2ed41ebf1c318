"""What finished runs say: learning curves, aggregates over tasks, sensitivity, reports."""

from __future__ import annotations

import importlib
from typing import Any

# Imported when asked for: a report needs no TensorFlow, and a figure no rliable.
_HOMES = {
    "FIGURES": "figures",
    "Figure": "figures",
    "Report": "report",
    "Run": "runs",
    "RunOptions": "figures",
    "SoftOptimum": "multi_goal_oracle",
    "aggregate_metrics": "aggregate",
    "bootstrap_band": "curves",
    "compare_densities": "densities",
    "episode_numbers": "multi_goal_episodes",
    "find_runs": "runs",
    "improvement_probabilities": "aggregate",
    "make_figure": "figures",
    "performance_profiles": "aggregate",
    "quantile_curve": "quantiles",
    "read_peer_curves": "peer_curves",
    "rollouts": "multi_goal_episodes",
    "sample_efficiency": "aggregate",
    "smoothed_returns": "curves",
    "soft_value_iteration": "multi_goal_oracle",
    "write_report": "report",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
