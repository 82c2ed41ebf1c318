"""Episodes on the tasks with several goals, many at once, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from expol_tf.environments import MultiGoalTask
from expol_tf.errors import ConfigurationError

# Observations [N, 2] float32 → actions [N, 2].
Act = Callable[[np.ndarray], np.ndarray]


class Episodes(NamedTuple):
    """E episodes of at most T steps.

    Attributes:
      states: `[E, T + 1, 2]`, NaN after an episode's end.
      actions: `[E, T, 2]`, as the task saw them; NaN after the end.
      returns: Undiscounted, `[E]`.
      lengths: Steps, `[E]`.
      goal: Index of the goal reached, −1 for none, `[E]`.
      hit: Whether the wall was ever hit, bool `[E]`.
    """

    states: np.ndarray
    actions: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    goal: np.ndarray
    hit: np.ndarray

    def visited(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns all states `[K, 2]` in which actions `[K, 2]` were taken, and these."""
        taken = np.isfinite(self.actions[..., 0])
        return self.states[:, :-1][taken], self.actions[taken]


class EpisodeNumbers(NamedTuple):
    """What E episodes amount to.

    Attributes:
      goal_shares: Share of the episodes that reached each goal, `[G]`.
      any_goal: Share that reached one.
      return_mean, return_std: Mean and standard deviation (divided by E) of the undiscounted return.
      length_mean: In steps.
      hit_share: Share that hit the wall.
      success_after_hit: Share of those that reached a goal all the same; NaN if none hit it.
    """

    goal_shares: np.ndarray
    any_goal: float
    return_mean: float
    return_std: float
    length_mean: float
    hit_share: float
    success_after_hit: float


def rollouts(task: MultiGoalTask, act: Act, num_episodes: int, seed: int, max_steps: int = 30) -> Episodes:
    """Runs episodes side by side; the same seed gives the same first states.

    Args:
      task: The physics.
      act: The policy; asked about the episodes that have not ended.
      num_episodes: E.
      seed: Seeds the first states.
      max_steps: T, where episodes are cut off.
    """
    if num_episodes < 1 or max_steps < 1:
        raise ConfigurationError(
            f"num_episodes and max_steps must be 1 or more; got {num_episodes} and {max_steps}."
        )
    generator = np.random.default_rng(seed)
    state = np.stack([task.initial_state(generator) for _ in range(num_episodes)])
    states = np.full((num_episodes, max_steps + 1, 2), np.nan)
    actions = np.full((num_episodes, max_steps, 2), np.nan)
    states[:, 0] = state
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, np.int64)
    goal, hit = np.full(num_episodes, -1), np.zeros(num_episodes, bool)
    running = np.arange(num_episodes)
    for t in range(max_steps):
        action = np.asarray(act(task.observe(state).astype(np.float32)), np.float64)
        action = np.clip(action, task.action_space.low, task.action_space.high)
        step = task.transition(state, action)
        assert step.info is not None
        states[running, t + 1], actions[running, t] = step.state, action
        returns[running] += step.reward
        lengths[running] += 1
        hit[running] |= step.info["hit_obstacle"]
        goal[running] = step.info["goal"]
        running, state = running[~step.terminated], step.state[~step.terminated]
        if not len(running):
            break
    return Episodes(states, actions, returns, lengths, goal, hit)


def episode_numbers(episodes: Episodes, num_goals: int) -> EpisodeNumbers:
    """Returns shares, means and deviations of episodes with `num_goals` goals."""
    reached = episodes.goal >= 0
    shares = np.array([np.mean(episodes.goal == goal) for goal in range(num_goals)])
    return EpisodeNumbers(
        goal_shares=shares,
        any_goal=float(reached.mean()),
        return_mean=float(episodes.returns.mean()),
        return_std=float(episodes.returns.std()),
        length_mean=float(episodes.lengths.mean()),
        hit_share=float(episodes.hit.mean()),
        success_after_hit=float(reached[episodes.hit].mean()) if episodes.hit.any() else float("nan"),
    )
