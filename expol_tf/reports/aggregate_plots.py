"""Pictures of rliable's aggregates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from expol_tf.reports import style
from expol_tf.reports.aggregate import Curves, Estimate
from expol_tf.reports.style import Palette

_HEIGHT = 0.6


@style.report_texts
def draw_metrics(metrics: Mapping[str, Mapping[str, Estimate]], palette: Palette) -> Figure:
    """Draws a panel per metric: each experiment's interval as a bar and its value as a line in it."""
    experiments = palette.experiments
    figure, axes = style.panels(1, len(metrics), size=(2.7, 1.1 + 0.34 * len(experiments)))
    for panel, (metric, estimates) in zip(axes[0], metrics.items(), strict=True):
        for row, experiment in enumerate(experiments):
            _interval(panel, row, estimates[experiment], palette.colour(experiment))
        better = "lower is better" if metric == "optimality gap" else "higher is better"
        panel.set_title(metric[0].upper() + metric[1:])
        panel.set_xlabel(f"normalized return\n({better})", fontsize=8)
        _rows(panel, experiments if panel is axes[0][0] else [""] * len(experiments))
    return figure


@style.report_texts
def draw_improvements(probabilities: Mapping[tuple[str, str], Estimate], palette: Palette) -> Figure:
    """Draws a row per pair: the probability that a run of X has a higher score than one of Y."""
    figure, axes = style.panels(1, 1, size=(7.0, 1.1 + 0.34 * len(probabilities)))
    panel = axes[0, 0]
    for row, ((x, y), estimate) in enumerate(probabilities.items()):
        _interval(panel, row, estimate, palette.colour(x if estimate.value >= 0.5 else y))
    panel.axvline(0.5, color="#444444", linewidth=1.0, linestyle=(0, (4, 2)), zorder=0)
    _rows(panel, [x for x, _ in probabilities])
    right = panel.secondary_yaxis("right")
    right.set_yticks(range(len(probabilities)), [y for _, y in probabilities], fontsize=9)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    for name, side, align in (("X", 0, "right"), ("Y", 1, "left")):
        panel.annotate(
            name, (side, 1), xytext=(16 * side - 8, 4), xycoords="axes fraction", textcoords="offset points",
            ha=align, fontsize=10, fontweight="bold",
        )  # fmt: skip
    xlabel = "P(X > Y): a run of X is better than one of Y; coloured by the better one"
    panel.set(xlim=(0, 1), xlabel=xlabel)
    return figure


@style.report_texts
def draw_profiles(profiles: Curves, palette: Palette) -> Figure:
    """Draws the share of runs whose score is above each threshold."""
    figure, panel = _lines(profiles, palette, "share of runs above τ")
    panel.set(xlabel="normalized return τ", xlim=(profiles.x[0], profiles.x[-1]))
    return figure


@style.report_texts
def draw_efficiency(efficiency: Curves, palette: Palette) -> Figure:
    """Draws the interquartile mean over environment steps."""
    figure, panel = _lines(efficiency, palette, "IQM of normalized return")
    style.steps_axis(panel)
    return figure


def _lines(curves: Curves, palette: Palette, ylabel: str) -> tuple[Figure, Axes]:
    figure, axes = style.panels(1, 1, size=(6.2, 4.0))
    panel = axes[0, 0]
    for experiment, (value, low, high) in curves.estimates.items():
        panel.fill_between(curves.x, low, high, color=palette.colour(experiment), alpha=0.18, linewidth=0)
        panel.plot(curves.x, value, **palette.line(experiment))
    panel.set_ylabel(ylabel)
    style.legend(figure, palette, extra=[style.note_handle("95 % interval", linewidth=7, alpha=0.3)])
    return figure, panel


def _interval(panel: Axes, row: int, estimate: Estimate, colour: str) -> None:
    value, low, high = estimate
    panel.barh(row, high - low, left=low, height=_HEIGHT, color=colour, alpha=0.45, linewidth=0)
    # A degenerate interval (one run) still is to be seen.
    panel.vlines(value, row - _HEIGHT / 2, row + _HEIGHT / 2, color=colour, linewidth=2.4)


def _rows(panel: Axes, labels: Sequence[str]) -> None:
    panel.set_yticks(range(len(labels)), labels, fontsize=9)
    panel.set_ylim(len(labels) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)
    panel.xaxis.set_major_locator(MaxNLocator(4))
    # Bars would end at the frame.
    panel.use_sticky_edges = False
    panel.margins(x=0.06)
    panel.autoscale_view(scaley=False)
