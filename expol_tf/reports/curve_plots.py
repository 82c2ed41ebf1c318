"""Pictures of learning curves and of final returns' quantiles, a panel per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from expol_tf.reports import style
from expol_tf.reports.curves import as_numbers, quantile_curve
from expol_tf.reports.style import Palette

# Task and experiment.
Key = tuple[str, str]
# Parameter → its value in each run, and the final return of each run.
Draws = tuple[Mapping[str, Sequence[str]], Sequence[float]]


class Band(NamedTuple):
    """Curves of one experiment on one task at common steps.

    Attributes:
      env_step: `[P]` steps.
      curves: `[N, P]` values of the runs.
      low: `[P]` lower end of the mean's confidence interval; NaN if there is a single run.
      high: `[P]` upper end.
    """

    env_step: np.ndarray
    curves: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """`[P]` mean over runs."""
        return self.curves.mean(axis=0)


@style.report_texts
def draw_curves(bands: Mapping[Key, Band], palette: Palette, ylabel: str) -> Figure:
    """Draws, per task, every run thin, the mean bold and its confidence band."""
    figure, axes = style.task_panels((task for task, _ in bands), ylabel)
    several = any(len(band.curves) > 1 for band in bands.values())
    for (task, experiment), band in bands.items():
        panel, colour = axes[task], palette.colour(experiment)
        panel.plot(band.env_step, band.curves.T, color=colour, alpha=0.3, linewidth=0.6)
        if len(band.curves) > 1:
            panel.fill_between(band.env_step, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
        marker = "o" if len(band.env_step) == 1 else None
        panel.plot(band.env_step, band.mean, **palette.line(experiment), marker=marker, markersize=4)
    for panel in axes.values():
        style.steps_axis(panel)
    extra = [style.note_handle("single runs", linewidth=0.6)]
    if several:
        extra.append(style.note_handle("95 % of the mean", linewidth=7, alpha=0.3))
    style.legend(figure, palette, extra=extra)
    return figure


@style.report_texts
def draw_quantiles(returns: Mapping[Key, Sequence[float]], palette: Palette) -> Figure:
    """Draws, per task, the sorted final returns of each experiment's runs against their quantile."""
    figure, axes = style.task_panels((task for task, _ in returns), "final return")
    for (task, experiment), values in returns.items():
        axes[task].plot(*quantile_curve(values), marker="o", markersize=3.5, **palette.line(experiment))
    for panel in axes.values():
        panel.set(xlim=(0, 1), xlabel="quantile of runs")
    style.legend(figure, palette)
    return figure


@style.report_texts
def draw_sensitivity(points: Mapping[Key, Draws], palette: Palette) -> Figure:
    """Draws final returns against each drawn parameter: a column per task, a row per parameter."""
    tasks = list(dict.fromkeys(task for task, _ in points))
    names = list(dict.fromkeys(name for parameters, _ in points.values() for name in parameters))
    figure, axes = style.panels(len(names), len(tasks))
    for (row, column), panel in np.ndenumerate(axes):
        name, task = names[row], tasks[column]
        group = {
            experiment: (parameters[name], returns)
            for (of_task, experiment), (parameters, returns) in points.items()
            if of_task == task and name in parameters
        }
        texts = sorted({text for values, _ in group.values() for text in values})
        numbers = as_numbers(texts)
        for experiment, (values, returns) in group.items():
            x = [texts.index(text) if numbers is None else float(text) for text in values]
            panel.scatter(x, returns, s=22, color=palette.colour(experiment), alpha=0.75, linewidths=0)
        if numbers is None:
            panel.set_xticks(range(len(texts)), [text[:24] for text in texts])
        elif len(numbers) and numbers.min() > 0 and numbers.max() >= 3 * numbers.min():
            panel.set_xscale("log")
        else:
            panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.set(title=task, xlabel=name)
    for panel in axes[:, 0]:
        panel.set_ylabel("final return")
    style.legend(figure, palette, dict.fromkeys(experiment for _, experiment in points), points=True)
    return figure
