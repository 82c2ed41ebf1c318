"""How what runs do on the tasks with several goals changes with the temperature.

After Messaoud et al. 2024, *S²AC*, Figures 12, 15 and 16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from expol_tf.papers.multi_goal.examination import Behaviour, Examined
from expol_tf.reports import Palette, legend, note_handle, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OPTIMUM = {"color": "#444444", "linestyle": (0, (1.2, 1.2)), "linewidth": 1.6}


def comparable(examined: Sequence[Examined]) -> bool:
    """Returns whether the runs are of one task and discount, and of several temperatures."""
    worlds = {(each.run.run.task, each.run.discount) for each in examined}
    return len(worlds) == 1 and len(temperatures(examined)) > 1


def temperatures(examined: Sequence[Examined]) -> list[float]:
    """Returns the temperatures of the runs, in order."""
    return sorted({each.run.temperature for each in examined})


def left_share(each: Examined, behaviour: Behaviour) -> float:
    """Returns, of the episodes that reach a goal, the share that reaches one with s₁ < 0; NaN if none do."""
    shares = behaviour.numbers.goal_shares
    left = sum(share for share, goal in zip(shares, each.run.test.goals, strict=True) if goal[0] < 0)
    return float(left / shares.sum()) if shares.sum() > 0 else float("nan")


def least_goal(each: Examined, behaviour: Behaviour) -> float:
    """Returns the share of the episodes that reach the goal that is reached least."""
    return float(behaviour.numbers.goal_shares.min())


def trends(examined: Sequence[Examined]) -> Figure:
    """Draws numbers against the temperature: a line an algorithm, means over seeds, with all seeds as dots.

    Args:
      examined: Runs of one task, of two temperatures or more.
    """
    quantities: list[tuple[str, Callable[[Examined, Behaviour], float]]] = [
        ("episodes that reach a goal", lambda each, behaviour: behaviour.numbers.any_goal),
        ("the goal reached least", least_goal),
        ("left, of those that reach a goal", left_share),
        ("return", lambda each, behaviour: behaviour.numbers.return_mean),
        ("entropy Ĥ along the episodes, nats", lambda each, behaviour: behaviour.entropy),
        ("$M_1$, mean |∂Q/∂a|", lambda each, behaviour: behaviour.gradient),
        ("$M_2$, mean |∂²Q/∂a²|", lambda each, behaviour: behaviour.curvature),
    ]
    if any(each.run.test.wall is not None for each in examined):
        quantities.append(
            ("a goal after hitting the wall", lambda each, behaviour: behaviour.numbers.success_after_hit)
        )
    else:
        quantities.append(("length, steps", lambda each, behaviour: behaviour.numbers.length_mean))
    algorithms = list(dict.fromkeys(each.run.run.experiment for each in examined))
    palette = Palette(algorithms)
    figure, axes = panels(2, 4, (3.3, 2.8))
    found = temperatures(examined)
    for one, (title, quantity) in zip(axes.flat, quantities, strict=True):
        one.set_title(title, fontsize=9)
        _axis(one, found)
        for index, algorithm in enumerate(algorithms):
            runs = [each for each in examined if each.run.run.experiment == algorithm]
            shift = 1 + 0.05 * (index - (len(algorithms) - 1) / 2)
            means = [
                _mean([quantity(each, each.learned) for each in runs if each.run.temperature == alpha])
                for alpha in found
            ]
            one.plot(found, means, **palette.line(algorithm))
            one.scatter(
                [each.run.temperature * shift for each in runs],
                [quantity(each, each.learned) for each in runs],
                s=11, color=palette.colour(algorithm), linewidths=0, zorder=3,
            )  # fmt: skip
        best = {each.run.temperature: quantity(each, each.optimal) for each in examined}
        one.plot(found, [best[alpha] for alpha in found], **_OPTIMUM)
        if all(0 <= value <= 1 for value in best.values() if np.isfinite(value)):
            low, high = one.get_ylim()
            one.set_ylim(min(low, -0.04), max(high, 1.04))
    legend(figure, palette, extra=[note_handle("optimum", **_OPTIMUM)])
    run = examined[0].run
    figure.suptitle(f"{run.run.task}, γ = {run.discount:g}", fontsize=11)
    return figure


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _axis(axes: Axes, found: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(found, [f"{alpha:g}" for alpha in found])
    axes.minorticks_off()
    axes.set_xlabel("temperature α", fontsize=8, labelpad=1)
