"""The pictures of runs on the tasks with several goals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from expol_tf.diagnostics import Episodes, episode_numbers
from expol_tf.environments import MultiGoalTask, draw_plane
from expol_tf.papers.multi_goal.examination import Q_STATES, Behaviour, Examined
from expol_tf.papers.multi_goal.optima import Optimal, World
from expol_tf.reports import panels, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GOALS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_NONE = "#777777"
_BARS = {"learned": "#0072B2", "greedy": "#56B4E9", "optimum": "#444444"}
_SAMPLES = "#D55E00"
_EPISODES = 100
# Entropies below count as this one: a policy that has collapsed would leave the others no colours.
_LOWEST_ENTROPY = -4.0


def run_picture(each: Examined) -> Figure:
    """Draws a run above, its optimum below: episodes, Q with actions at three states, entropy, roughness."""
    figure, axes = panels(3, 5, (2.9, 2.9))
    _behaviour_row(axes[0], each.learned, each, "learned")
    _behaviour_row(axes[1], each.optimal, each, "optimum")
    _entropy_maps(figure, (axes[0, 4], axes[1, 4]), each)
    goals, greedy, *maps = axes[2]
    _goal_bars(goals, each)
    _trajectories(greedy, each.run.test, each.greedy)
    numbers = episode_numbers(each.greedy, len(each.run.test.goals))
    greedy.set_title(f"learned, greedy actions\nreturn {_signed(numbers.return_mean)}", fontsize=9)
    _roughness_maps(figure, maps, each)
    run, learned, best = each.run, each.learned.numbers, each.optimal.numbers
    figure.suptitle(
        f"{run.run.experiment}, seed {run.run.seed}: {run.run.task}, α = {run.temperature:g}, "
        f"γ = {run.discount:g}, {run.run.env_step:,} steps",
        fontsize=11,
    )
    figure.supxlabel(
        f"{len(each.learned.episodes.lengths)} episodes with sampled actions: return "
        f"{_signed(learned.return_mean, 1)} (optimum {_signed(best.return_mean, 1)}), length "
        f"{learned.length_mean:.1f} ({best.length_mean:.1f}), a goal in "
        f"{learned.any_goal:.0%} ({best.any_goal:.0%}). "
        "Lines: sampled episodes, coloured by the goal reached, grey where none is; dots: sampled actions.",
        fontsize=9,
    )
    return figure


def overview(examined: Sequence[Examined]) -> Figure:
    """Draws episodes and goals of several runs, a column each, four columns in a row."""
    columns = min(4, len(examined))
    bands = math.ceil(len(examined) / columns)
    figure, axes = panels(2 * bands, columns, (3.1, 2.7))
    for unused in axes.T.reshape(columns, bands, 2).transpose(1, 0, 2).reshape(-1, 2)[len(examined) :].flat:
        unused.remove()
    for index, each in enumerate(examined):
        above = axes[2 * (index // columns), index % columns]
        _trajectories(above, each.run.test, each.learned.episodes)
        learned, best = each.learned.numbers, each.optimal.numbers
        above.set_title(
            f"{each.run.name}\nα = {each.run.temperature:g}: return {_signed(learned.return_mean)}, "
            f"optimum {_signed(best.return_mean)}",
            fontsize=8.5,
        )
        _goal_bars(axes[2 * (index // columns) + 1, index % columns], each, legend=index == 0)
    return figure


def optima_picture(found: Sequence[tuple[World, Optimal]]) -> Figure:
    """Draws the optima's episodes: a world a row, a temperature a column, the last with the wall too."""
    worlds = list(dict.fromkeys(world.name for world, _ in found))
    rows = [[(world, each, False) for world, each in found if world.name == name] for name in worlds]
    rows.append([(world, each, True) for world, each, _ in rows[-1]])
    columns = max(len(row) for row in rows)
    figure, axes = panels(len(rows), columns, (2.4, 2.6))
    for line, row in zip(axes, rows, strict=True):
        for unused in line[len(row) :]:
            unused.remove()
        for one, (world, each, walled) in zip(line, row, strict=False):
            _trajectories(one, world.walled if walled else world.task, each.walled if walled else each.free)
            values = each.row
            title = f"α = {values['temperature']:g}, γ = {values['discount']:g}"
            if one is line[0]:
                one.set_ylabel(f"{world.name}\n$s_2$", fontsize=8, labelpad=1)
            if walled:
                text = f"hit by {values['hit_share']:.0%}, then a goal {values['success_after_hit']:.0%}"
            else:
                shares = [values[f"goal_{goal}"] for goal in range(len(world.task.goals))]
                text = " / ".join(f"{100 * share:.0f}" for share in (*shares, 1 - values["any_goal"])) + " %"
            one.set_title(f"{title}\n{text}", fontsize=8)
    figure.supxlabel(
        "The first hundred sampled episodes, coloured by the goal reached, grey where none is. Shares of the "
        "goals, the last of none. Bottom: the same policies where there is a wall that they do not know.",
        fontsize=9,
    )
    return figure


def _behaviour_row(row: Sequence[Axes], behaviour: Behaviour, each: Examined, name: str) -> None:
    episodes, critics = row[0], row[1:4]
    _trajectories(episodes, each.run.test, behaviour.episodes)
    episodes.set_title(f"{name}\nreturn {_signed(behaviour.numbers.return_mean)}", fontsize=9)
    # The same levels below the best action for both, so that shapes compare.
    both = [part.q_values for part in (each.learned, each.optimal) if part.q_values is not None]
    depths = [max(float(np.ptp(values[i])) for values in both) for i in range(len(Q_STATES))]
    for i, (axes, state) in enumerate(zip(critics, Q_STATES, strict=True)):
        if behaviour.q_values is not None:
            values = behaviour.q_values[i].T
            nodes = np.linspace(-1, 1, len(values))
            levels = np.linspace(-depths[i], 0, 15)
            axes.contourf(nodes, nodes, values - values.max(), levels=levels, cmap="Blues", alpha=0.8)
            axes.contour(
                nodes, nodes, values - values.max(), levels=levels,
                colors="#555555", linewidths=0.5, linestyles="-",
            )  # fmt: skip
        points = behaviour.q_actions[i]
        axes.scatter(points[:, 0], points[:, 1], s=6, color=_SAMPLES, alpha=0.7, linewidths=0, zorder=4)
        what = (
            f"{'Q' if name == 'learned' else 'Q*'}(s, ·)" if behaviour.q_values is not None else "no critic"
        )
        where = ", ".join(_signed(x) if x == round(x) else _signed(x, 1) for x in state)
        axes.set_title(f"{name}: {what},\ns = ({where})", fontsize=9)
        axes.grid(False)
        axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
        axes.locator_params(nbins=5)
        axes.set_xlabel("$a_1$", fontsize=8, labelpad=1)
        axes.set_ylabel("$a_2$", fontsize=8, labelpad=1)


def _trajectories(axes: Axes, task: MultiGoalTask, episodes: Episodes) -> None:
    draw_plane(axes, task)
    axes.grid(False)
    for states, goal in list(zip(episodes.states, episodes.goal, strict=True))[:_EPISODES]:
        axes.plot(states[:, 0], states[:, 1], color=_goal_colour(goal), linewidth=0.7, alpha=0.5, zorder=3)
    for index, (x, y) in enumerate(task.goals):
        axes.plot(x, y, "*", markersize=8, color=_goal_colour(index), markeredgewidth=0, zorder=7)
    _plane_labels(axes)


def _goal_bars(axes: Axes, each: Examined, legend: bool = True) -> None:
    goals = each.run.test.goals
    greedy = episode_numbers(each.greedy, len(goals))
    groups = {"learned": each.learned.numbers, "greedy": greedy, "optimum": each.optimal.numbers}
    places = np.arange(len(goals) + 1)
    for index, (name, numbers) in enumerate(groups.items()):
        shares = [*numbers.goal_shares, 1 - numbers.any_goal]
        axes.bar(places + 0.27 * (index - 1), shares, 0.25, color=_BARS[name], label=name, linewidth=0)
    labels = [f"({x:g}, {y:g})".replace("-", "−") for x, y in goals]
    colours = [_goal_colour(goal) for goal in range(len(goals))]
    axes.set_xticks(places, [*labels, "none"], fontsize=7.5)
    for label, colour in zip(axes.get_xticklabels(), [*colours, _NONE], strict=True):
        label.set_color(colour)
    axes.set_ylabel("share of episodes", fontsize=8)
    # Room for the legend above the highest bar that there can be.
    axes.set_ylim(0, 1.2)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(axis="x", visible=False)
    axes.set_title("goals reached", fontsize=9)
    if legend:
        axes.legend(
            fontsize=7.5, frameon=False, loc="upper center", ncols=3,
            columnspacing=1.0, handlelength=1.0, handletextpad=0.4,
        )  # fmt: skip


def _entropy_maps(figure: Figure, axes: Sequence[Axes], each: Examined) -> None:
    maps = (each.learned.entropy_map, each.optimal.entropy_map)
    low = max(_LOWEST_ENTROPY, min(float(values.min()) for values in maps))
    high = max(float(np.max(maps)), low + 0.1)
    for one, name, behaviour, values in zip(
        axes, ("learned", "optimum"), (each.learned, each.optimal), maps, strict=True
    ):
        drawn = _map(one, each.run.test, np.clip(values, low, high), low, high, "viridis")
        one.set_title(f"{name}: entropy Ĥ, nats\nalong episodes {_signed(behaviour.entropy, 2)}", fontsize=9)
        figure.colorbar(drawn, ax=one, shrink=0.75).ax.tick_params(labelsize=7)


def _roughness_maps(figure: Figure, axes: Sequence[Axes], each: Examined) -> None:
    learned, best = each.learned, each.optimal
    assert best.gradient_map is not None
    wanted = (
        ("learned", "M_1", learned.gradient_map, learned.gradient),
        ("learned", "M_2", learned.curvature_map, learned.curvature),
        ("optimum", "M_1", best.gradient_map, best.gradient),
    )
    for one, (name, symbol, values, mean) in zip(axes, wanted, strict=True):
        title = f"{name}: ${symbol}$ of {'Q' if name == 'learned' else 'Q*'}"
        if values is None:
            one.set_title(f"{title}\nno critic", fontsize=9)
            one.set_axis_off()
            continue
        peers = [values]
        if symbol == "M_1":
            peers = [part for part in (learned.gradient_map, best.gradient_map) if part is not None]
        high = float(np.quantile(np.concatenate([part.ravel() for part in peers]), 0.98))
        drawn = _map(one, each.run.test, values, 0.0, max(high, 1e-9), "magma")
        one.set_title(f"{title}\nalong episodes {mean:.3g}", fontsize=9)
        figure.colorbar(drawn, ax=one, shrink=0.75, extend="max").ax.tick_params(labelsize=7)


def _map(axes: Axes, task: MultiGoalTask, values: np.ndarray, low: float, high: float, colours: str) -> Any:
    """Draws values `[g, g]`, first axis s₁, with the goals and the wall."""
    count = len(values)
    half = 7 * (1 + 1 / (count - 1))
    drawn = axes.imshow(
        values.T, origin="lower", extent=(-half, half, -half, half), vmin=low, vmax=high, cmap=colours
    )
    from matplotlib.patches import Circle

    for goal in task.goals:
        axes.add_patch(Circle(goal, task.goal_threshold, fill=False, color="white", linewidth=1))
    if task.wall is not None:
        axes.plot(*task.wall.T, color="white", linewidth=2)
    axes.grid(False)
    axes.set(xlim=(-7, 7), ylim=(-7, 7))
    _plane_labels(axes)
    return drawn


def _goal_colour(goal: int) -> str:
    return _GOALS[goal % len(_GOALS)] if goal >= 0 else _NONE


def _signed(number: float, digits: int = 0) -> str:
    """Returns a number with a minus of the same width as on the axes."""
    return f"{number:.{digits}f}".replace("-", "−")


def _plane_labels(axes: Axes) -> None:
    plain(axes)
    axes.grid(False)
    axes.locator_params(nbins=5)
    axes.set_xlabel("$s_1$", fontsize=8, labelpad=1)
    axes.set_ylabel("$s_2$", fontsize=8, labelpad=1)
