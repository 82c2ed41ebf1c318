"""The picture of what makes the particles of Stein policies act on each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from expol_tf.papers.drawings import small_texts
from expol_tf.papers.entropy.interaction import Interaction
from expol_tf.reports import panels


@small_texts
def interaction_panels(rows: Sequence[Interaction]) -> Figure:
    """Draws the neighbours' share, and how far the reported entropy is from the true one, by variant.

    Args:
      rows: The table.
    """
    temperatures = sorted({row.calibration.temperature for row in rows})
    variants = list(dict.fromkeys(row.variant for row in rows))
    targets = list(dict.fromkeys(row.calibration.target for row in rows))
    figure, axes = panels(2, len(temperatures), (4.6, 2.6))
    width = 0.8 / len(variants)
    for column, temperature in zip(axes.T, temperatures, strict=True):
        for index, variant in enumerate(variants):
            chosen = {
                row.calibration.target: row
                for row in rows
                if row.variant == variant and row.calibration.temperature == temperature
            }
            places = np.arange(len(targets)) + (index - (len(variants) - 1) / 2) * width
            heights = [
                [chosen[target].neighbours for target in targets],
                [chosen[target].calibration.excess() for target in targets],
            ]
            for panel, height in zip(column, heights, strict=True):
                panel.bar(places, height, width, label=variant)
        column[0].set_title(f"α = {temperature:g}")
        for panel in column:
            panel.set_xticks(np.arange(len(targets)), [each.replace(" of ", "\nof ") for each in targets])
        column[1].axhline(0.0, color="#888888", linewidth=0.8)
    axes[0, 0].set_ylabel("Σ k over neighbours")
    axes[1, 0].set_ylabel("reported − true, nats per component")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
