"""The picture of a bandit's policies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from expol_tf.diagnostics import region_levels
from expol_tf.papers.drawings import DARK, small_texts, square
from expol_tf.reports import panels


@small_texts
def density_panels(
    densities: Mapping[str, np.ndarray],
    titles: Mapping[str, str],
    nodes: np.ndarray,
    target_log_prob: np.ndarray,
    note: str,
) -> Figure:
    """Draws every policy's density with the target's contours, a panel a policy.

    Args:
      densities: Policy → log π on the grid `[g, g]`, rows a₂.
      titles: Policy → what is written below its name.
      nodes: The grid's nodes on both axes, `[g]`.
      target_log_prob: log π* on the same grid.
      note: What is written below all panels.
    """
    figure, axes = panels(1, len(densities), (3.0, 3.5))
    target = np.exp(target_log_prob)
    for panel, (policy, log_prob) in zip(axes.flat, densities.items(), strict=True):
        levels = np.linspace(0, 1.25 * target.max(), 26)
        panel.contourf(nodes, nodes, np.exp(log_prob), levels=levels, cmap="Blues", extend="max")
        regions = region_levels(target_log_prob)
        panel.contour(nodes, nodes, target, levels=regions, colors=DARK, linewidths=0.9)
        panel.set_title(f"{policy}\n{titles[policy]}")
        square(panel, 1.0, "a")
    figure.supxlabel(note)
    return figure
