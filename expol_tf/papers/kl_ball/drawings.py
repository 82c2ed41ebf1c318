"""The picture of the KL ball."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from expol_tf.papers.drawings import BLUE, DARK, RED, scatter, small_texts, square
from expol_tf.reports import panels

if TYPE_CHECKING:
    from expol_tf.papers.kl_ball.kl_ball import Pictured


@small_texts
def ball_panels(
    nodes: np.ndarray,
    source: np.ndarray,
    gaussian: Mapping[str, Pictured],
    flow: Mapping[str, Pictured],
    titles: Mapping[tuple[str, str], str],
) -> Figure:
    """Draws log-densities and samples on the KL ball's boundary, and samples at fixed entropies.

    Args:
      nodes: The grid's nodes on both axes, `[g]`.
      source: Samples of the source, `[n, 2]`.
      gaussian: Constraint → what to picture of the Gaussian, the KL's first.
      flow: The same of the flow.
      titles: (constraint, family) → what is written below the panel's name.
    """
    figure, axes = panels(2, 4, (3.0, 3.2))
    ball, *entropies = gaussian
    families = {"Gaussian": (gaussian, RED), "flow": (flow, BLUE)}
    for column, (family, (pictured, colour)) in enumerate(families.items()):
        contours, points = axes[:, column]
        drawn = contours.contourf(
            nodes, nodes, np.clip(pictured[ball].log_prob, -24, 4), np.linspace(-24, 4, 15), cmap="viridis"
        )
        contours.set_title(f"{family}, {ball}: log-density")
        scatter(points, pictured[ball].samples, colour, family)
        scatter(points, source[: len(pictured[ball].samples)], DARK, "source", size=2)
        points.set_title(f"{family}, {ball}\n{titles[ball, family]}")
        points.legend(loc="upper right", markerscale=2)
        square(contours, nodes.max(), "x")
        square(points, nodes.max(), "x")
    figure.colorbar(drawn, ax=contours, shrink=0.8).ax.tick_params(labelsize=8)
    for row, constraint in enumerate(entropies):
        # Centred, as only the spread is fixed by the entropy.
        centred = [
            (family, colour, pictured[constraint].samples - pictured[constraint].samples.mean(axis=0))
            for family, (pictured, colour) in families.items()
        ]
        reach = max(np.quantile(np.abs(samples), 0.995) for _, _, samples in centred) * 1.2
        for panel, (family, colour, samples) in zip(axes[row, 2:], centred, strict=True):
            scatter(panel, samples, colour, family)
            panel.set_title(f"{family}, {constraint}\n{titles[constraint, family]}")
            square(panel, reach, "x")
    return figure
