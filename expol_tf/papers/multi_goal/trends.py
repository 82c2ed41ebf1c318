"""How what runs do on the tasks with several goals changes with the temperature.

After Messaoud et al. 2024, *S²AC*, Figures 12, 15 and 16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from expol_tf.papers.drawings import small_texts
from expol_tf.papers.multi_goal.examination import Behaviour, Examined
from expol_tf.reports import Palette, legend, note_handle, panels

_OPTIMUM = {"color": "#444444", "linestyle": (0, (1.2, 1.2)), "linewidth": 1.6}


def comparable(examined: Sequence[Examined]) -> bool:
    """Returns whether the runs are of one task and discount, and of several temperatures."""
    worlds = {(result.run.run.task, result.run.discount) for result in examined}
    return len(worlds) == 1 and len(temperatures(examined)) > 1


def temperatures(examined: Sequence[Examined]) -> list[float]:
    """Returns the temperatures of the runs, in order."""
    return sorted({result.run.temperature for result in examined})


def left_share(result: Examined, behaviour: Behaviour) -> float:
    """Returns, of the episodes that reach a goal, the share that reaches one with s₁ < 0; NaN if none do."""
    shares = behaviour.numbers.goal_shares
    left = sum(share for share, goal in zip(shares, result.run.test.goals, strict=True) if goal[0] < 0)
    return float(left / shares.sum()) if shares.sum() > 0 else float("nan")


def least_goal(result: Examined, behaviour: Behaviour) -> float:
    """Returns the share of the episodes that reach the goal that is reached least."""
    return float(behaviour.numbers.goal_shares.min())


_QUANTITIES: dict[str, Callable[[Examined, Behaviour], float]] = {
    "episodes that reach a goal": lambda _, behaviour: behaviour.numbers.any_goal,
    "the goal reached least": least_goal,
    "left, of those that reach a goal": left_share,
    "return": lambda _, behaviour: behaviour.numbers.return_mean,
    "entropy Ĥ along the episodes, nats": lambda _, behaviour: behaviour.entropy,
    "$M_1$, mean |∂Q/∂a|": lambda _, behaviour: behaviour.gradient,
    "$M_2$, mean |∂²Q/∂a²|": lambda _, behaviour: behaviour.curvature,
    "length, steps": lambda _, behaviour: behaviour.numbers.length_mean,
    "a goal after hitting the wall": lambda _, behaviour: behaviour.numbers.success_after_hit,
}


@small_texts
def trends(examined: Sequence[Examined]) -> Figure:
    """Draws numbers against the temperature: a line an algorithm, means over seeds, with all seeds as dots.

    Args:
      examined: Runs of one task, of two temperatures or more.
    """
    quantities = dict(_QUANTITIES)
    walled = any(result.run.test.wall is not None for result in examined)
    del quantities["length, steps" if walled else "a goal after hitting the wall"]
    algorithms = list(dict.fromkeys(result.run.run.experiment for result in examined))
    palette, alphas = Palette(algorithms), temperatures(examined)
    figure, axes = panels(2, 4, (3.3, 2.8))
    for panel, (title, quantity) in zip(axes.flat, quantities.items(), strict=True):
        panel.set(title=title, xlabel="temperature α", xscale="log")
        panel.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
        panel.minorticks_off()
        for index, algorithm in enumerate(algorithms):
            runs = [result for result in examined if result.run.run.experiment == algorithm]
            places = np.array([result.run.temperature for result in runs])
            values = np.array([quantity(result, result.learned) for result in runs])
            means = [_mean(values[places == alpha]) for alpha in alphas]
            panel.plot(alphas, means, **palette.line(algorithm))
            # Beside each other, so that dots of all algorithms are to be seen.
            shift = 1 + 0.05 * (index - (len(algorithms) - 1) / 2)
            panel.scatter(
                shift * places, values, s=11, color=palette.colour(algorithm), linewidths=0, zorder=3
            )
        best = {result.run.temperature: quantity(result, result.optimal) for result in examined}
        panel.plot(alphas, [best[alpha] for alpha in alphas], **_OPTIMUM)
        if all(0 <= value <= 1 for value in best.values() if np.isfinite(value)):
            low, high = panel.get_ylim()
            panel.set_ylim(min(low, -0.04), max(high, 1.04))
    legend(figure, palette, extra=[note_handle("optimum", **_OPTIMUM)])
    run = examined[0].run
    figure.suptitle(f"{run.run.task}, γ = {run.discount:g}")
    return figure


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.mean(finite)) if len(finite) else float("nan")
