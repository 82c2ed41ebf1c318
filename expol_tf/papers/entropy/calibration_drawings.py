"""The picture of what Stein policies report as their entropy."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from expol_tf.papers.drawings import BLUE, small_texts
from expol_tf.papers.entropy.calibration import Calibration
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
        known = "entropy" if any(row.measured.counted for row in chosen) else "least bound of the entropy"
        panel.set_title(f"A = {size}")
        panel.set_xlabel(f"{known}, nats")
    axes.flat[0].set_ylabel("reported, nats")
    axes.flat[0].legend(loc="best")
    figure.supxlabel("dashes: reported as it is; grey line: A log 2, uniform actions")
    return figure
