"""The learning curve of a run as a picture."""

from __future__ import annotations

import io
import os

import numpy as np

from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.errors import RunDirectoryError
from expol_tf.number_types import Count
from expol_tf.runs import atomic_files
from expol_tf.runs.returns import Episodes, read_metrics
from expol_tf.runs.tables import read_columns

_TRAINING_COLOUR = "#0072B2"
_EVALUATION_COLOUR = "#D55E00"


@checked
def plot_learning_curve(
    metrics_csv: str | os.PathLike[str],
    evaluation_csv: str | os.PathLike[str],
    png: str | os.PathLike[str],
    title: str = "",
    smoothing_episodes: Count = 100,
) -> None:
    """Draws training returns (raw and as a running mean over episodes) and evaluations against env steps.

    Either file may be missing or without rows: the picture then shows what there is.

    Args:
      metrics_csv: Columns `env_step`, `episode_return_mean` and `episodes` (cumulative).
      evaluation_csv: Columns `env_step`, `return_mean` and `return_std`.
      png: The picture to write, atomically.
      title: A line above the picture.
      smoothing_episodes: The running mean covers the last rows that hold at least this many episodes.

    Raises:
      RunDirectoryError: The picture cannot be written.
    """
    # The figure is used without pyplot, whose global state and choice of a display are not ours to touch.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(7.0, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    episodes = Episodes.of(read_metrics(metrics_csv))
    steps, returns = episodes.env_step, episodes.return_mean
    if len(steps):
        smooth = running_mean(returns, episodes.count, smoothing_episodes)
        axes.plot(steps, returns, color=_TRAINING_COLOUR, alpha=0.25, linewidth=0.8)
        label = f"training, mean of {smoothing_episodes} episodes"
        marker = "o" if len(steps) == 1 else None
        axes.plot(steps, smooth, color=_TRAINING_COLOUR, linewidth=1.8, marker=marker, label=label)
    evaluations = read_columns(evaluation_csv, ("env_step", "return_mean"), ("return_std",))
    if len(evaluations["env_step"]):
        axes.errorbar(
            evaluations["env_step"],
            evaluations["return_mean"],
            yerr=np.nan_to_num(evaluations["return_std"]),
            color=_EVALUATION_COLOUR,
            marker="o",
            markersize=4,
            linewidth=1.0,
            capsize=2,
            label="evaluation, mean ± std",
        )
    if len(steps) or len(evaluations["env_step"]):
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "no finished episode yet", transform=axes.transAxes, ha="center", va="center")
    axes.set(xlabel="environment steps", ylabel="episode return", title=title)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    try:
        atomic_files.write_atomically(home_path(png), buffer.getvalue())
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {png}: {atomic_files.reason(error)}. Free space or make the directory writable."
        ) from error


def running_mean(values: np.ndarray, weights: np.ndarray, window: float) -> np.ndarray:
    """Returns at each row the weighted mean of the last rows whose weights reach `window`, or of all so far.

    Args:
      values: [R] means of the rows.
      weights: [R] positive episode counts behind them.
      window: How much weight to average over.
    """
    total = np.concatenate([[0.0], np.cumsum(weights)])
    weighted = np.concatenate([[0.0], np.cumsum(values * weights)])
    ends = np.arange(1, len(values) + 1)
    # The last start whose rows still hold the whole window; row i spans total[i] to total[i + 1].
    starts = np.searchsorted(total, total[ends] - window, side="right") - 1
    starts = np.clip(starts, 0, ends - 1)
    return (weighted[ends] - weighted[starts]) / (total[ends] - total[starts])
