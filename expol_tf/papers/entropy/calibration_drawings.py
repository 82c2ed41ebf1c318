"""The picture of what Stein policies report as their entropy."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from expol_tf.papers.drawings import BLUE, small_texts
from expol_tf.papers.entropy.calibration import DENSITIES, Calibration
from expol_tf.reports import panels

_COLOURS = {"joint_trace": BLUE, "printed": "#c44e52"}


@small_texts
def calibration_panels(rows: Sequence[Calibration]) -> Figure:
    """Draws reported over true entropies, a panel for each number of components.

    Args:
      rows: The table.
    """
    sizes = sorted({row.size for row in rows})
    figure, axes = panels(1, len(sizes), (3.1, 3.2))
    for panel, size in zip(axes.flat, sizes, strict=True):
        chosen = [row for row in rows if row.size == size]
        truths = [row.measured.truth for row in chosen]
        panel.axline((truths[0], truths[0]), slope=1.0, color="#888888", linestyle=(0, (4, 2)), linewidth=1.2)
        panel.axhline(chosen[0].measured.uniform, color="#bbbbbb", linewidth=1.0)
        for density, colour in _COLOURS.items():
            reported = [getattr(row, density) for row in chosen]
            panel.scatter(truths, reported, s=12, color=colour, alpha=0.8, linewidths=0, label=density)
        known = "entropy" if all(row.measured.counted for row in chosen) else "entropy or its least bound"
        panel.set_title(f"A = {size}")
        panel.set_xlabel(f"{known}, nats")
    axes.flat[0].set_ylabel("reported, nats")
    axes.flat[0].legend(loc="best")
    figure.supxlabel("dashes: reported as it is; grey line: A log 2, uniform actions")
    return figure


@small_texts
def reported_bars(rows: Sequence[Calibration]) -> Figure:
    """Draws what every density reports, a group for each temperature, and a line where the truth is.

    Args:
      rows: The table.
    """
    figure, axes = panels(1, 1, (4.8, 3.2))
    panel = axes.flat[0]
    width = 0.8 / len(DENSITIES)
    for number, density in enumerate(DENSITIES):
        places = [group + (number - (len(DENSITIES) - 1) / 2) * width for group in range(len(rows))]
        panel.bar(places, [getattr(row, density) for row in rows], 0.9 * width, label=density)
    for group, row in enumerate(rows):
        ends = (group - 0.42, group + 0.42)
        panel.plot(ends, [row.measured.truth] * 2, color="black", label=None if group else "true")
    panel.axhline(0.0, color="#bbbbbb", linewidth=0.8)
    panel.set_xticks(range(len(rows)), [f"α = {row.temperature:g}" for row in rows])
    panel.set_ylabel("reported, nats")
    panel.legend(loc="best")
    return figure
