"""What a run says of itself at its end."""

from __future__ import annotations

import math

import numpy as np

from expol_tf.reports import Run
from expol_tf.runs import RunFiles, read_columns


def reported(run: Run, column: str) -> float:
    """Returns the mean of a column of `metrics.csv` over the last tenth of its rows; NaN if it has none.

    Args:
      run: From `find_runs`.
      column: Its name.
    """
    values = read_columns(RunFiles(run.directory).metrics_csv, ("env_step",), (column,))[column]
    values = values[np.isfinite(values)]
    return float(values[-max(len(values) // 10, 1) :].mean()) if len(values) else math.nan
