"""The pictures of the small experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from expol_tf.diagnostics import region_levels
from expol_tf.reports import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POLICY = "#0072B2"
_OTHER = "#D55E00"
_TARGET = "#333333"


def density_panels(
    panels_of: Mapping[str, np.ndarray],
    titles: Mapping[str, str],
    nodes: np.ndarray,
    target_log_prob: np.ndarray,
    note: str,
) -> Figure:
    """Draws every policy's density with the target's contours, a panel a policy.

    Args:
      panels_of: Policy → log π on the grid `[g, g]`, rows a₂.
      titles: Policy → what is written below its name.
      nodes: The grid's nodes on both axes.
      target_log_prob: The target's on the same grid.
      note: What is written below all panels.
    """
    figure, axes = panels(1, len(panels_of), (3.0, 3.5))
    highest = np.exp(target_log_prob).max()
    for each, (policy, log_prob) in zip(axes.flat, panels_of.items(), strict=True):
        density = np.exp(log_prob)
        levels = np.linspace(0, 1.25 * highest, 26)
        each.contourf(nodes, nodes, density, levels=levels, cmap="Blues", extend="max")
        lines = region_levels(target_log_prob)
        each.contour(nodes, nodes, np.exp(target_log_prob), levels=lines, colors=_TARGET, linewidths=0.9)
        each.set_title(f"{policy}\n{titles[policy]}", fontsize=9)
        square(each, 1.0, "a")
    figure.supxlabel(note, fontsize=9)
    return figure


def ball_panels(
    nodes: np.ndarray,
    source: np.ndarray,
    gaussian: Mapping[str, Any],
    flow: Mapping[str, Any],
    titles: Mapping[tuple[str, str], str],
) -> Figure:
    """Draws log-densities and samples on the KL ball's boundary, and samples at fixed entropies.

    Args:
      nodes: The grid's nodes on both axes.
      source: Samples of the source, `[n, 2]`.
      gaussian: Constraint → what to picture (`samples`, `log_prob`), the KL's first.
      flow: The same of the flow.
      titles: (constraint, family) → what is written below the panel's name.
    """
    figure, axes = panels(2, 4, (3.0, 3.2))
    ball, *entropies = list(gaussian)
    for column, (family, found) in enumerate((("Gaussian", gaussian), ("flow", flow))):
        contours, points = axes[0, column], axes[1, column]
        levels = np.linspace(-24, 4, 15)
        drawn = contours.contourf(
            nodes, nodes, np.clip(found[ball].log_prob, -24, 4), levels=levels, cmap="viridis"
        )
        contours.set_title(f"{family}, {ball}: log-density", fontsize=9)
        square(contours, nodes.max(), "x")
        if family == "flow":
            figure.colorbar(drawn, ax=contours, shrink=0.8).ax.tick_params(labelsize=8)
        colour = _OTHER if family == "Gaussian" else _POLICY
        scatter(points, found[ball].samples, colour, family)
        scatter(points, source[: len(found[ball].samples)], _TARGET, "source", size=2)
        points.set_title(f"{family}, {ball}\n{titles[ball, family]}", fontsize=9)
        square(points, nodes.max(), "x")
        points.legend(loc="upper right", fontsize=7, frameon=False, markerscale=2)
    for row, constraint in enumerate(entropies):
        # Centred, as only the spread is fixed by the entropy.
        both = [part[constraint].samples - part[constraint].samples.mean(axis=0) for part in (gaussian, flow)]
        reach = max(np.quantile(np.abs(part), 0.995) for part in both) * 1.2
        for column, (family, samples) in enumerate(zip(("Gaussian", "flow"), both, strict=True)):
            each = axes[row, 2 + column]
            scatter(each, samples, _OTHER if family == "Gaussian" else _POLICY, family)
            each.set_title(f"{family}, {constraint}\n{titles[constraint, family]}", fontsize=9)
            square(each, reach, "x")
    return figure


def scatter(axes: Axes, samples: np.ndarray, colour: str, label: str, size: float = 4) -> None:
    """Draws samples as dots."""
    axes.scatter(samples[:, 0], samples[:, 1], s=size, color=colour, alpha=0.5, linewidths=0, label=label)


def square(axes: Axes, reach: float, name: str) -> None:
    """Makes the panel the square [−reach, reach]²."""
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.locator_params(nbins=5)
    axes.set_xlabel(f"${name}_1$", fontsize=8, labelpad=1)
    axes.set_ylabel(f"${name}_2$", fontsize=8, labelpad=1)
