"""A point on a plane with several equally good goals: which of them does a policy keep visiting?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from expol_tf.environments.tasks.arguments import number, points
from expol_tf.environments.tasks.array_task import ArrayTaskEnv, TaskStep, Transition
from expol_tf.environments.tasks.point_geometry import crosses
from expol_tf.environments.tasks.point_pictures import draw_episodes, draw_plane
from expol_tf.errors import ConfigurationError

# The plane is [−7, 7]² and the wall of `obstacle=True` a segment on it.
PLANE_HALF_WIDTH = 7.0
WALL = np.array([(-2.0, 0.0), (0.0, 2.0)])
FOUR_GOALS = ((5.0, 0.0), (-5.0, 0.0), (0.0, 5.0), (0.0, -5.0))
THREE_GOALS = ((5.0, 0.0), (-4.0, 3.0), (-4.0, -3.0))


class MultiGoalTask:
    """s′ = clip(s + a), r = −c_a‖a‖² − c_d min_g ‖s′ − g‖² + b·1[min_g ‖s′ − g‖ < threshold].

    s ∈ [−7, 7]², a ∈ [−1, 1]². An episode ends when a goal is reached. A move that touches the wall leaves s
    as it is (s′ = s) and still pays for its action. `Transition.info` holds `goal`, the index of the goal
    that was reached or −1, and `hit_obstacle`, whether the move touched the wall.

    Attributes:
      goals: Goals g, `[G, 2]`.
      wall: The two ends of the wall, `[2, 2]`; None without a wall.
      goal_threshold: Radius of the goals.
    """

    def __init__(
        self,
        goals: npt.ArrayLike,
        initial_std: float,
        goal_threshold: float,
        action_cost: float = 30.0,
        distance_cost: float = 1.0,
        goal_reward: float = 10.0,
        obstacle: bool = False,
    ):
        """Makes the task; `MultiGoal` describes the arguments."""
        self.goals = points(goals, "goals", "the plane", PLANE_HALF_WIDTH)
        self.initial_std = number(initial_std, "initial_std", 0.0)
        self.goal_threshold = number(goal_threshold, "goal_threshold", 0.0, excluded=True)
        self.action_cost = number(action_cost, "action_cost", 0.0)
        self.distance_cost = number(distance_cost, "distance_cost", 0.0)
        self.goal_reward = number(goal_reward, "goal_reward", -np.inf)
        if not isinstance(obstacle, bool | np.bool_):
            raise ConfigurationError(f"obstacle must be True or False; got {obstacle!r}.")
        self.wall = WALL if obstacle else None
        self.observation_space = spaces.Box(-PLANE_HALF_WIDTH, PLANE_HALF_WIDTH, (2,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def initial_state(self, generator: np.random.Generator) -> np.ndarray:
        """Draws s₀ ~ N(0, initial_std²·I), `[2]`."""
        drawn = self.initial_std * generator.standard_normal(2)
        # Even a wide start lies on the plane, in the box that the observation space promises.
        return np.clip(drawn, -PLANE_HALF_WIDTH, PLANE_HALF_WIDTH)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Returns the states themselves."""
        return state

    def transition(self, state: np.ndarray, action: np.ndarray) -> Transition:
        """Returns the results of actions `[n, 2]` in states `[n, 2]`."""
        after = np.clip(state + action, -PLANE_HALF_WIDTH, PLANE_HALF_WIDTH)
        hit = self.blocked(state, after)
        # A move into the wall leaves the point where it was, rather than at the wall.
        after = np.where(hit[:, np.newaxis], state, after)
        # Squares are written out, because a matrix product's rounding depends on the number of rows.
        squares = self._squared_distances(after)
        nearest = squares.min(axis=0)
        reached = nearest < self.goal_threshold**2
        effort = action[:, 0] ** 2 + action[:, 1] ** 2
        bonus = np.where(reached, self.goal_reward, 0.0)
        reward = -self.action_cost * effort - self.distance_cost * nearest + bonus
        goal = np.where(reached, squares.argmin(axis=0), -1)
        return Transition(after, reward, reached, {"goal": goal, "hit_obstacle": hit})

    def blocked(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Returns where the segments from `start` to `end`, `[..., 2]` each, touch the wall, bool `[...]`."""
        if self.wall is None:
            return np.zeros(np.broadcast_shapes(start.shape, end.shape)[:-1], bool)
        return crosses(start, end, *self.wall)

    def distance_reward(self, state: np.ndarray) -> np.ndarray:
        """Returns −c_d min_g ‖s − g‖² `[...]` of states `[..., 2]`, the term of r that pictures show."""
        return -self.distance_cost * self._squared_distances(state).min(axis=0)

    def draw(self, axes: Any, steps: Sequence[TaskStep]) -> None:
        """Draws the plane and the last episodes, with older ones paler."""
        draw_plane(axes, self)
        draw_episodes(axes, [step.state for step in steps], [step.next_state for step in steps])

    def _squared_distances(self, state: np.ndarray) -> np.ndarray:
        """Returns ‖s − g‖², `[G, ...]`."""
        return np.stack([(state[..., 0] - x) ** 2 + (state[..., 1] - y) ** 2 for x, y in self.goals])


class MultiGoal(ArrayTaskEnv, RecordConstructorArgs):
    """`expol/MultiGoal-v0`: a point reaches one of four goals, all equally good; 30 steps.

    s′ = clip(s + a), r = −30‖a‖² − min_g ‖s′ − g‖² + 10·1[min_g ‖s′ − g‖ < 1]. Returns of several hundred
    below zero are normal. A policy that maximizes reward and entropy goes to all goals equally often. A
    policy that commits to a mode early goes to one.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, §5.1. The
    reward is that of the authors' code; their text says that it is a mixture of Gaussians.

    Attributes:
      task: The task's functions. They take many points at once, as in `task.transition(states, actions)`.
    """

    task: MultiGoalTask

    def __init__(
        self,
        goals: npt.ArrayLike = FOUR_GOALS,
        initial_std: float = 0.1,
        goal_threshold: float = 1.0,
        action_cost: float = 30.0,
        distance_cost: float = 1.0,
        goal_reward: float = 10.0,
        obstacle: bool = False,
        render_mode: str | None = None,
    ):
        """Makes the task. Its time limit is the argument `max_episode_steps` of `gymnasium.make`.

        Args:
          goals: Goals g, any number of points in [−7, 7]², `[G, 2]`.
          initial_std: Standard deviation of s₀ in each direction. 0 starts at the origin.
          goal_threshold: Distance to a goal below which it is reached and the episode ends.
          action_cost: Weight c_a of ‖a‖².
          distance_cost: Weight c_d of the squared distance to the nearest goal.
          goal_reward: Reward b for reaching a goal.
          obstacle: Whether there is a wall from (−2, 0) to (0, 2). A move that touches it leaves the state as
            it is, still pays for its action, and is reported in `info["hit_obstacle"]`.
          render_mode: "rgb_array" to make pictures, else None.

        Raises:
          ConfigurationError: If an argument breaks its rule.
        """
        arguments: dict[str, Any] = dict(
            goals=goals,
            initial_std=initial_std,
            goal_threshold=goal_threshold,
            action_cost=action_cost,
            distance_cost=distance_cost,
            goal_reward=goal_reward,
            obstacle=obstacle,
        )
        RecordConstructorArgs.__init__(self, **arguments, render_mode=render_mode)
        super().__init__(MultiGoalTask(**arguments), render_mode)


class AsymmetricMultiGoal(MultiGoal):
    """`expol/AsymmetricMultiGoal-v0`: two goals on the left, one on the right, all at distance 5; 30 steps.

    Episodes start exactly at the origin. The rest is as in `MultiGoal`.

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    §4.2, Figures 6 and 7.
    """

    def __init__(
        self,
        goals: npt.ArrayLike = THREE_GOALS,
        initial_std: float = 0.0,
        goal_threshold: float = 0.5,
        **arguments: Any,
    ):
        """Makes the task; the other arguments of `MultiGoal` have its defaults."""
        super().__init__(goals, initial_std, goal_threshold, **arguments)
