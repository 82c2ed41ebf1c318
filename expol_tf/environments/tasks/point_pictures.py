"""Pictures of a point that walks towards goals on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

_LEVELS = (-64, -49, -36, -25, -16, -9, -4, -1)
_GOAL = "#009E73"
_WALL = "#000000"
_EPISODE = "#0072B2"


class _Plane(Protocol):
    """What a picture needs of a task; `MultiGoalTask` has it."""

    goals: np.ndarray
    wall: np.ndarray | None
    goal_threshold: float

    def distance_reward(self, state: np.ndarray) -> np.ndarray:
        """Returns the rewards `[...]` for being near a goal in states `[..., 2]`."""


def draw_plane(axes: Any, plane: _Plane, half_width: float = 7.0) -> None:
    """Draws contours of the reward for being near a goal, the goals with their radius, and the wall.

    Args:
      axes: Matplotlib axes.
      plane: The task to draw.
      half_width: Half of the width of the plane.
    """
    from matplotlib.patches import Circle

    nodes = np.linspace(-half_width, half_width, 281)
    reward = plane.distance_reward(np.stack(np.meshgrid(nodes, nodes), axis=-1))
    # Only the levels that occur: which ones do depends on the costs and the goals.
    levels = [level for level in _LEVELS if reward.min() < level < reward.max()]
    if levels:
        axes.contourf(
            nodes, nodes, reward, levels=levels, extend="both", cmap="Greys_r", alpha=0.30, zorder=0
        )
        axes.contour(nodes, nodes, reward, levels=levels, colors="#888888", linewidths=0.5, linestyles="-")
    for goal in plane.goals:
        axes.add_patch(Circle(goal, plane.goal_threshold, color=_GOAL, alpha=0.35, linewidth=0, zorder=2))
        axes.plot(*goal, marker="*", markersize=9, color=_GOAL, markeredgewidth=0, zorder=5)
    if plane.wall is not None:
        axes.plot(*plane.wall.T, color=_WALL, linewidth=3, solid_capstyle="butt", zorder=4)
    axes.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width), aspect="equal")
    axes.set_xlabel("$s_1$")
    axes.set_ylabel("$s_2$")


def draw_episodes(axes: Any, states: Sequence[np.ndarray], next_states: Sequence[np.ndarray]) -> None:
    """Draws every episode as one line. The episodes before the last are paler.

    Args:
      axes: Matplotlib axes.
      states: The states in which the steps began, `[2]` each, oldest first.
      next_states: The states in which the steps ended, `[2]` each.
    """
    episodes: list[list[np.ndarray]] = []
    for state, after in zip(states, next_states, strict=True):
        # A step that does not begin where the last one ended begins another episode.
        if not episodes or not np.array_equal(episodes[-1][-1], state):
            episodes.append([state])
        episodes[-1].append(after)
    for index, episode in enumerate(episodes):
        x, y = np.stack(episode).T
        last = index == len(episodes) - 1
        axes.plot(
            x, y, "-", marker=".", markersize=4, linewidth=1.3,
            color=_EPISODE, alpha=1.0 if last else 0.35, zorder=6 if last else 3,
        )  # fmt: skip
        axes.plot(x[-1], y[-1], "o", markersize=5, color=_EPISODE, alpha=1.0 if last else 0.35, zorder=6)
