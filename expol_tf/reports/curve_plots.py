"""Pictures of learning curves and of final returns' quantiles, a panel per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from expol_tf.reports import style
from expol_tf.reports.quantiles import as_numbers, quantile_curve
from expol_tf.reports.style import Palette

Key = tuple[str, str]


class Band(NamedTuple):
    """Curves of one experiment on one task at common steps.

    Attributes:
      env_step: [P] steps.
      curves: [N, P] values of the runs.
      low: [P] lower end of the mean's confidence interval, None of a single run.
      high: [P] upper end.
    """

    env_step: np.ndarray
    curves: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None

    @property
    def mean(self) -> np.ndarray:
        """[P] mean over runs."""
        return self.curves.mean(axis=0)


def draw_curves(bands: Mapping[Key, Band], palette: Palette, ylabel: str, path: Path) -> None:
    """Draws, per task, every run thin, the mean bold and its confidence band.

    Args:
      bands: (task, experiment) → curves.
      palette: Colours.
      ylabel: What is drawn.
      path: The PNG.
    """
    figure, axes = style.task_panels(list(dict.fromkeys(task for task, _ in bands)))
    for (task, experiment), band in bands.items():
        colour = palette.colour(experiment)
        for curve in band.curves:
            axes[task].plot(band.env_step, curve, color=colour, alpha=0.3, linewidth=0.6)
        if band.low is not None and band.high is not None:
            axes[task].fill_between(band.env_step, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
        marker: dict[str, Any] = {"marker": "o", "markersize": 4} if len(band.env_step) == 1 else {}
        axes[task].plot(band.env_step, band.mean, **palette.line(experiment), **marker)
    for each in axes.values():
        style.steps_axis(each)
    for each in _leftmost(list(axes.values())):
        each.set_ylabel(ylabel, fontsize=9)
    extra = [style.note_handle("single runs", linewidth=0.6)]
    if any(band.low is not None for band in bands.values()):
        extra.append(style.note_handle("95 % of the mean", linewidth=7, alpha=0.3))
    style.legend(figure, palette, extra=extra)
    style.save(figure, path)


def draw_quantiles(returns: Mapping[Key, Sequence[float]], palette: Palette, path: Path) -> None:
    """Draws, per task, the sorted final returns of each experiment's runs against their quantile."""
    figure, axes = style.task_panels(list(dict.fromkeys(task for task, _ in returns)))
    for (task, experiment), values in returns.items():
        levels, ordered = quantile_curve(values)
        axes[task].plot(levels, ordered, marker="o", markersize=3.5, **palette.line(experiment))
    for each in axes.values():
        each.set_xlim(0, 1)
        each.set_xlabel("quantile of runs", fontsize=9)
    for each in _leftmost(list(axes.values())):
        each.set_ylabel("final return", fontsize=9)
    style.legend(figure, palette)
    style.save(figure, path)


def draw_sensitivity(
    points: Mapping[Key, tuple[Mapping[str, Sequence[str]], Sequence[float]]], palette: Palette, path: Path
) -> None:
    """Draws final returns against each drawn parameter: a column per task, a row per parameter.

    Args:
      points: (task, experiment) → (parameter → its value in each run, final return of each run).
      palette: Colours.
      path: The PNG.
    """
    tasks = list(dict.fromkeys(task for task, _ in points))
    names = list(dict.fromkeys(name for parameters, _ in points.values() for name in parameters))
    from matplotlib.ticker import MaxNLocator

    figure, axes = style.panels(len(names), len(tasks))
    for column, task in enumerate(tasks):
        for row, name in enumerate(names):
            panel = axes[row, column]
            group = {
                experiment: (parameters[name], returns)
                for (each, experiment), (parameters, returns) in points.items()
                if each == task and name in parameters
            }
            texts = [text for values, _ in group.values() for text in values]
            numbers = as_numbers(texts)
            categories = {text: index for index, text in enumerate(sorted(set(texts)))}
            for experiment, (values, returns) in group.items():
                x = [float(text) if numbers is not None else categories[text] for text in values]
                colour = palette.colour(experiment)
                panel.scatter(x, returns, s=22, color=colour, alpha=0.75, linewidths=0)
            if numbers is None:
                panel.set_xticks(range(len(categories)), [text[:24] for text in categories])
            elif len(numbers) and numbers.min() > 0 and numbers.max() >= 3 * numbers.min():
                panel.set_xscale("log")
            else:
                panel.xaxis.set_major_locator(MaxNLocator(5))
            panel.set_title(task, fontsize=10, fontweight="bold")
            panel.set_xlabel(name, fontsize=9)
    for panel in axes[:, 0]:
        panel.set_ylabel("final return", fontsize=9)
    style.legend(figure, palette, list(dict.fromkeys(experiment for _, experiment in points)), points=True)
    style.save(figure, path)


def _leftmost(axes: list) -> list:
    return axes[:: axes[0].get_gridspec().ncols]
