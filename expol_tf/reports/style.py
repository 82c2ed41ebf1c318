"""How pictures look: one colour an experiment in all of them, panels in a grid, one legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from expol_tf.reports.output import write_errors

# Okabe and Ito's colours, which colour-blind readers can tell apart, without the yellow that white swallows.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_GREY = "#666666"
# The texts of a report's pictures: a decorator of the functions that draw them. Names are no formulas.
report_texts = matplotlib.rc_context(
    {"axes.titlesize": 10, "axes.titleweight": "bold", "axes.labelsize": 9, "text.parse_math": False}
)


class Palette:
    """Colour and dashes of every experiment: the colours first, then again with another line.

    Args:
      experiments: In the order in which legends list them.
    """

    def __init__(self, experiments: Sequence[str]):
        self._index = {experiment: index for index, experiment in enumerate(experiments)}

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments, in the order of legends."""
        return tuple(self._index)

    def colour(self, experiment: str) -> str:
        """Returns the experiment's colour."""
        return _COLOURS[self._index[experiment] % len(_COLOURS)]

    def line(self, experiment: str) -> dict[str, Any]:
        """Returns the arguments of `Axes.plot` for the experiment's main line."""
        dashes = _DASHES[self._index[experiment] // len(_COLOURS) % len(_DASHES)]
        return {"color": self.colour(experiment), "linestyle": dashes, "linewidth": 1.8}


def panels(rows: int, columns: int, size: tuple[float, float] = (4.2, 3.4)) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes `[rows, columns]`, each `size` inches, without pyplot's global state."""
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), dpi=150, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        plain(panel)
    return figure, axes


def task_panels(tasks: Iterable[str], ylabel: str) -> tuple[Figure, dict[str, Axes]]:
    """Returns a figure with a panel per task, three in a row, and the panels; a repeated task counts once."""
    titles = list(dict.fromkeys(tasks))
    columns = min(3, len(titles)) if len(titles) != 4 else 2
    figure, axes = panels(math.ceil(len(titles) / columns), columns)
    for left in axes[:, 0]:
        left.set_ylabel(ylabel)
    for unused in axes.flat[len(titles) :]:
        unused.remove()
    by_task = dict(zip(titles, axes.flat, strict=False))
    for task, panel in by_task.items():
        panel.set_title(task)
    return figure, by_task


def plain(axes: Axes) -> None:
    """Takes away what carries no data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=8, color=_GREY)
    axes.set_axisbelow(True)


def steps_axis(axes: Axes) -> None:
    """Labels the x axis as environment steps: 500k, 1M."""
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("environment steps")


def legend(
    figure: Figure,
    palette: Palette,
    experiments: Iterable[str] | None = None,
    extra: Sequence[Line2D] = (),
    points: bool = False,
) -> None:
    """Puts one legend below all panels.

    Args:
      figure: The figure.
      palette: Colours.
      experiments: Those shown; all by default.
      extra: Further entries, from `note_handle`.
      points: Whether experiments are points instead of lines.
    """
    shown = palette.experiments if experiments is None else experiments
    handles = [
        Line2D([], [], label=name, marker="o", linestyle="none", color=palette.colour(name))
        if points
        else Line2D([], [], label=name, **palette.line(name))
        for name in shown
    ]
    handles += extra
    # Characters of this size in the figure's width.
    width = figure.get_figwidth() * 13
    longest = max(len(str(handle.get_label())) for handle in handles) + 6
    columns = max(1, min(len(handles), int(width / longest)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def note_handle(text: str, **style: Any) -> Line2D:
    """Returns a legend's entry that is no experiment, drawn as `Axes.plot` would with `style`."""
    return Line2D([], [], label=text, **{"color": _GREY, "linewidth": 1.2, **style})


def save(figure: Figure, path: Path) -> None:
    """Writes the picture as PNG.

    Raises:
      RunDirectoryError: It cannot be written.
    """
    with write_errors(f"cannot write {path}"):
        figure.savefig(path, format="png")
