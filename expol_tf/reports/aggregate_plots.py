"""Pictures of rliable's aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from expol_tf.reports import style
from expol_tf.reports.aggregate import Estimate
from expol_tf.reports.style import Palette

_HEIGHT = 0.6


def draw_metrics(metrics: Mapping[str, Mapping[str, Estimate]], palette: Palette, path: Path) -> None:
    """Draws a panel per metric: each experiment's interval as a bar and its value as a line in it.

    Args:
      metrics: Metric → experiment → estimate.
      palette: Colours.
      path: The PNG.
    """
    experiments = list(palette.experiments)
    height = 1.1 + 0.34 * len(experiments)
    figure, axes = style.panels(1, len(metrics), size=(2.7, height))
    for panel, (metric, estimates) in zip(axes[0], metrics.items(), strict=True):
        for row, experiment in enumerate(experiments):
            _interval(panel, row, estimates[experiment], palette.colour(experiment))
        better = "lower is better" if metric == "optimality gap" else "higher is better"
        panel.set_title(metric[0].upper() + metric[1:], fontsize=10, fontweight="bold")
        panel.set_xlabel(f"normalized return\n({better})", fontsize=8)
        _rows(panel, experiments if panel is axes[0][0] else [""] * len(experiments))
    style.save(figure, path)


def draw_improvements(
    probabilities: Mapping[tuple[str, str], Estimate], palette: Palette, path: Path
) -> None:
    """Draws a row per pair: the probability that a run of X has a higher score than one of Y."""
    pairs = list(probabilities)
    figure, axes = style.panels(1, 1, size=(7.0, 1.1 + 0.34 * len(pairs)))
    panel = axes[0, 0]
    for row, ((x, y), estimate) in enumerate(probabilities.items()):
        _interval(panel, row, estimate, palette.colour(x if estimate.value >= 0.5 else y))
    panel.axvline(0.5, color="#444444", linewidth=1.0, linestyle=(0, (4, 2)), zorder=0)
    _rows(panel, [x for x, _ in pairs])
    panel.set_xlim(0, 1)
    right = panel.secondary_yaxis("right")
    right.set_yticks(range(len(pairs)), [y for _, y in pairs], fontsize=9)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    for name, side, align in (("X", 0, "right"), ("Y", 1, "left")):
        panel.annotate(
            name, (side, 1), xytext=(16 * side - 8, 4), xycoords="axes fraction", textcoords="offset points",
            ha=align, fontsize=10, fontweight="bold",
        )  # fmt: skip
    panel.set_xlabel("P(X > Y): a run of X is better than one of Y; coloured by the better one", fontsize=9)
    style.save(figure, path)


def draw_profiles(
    thresholds: np.ndarray, profiles: Mapping[str, Estimate], palette: Palette, path: Path
) -> None:
    """Draws the share of runs whose score is above each threshold."""
    _lines(
        thresholds, profiles, palette, path,
        xlabel="normalized return τ", ylabel="share of runs above τ",
    )  # fmt: skip


def draw_efficiency(
    env_step: np.ndarray, estimates: Mapping[str, Estimate], palette: Palette, path: Path
) -> None:
    """Draws the interquartile mean over environment steps."""
    _lines(env_step, estimates, palette, path, xlabel="", ylabel="IQM of normalized return")


def _lines(
    x: np.ndarray, estimates: Mapping[str, Estimate], palette: Palette, path: Path, xlabel: str, ylabel: str
) -> None:
    figure, axes = style.panels(1, 1, size=(6.2, 4.0))
    panel = axes[0, 0]
    for experiment, estimate in estimates.items():
        panel.fill_between(
            x, estimate.low, estimate.high, color=palette.colour(experiment), alpha=0.18, linewidth=0
        )
        panel.plot(x, estimate.value, **palette.line(experiment))
    panel.set_ylabel(ylabel, fontsize=9)
    if xlabel:
        panel.set_xlabel(xlabel, fontsize=9)
        panel.set_xlim(x[0], x[-1])
    else:
        style.steps_axis(panel)
    band = style.note_handle("95 % interval", linewidth=7, alpha=0.3)
    style.legend(figure, palette, extra=[band])
    style.save(figure, path)


def _interval(panel, row: int, estimate: Estimate, colour: str) -> None:
    # A degenerate interval (one run) still is to be seen.
    panel.barh(
        row,
        estimate.high - estimate.low,
        left=estimate.low,
        height=_HEIGHT,
        color=colour,
        alpha=0.45,
        linewidth=0,
    )
    panel.vlines(estimate.value, row - _HEIGHT / 2, row + _HEIGHT / 2, color=colour, linewidth=2.4)


def _rows(panel, labels: list[str]) -> None:
    panel.set_yticks(range(len(labels)), labels, fontsize=9)
    panel.set_ylim(len(labels) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator(4))
    # Bars would end at the frame.
    panel.use_sticky_edges = False
    panel.margins(x=0.06)
    panel.autoscale_view(scaley=False)
