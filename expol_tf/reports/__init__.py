"""What finished runs say: learning curves, aggregates over tasks, sensitivity, reports. No TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from expol_tf.errors import DependencyError
from expol_tf.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from expol_tf.reports.aggregate import (
        aggregate_metrics,
        improvement_probabilities,
        performance_profiles,
        sample_efficiency,
    )
    from expol_tf.reports.curves import bootstrap_band, quantile_curve, smoothed_returns
    from expol_tf.reports.output import markdown, write_errors
    from expol_tf.reports.peer_curves import read_peer_curves
    from expol_tf.reports.recorded import literal
    from expol_tf.reports.report import Report, write_report
    from expol_tf.reports.runs import Run, find_runs
    from expol_tf.reports.study import SETTINGS
    from expol_tf.reports.style import Palette, legend, note_handle, panels, save

# Imported when asked for: rliable takes seconds, and not every report needs it.
_get, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Palette": "style",
        "Report": "report",
        "Run": "runs",
        "SETTINGS": "study",
        "aggregate_metrics": "aggregate",
        "bootstrap_band": "curves",
        "find_runs": "runs",
        "improvement_probabilities": "aggregate",
        "legend": "style",
        "literal": "recorded",
        "markdown": "output",
        "note_handle": "style",
        "panels": "style",
        "performance_profiles": "aggregate",
        "quantile_curve": "curves",
        "read_peer_curves": "peer_curves",
        "sample_efficiency": "aggregate",
        "save": "style",
        "smoothed_returns": "curves",
        "write_errors": "output",
        "write_report": "report",
    },
)


def __getattr__(name: str) -> Any:
    """Returns a public name; a package that is not installed is an error that says how to get it."""
    try:
        return _get(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("expol_tf"):
            raise
        raise DependencyError(
            f"reports need a package that cannot be imported here ({error}). "
            "Run: pip install 'expol-tf[reports]'"
        ) from error
