"""The pictures of runs on the tasks with several goals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from expol_tf.diagnostics import Episodes
from expol_tf.environments import MultiGoalTask, draw_plane
from expol_tf.papers.cells import signed
from expol_tf.papers.drawings import RED, small_texts, square
from expol_tf.papers.multi_goal.examination import Q_STATES, Behaviour, Examined
from expol_tf.papers.multi_goal.optima import Optimal, World
from expol_tf.reports import panels

_GOALS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_NONE = "#777777"
_BARS = {"learned": "#0072B2", "greedy": "#56B4E9", "optimum": "#444444"}
_EPISODES = 100
# Entropies below count as this one: a policy that has collapsed would leave the others no colours.
_LOWEST_ENTROPY = -4.0


@small_texts
def run_picture(result: Examined) -> Figure:
    """Draws a run above, its optimum below: episodes, Q with actions at three states, entropy, roughness."""
    figure, axes = panels(3, 5, (2.9, 2.9))
    _behaviour_row(axes[0], result.learned, result, "learned")
    _behaviour_row(axes[1], result.optimal, result, "optimum")
    _entropy_maps(list(axes[:2, 4]), result)
    _goal_bars(axes[2, 0], result)
    _trajectories(axes[2, 1], result.run.test, result.greedy)
    greedy_return = signed(result.greedy_numbers.return_mean)
    axes[2, 1].set_title(f"learned, greedy actions\nreturn {greedy_return}")
    _roughness_maps(list(axes[2, 2:]), result)
    run, learned, best = result.run, result.learned.numbers, result.optimal.numbers
    figure.suptitle(
        f"{run.run.experiment}, seed {run.run.seed}: {run.run.task}, α = {run.temperature:g}, "
        f"γ = {run.discount:g}, {run.run.progress.env_step:,} steps"
    )
    figure.supxlabel(
        f"{len(result.learned.episodes.lengths)} episodes with sampled actions: return "
        f"{signed(learned.return_mean, 1)} (optimum {signed(best.return_mean, 1)}), length "
        f"{learned.length_mean:.1f} ({best.length_mean:.1f}), a goal in "
        f"{learned.any_goal:.0%} ({best.any_goal:.0%}). "
        "Lines: sampled episodes, coloured by the goal reached, grey where none is; dots: sampled actions."
    )
    return figure


@small_texts
def overview(examined: Sequence[Examined]) -> Figure:
    """Draws episodes and goals of several runs, a column each, four columns in a row."""
    columns = min(4, len(examined))
    bands = math.ceil(len(examined) / columns)
    figure, axes = panels(2 * bands, columns, (3.1, 2.7))
    # A run's two panels stand one above the other.
    pairs = axes.reshape(bands, 2, columns).transpose(0, 2, 1).reshape(-1, 2)
    for unused in pairs[len(examined) :].flat:
        unused.remove()
    for (above, below), result in zip(pairs, examined, strict=False):
        _trajectories(above, result.run.test, result.learned.episodes)
        _goal_bars(below, result, legend=result is examined[0])
        learned, best = result.learned.numbers, result.optimal.numbers
        above.set_title(
            f"{result.run.name}\nα = {result.run.temperature:g}: return {signed(learned.return_mean)}, "
            f"optimum {signed(best.return_mean)}",
            fontsize=8.5,
        )
    return figure


@small_texts
def optima_picture(results: Sequence[tuple[World, Optimal]]) -> Figure:
    """Draws the optima's episodes: a world a row, a temperature a column, the last with the wall too."""
    worlds = list(dict.fromkeys(world.name for world, _ in results))
    rows = [[(world, optimal, False) for world, optimal in results if world.name == name] for name in worlds]
    rows.append([(world, optimal, True) for world, optimal, _ in rows[-1]])
    figure, axes = panels(len(rows), max(map(len, rows)), (2.4, 2.6))
    for line, row in zip(axes, rows, strict=True):
        for unused in line[len(row) :]:
            unused.remove()
        for panel, (world, optimal, walled) in zip(line, row, strict=False):
            task, episodes = (world.walled, optimal.walled) if walled else (world.task, optimal.free)
            _trajectories(panel, task, episodes)
            values = optimal.row
            if walled:
                text = f"hit by {values['hit_share']:.0%}, then a goal {values['success_after_hit']:.0%}"
            else:
                shares = [values[f"goal_{goal}"] for goal in range(len(world.task.goals))]
                text = " / ".join(f"{100 * share:.0f}" for share in (*shares, 1 - values["any_goal"])) + " %"
            title = f"α = {values['temperature']:g}, γ = {values['discount']:g}\n{text}"
            panel.set_title(title, fontsize=8)
        line[0].set_ylabel(f"{row[0][0].name}\n$s_2$")
    figure.supxlabel(
        "The first hundred sampled episodes, coloured by the goal reached, grey where none is. Shares of the "
        "goals, the last of none. Bottom: the same policies where there is a wall that they do not know."
    )
    return figure


def _behaviour_row(row: Sequence[Axes], behaviour: Behaviour, result: Examined, name: str) -> None:
    _trajectories(row[0], result.run.test, behaviour.episodes)
    row[0].set_title(f"{name}\nreturn {signed(behaviour.numbers.return_mean)}")
    # The same levels below the best action for both, so that shapes compare.
    both = [b.q_values for b in (result.learned, result.optimal) if b.q_values is not None]
    for i, (panel, state) in enumerate(zip(row[1:4], Q_STATES, strict=True)):
        symbol = "no critic"
        if behaviour.q_values is not None:
            symbol = "Q(s, ·)" if name == "learned" else "Q*(s, ·)"
            values = behaviour.q_values[i].T - behaviour.q_values[i].max()
            nodes = np.linspace(-1, 1, len(values))
            levels = np.linspace(-max(float(np.ptp(q[i])) for q in both), 0, 15)
            panel.contourf(nodes, nodes, values, levels, cmap="Blues", alpha=0.8)
            panel.contour(nodes, nodes, values, levels, colors="#555555", linewidths=0.5, linestyles="-")
        x, y = behaviour.q_actions[i].T
        panel.scatter(x, y, s=6, color=RED, alpha=0.7, linewidths=0, zorder=4)
        where = ", ".join(signed(s) if s == round(s) else signed(s, 1) for s in state)
        panel.set_title(f"{name}: {symbol},\ns = ({where})")
        panel.grid(False)
        square(panel, 1.0, "a")


def _trajectories(panel: Axes, task: MultiGoalTask, episodes: Episodes) -> None:
    draw_plane(panel, task)
    for states, goal in list(zip(episodes.states, episodes.goal, strict=True))[:_EPISODES]:
        panel.plot(*states.T, color=_goal_colour(goal), linewidth=0.7, alpha=0.5, zorder=3)
    for goal, (x, y) in enumerate(task.goals):
        panel.plot(x, y, "*", markersize=8, color=_goal_colour(goal), markeredgewidth=0, zorder=7)
    panel.grid(False)
    square(panel, 7.0, "s")


def _goal_bars(panel: Axes, result: Examined, legend: bool = True) -> None:
    goals = result.run.test.goals
    groups = (result.learned.numbers, result.greedy_numbers, result.optimal.numbers)
    for index, (name, numbers) in enumerate(zip(_BARS, groups, strict=True)):
        places = np.arange(len(goals) + 1) + 0.27 * (index - 1)
        shares = [*numbers.goal_shares, 1 - numbers.any_goal]
        panel.bar(places, shares, 0.25, color=_BARS[name], label=name, linewidth=0)
    labels = [f"({x:g}, {y:g})".replace("-", "−") for x, y in goals]
    panel.set_xticks(range(len(goals) + 1), [*labels, "none"], fontsize=7.5)
    for goal, label in enumerate(panel.get_xticklabels()):
        label.set_color(_goal_colour(goal if goal < len(goals) else -1))
    # Room for the legend above the highest bar that there can be.
    panel.set(title="goals reached", ylabel="share of episodes", ylim=(0, 1.2), yticks=np.linspace(0, 1, 6))
    panel.grid(axis="x", visible=False)
    if legend:
        panel.legend(loc="upper center", ncols=3, columnspacing=1.0, handlelength=1.0, handletextpad=0.4)


def _entropy_maps(axes: Sequence[Axes], result: Examined) -> None:
    behaviours = {"learned": result.learned, "optimum": result.optimal}
    maps = [behaviour.entropy_map for behaviour in behaviours.values()]
    low = max(_LOWEST_ENTROPY, float(np.min(maps)))
    high = max(float(np.max(maps)), low + 0.1)
    for panel, (name, behaviour) in zip(axes, behaviours.items(), strict=True):
        _map(panel, result.run.test, np.clip(behaviour.entropy_map, low, high), low, high, "viridis")
        panel.set_title(f"{name}: entropy Ĥ, nats\nalong episodes {signed(behaviour.entropy, 2)}")


def _roughness_maps(axes: Sequence[Axes], result: Examined) -> None:
    learned, best = result.learned, result.optimal
    shown = (
        ("learned: $M_1$ of Q", learned.gradient_map, learned.gradient, best.gradient_map),
        ("learned: $M_2$ of Q", learned.curvature_map, learned.curvature, None),
        ("optimum: $M_1$ of Q*", best.gradient_map, best.gradient, learned.gradient_map),
    )
    for panel, (title, values, mean, peer) in zip(axes, shown, strict=True):
        if values is None:
            panel.set_title(f"{title}\nno critic")
            panel.set_axis_off()
            continue
        # One scale for the two maps of M₁.
        both = np.concatenate([values.ravel(), [] if peer is None else peer.ravel()])
        high = max(float(np.quantile(both, 0.98)), 1e-9)
        _map(panel, result.run.test, values, 0.0, high, "magma", extend="max")
        panel.set_title(f"{title}\nalong episodes {mean:.3g}")


def _map(
    panel: Axes, task: MultiGoalTask, values: np.ndarray, low: float, high: float, colours: str,
    extend: str = "neither",
) -> None:  # fmt: skip
    """Draws values `[g, g]`, first axis s₁, with the goals, the wall and a scale of colours."""
    half = 7 * (1 + 1 / (len(values) - 1))
    extent = (-half, half, -half, half)
    drawn = panel.imshow(values.T, colours, origin="lower", extent=extent, vmin=low, vmax=high)
    for goal in task.goals:
        panel.add_patch(Circle(goal, task.goal_threshold, fill=False, color="white", linewidth=1))
    if task.wall is not None:
        panel.plot(*task.wall.T, color="white", linewidth=2)
    panel.grid(False)
    square(panel, 7.0, "s")
    bar = panel.figure.colorbar(drawn, ax=panel, shrink=0.75, extend=extend)
    bar.ax.tick_params(labelsize=7)


def _goal_colour(goal: int) -> str:
    return _GOALS[goal % len(_GOALS)] if goal >= 0 else _NONE
