"""What the figures' pictures have in common: the sizes of their texts, and planes with samples in them."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes

# Many small panels: a decorator of the functions that draw them.
small_texts = matplotlib.rc_context(
    {
        "axes.titlesize": 9,
        "axes.labelsize": 8,
        "axes.labelpad": 1,
        "figure.titlesize": 11,
        "figure.labelsize": 9,
        "legend.fontsize": 7,
        "legend.frameon": False,
    }
)
# Okabe and Ito's blue and vermilion, and what they are compared with.
BLUE, RED, DARK = "#0072B2", "#D55E00", "#333333"


def scatter(axes: Axes, samples: np.ndarray, colour: str, label: str = "", size: float = 4) -> None:
    """Draws samples `[n, 2]` as dots."""
    x, y = samples.T
    axes.scatter(x, y, s=size, color=colour, alpha=0.5, linewidths=0, label=label)


def square(axes: Axes, reach: float, name: str) -> None:
    """Makes the panel the square [−reach, reach]² of the plane whose coordinates have this name."""
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(xlabel=f"${name}_1$", ylabel=f"${name}_2$")
    axes.locator_params(nbins=5)
