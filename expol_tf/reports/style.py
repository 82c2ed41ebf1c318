"""How the report's pictures look: one colour an experiment in all of them, panels in a grid, one legend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expol_tf.errors import RunDirectoryError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart, without the yellow that white swallows.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_GREY = "#666666"


class Palette:
    """Colour and dashes of every experiment: the colours first, then again with another line.

    Args:
      experiments: In the order in which legends list them.
    """

    def __init__(self, experiments: Sequence[str]):
        self._index = {experiment: index for index, experiment in enumerate(experiments)}

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments."""
        return tuple(self._index)

    def colour(self, experiment: str) -> str:
        """Returns the experiment's colour."""
        return _COLOURS[self._index[experiment] % len(_COLOURS)]

    def line(self, experiment: str) -> Mapping[str, Any]:
        """Returns the arguments of `Axes.plot` for the experiment's main line."""
        dashes = _DASHES[self._index[experiment] // len(_COLOURS) % len(_DASHES)]
        return {"color": self.colour(experiment), "linestyle": dashes, "linewidth": 1.8}


def panels(rows: int, columns: int, size: tuple[float, float] = (4.2, 3.4)) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes [rows, columns], each `size` inches, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for each in axes.flat:
        plain(each)
    return figure, axes


def task_panels(tasks: Sequence[str]) -> tuple[Figure, dict[str, Axes]]:
    """Returns a figure with a panel per task, three in a row, and the panels by task."""
    columns = min(3, len(tasks)) if len(tasks) != 4 else 2
    figure, axes = panels(math.ceil(len(tasks) / columns), columns)
    for unused in list(axes.flat)[len(tasks) :]:
        unused.remove()
    found = dict(zip(tasks, axes.flat, strict=False))
    for task, each in found.items():
        each.set_title(task, fontsize=10, fontweight="bold")
    return figure, found


def plain(axes: Axes) -> None:
    """Takes away what carries no data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=8, color=_GREY)
    axes.set_axisbelow(True)


def steps_axis(axes: Axes) -> None:
    """Labels the x axis as environment steps: 500k, 1M."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("environment steps", fontsize=9)


def legend(
    figure: Figure,
    palette: Palette,
    experiments: Sequence[str] | None = None,
    extra: Sequence[Any] = (),
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
    from matplotlib.lines import Line2D

    shown = palette.experiments if experiments is None else experiments
    handles = [
        Line2D([], [], label=name, marker="o", linestyle="none", color=palette.colour(name))
        if points
        else Line2D([], [], label=name, **palette.line(name))
        for name in shown
    ]
    # Characters of this size in the figure's width.
    width = figure.get_figwidth() * 13
    longest = max(len(str(handle.get_label())) for handle in [*handles, *extra]) + 6
    columns = max(1, min(len(handles) + len(extra), int(width / longest)))
    figure.legend(
        handles=[*handles, *extra], loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def note_handle(text: str, **style: Any) -> Any:
    """Returns a legend's entry that is no experiment."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=text, **{"color": _GREY, "linewidth": 1.2, **style})


def save(figure: Figure, path: Path) -> None:
    """Writes the picture.

    Raises:
      RunDirectoryError: It cannot be written.
    """
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {path}: {error.strerror or error}. Free space, or give another --output_dir."
        ) from error
