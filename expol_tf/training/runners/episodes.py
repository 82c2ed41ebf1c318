"""Environments with the episodes that run in them, and statistics of those that ended."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import tensorflow as tf

from expol_tf.environments import VectorEnvironment, VectorStep, checked_reset, checked_step
from expol_tf.saved_states import require_saved

_ENVIRONMENT_PREFIX = "environment/"
# Of so many episodes the mean return is shown.
RECENT_EPISODES = 100
# What to do with a state that does not fit.
REMEDY = "Resume with the run's own configuration and num_envs."


class RunningEpisodes:
    """Steps batched environments and adds up the episodes that run in them; their state can be saved.

    Args:
      env: Batched environments; reset here.

    Attributes:
      env: The environments.
      observation: The observations to act on next, `[N, O]`; the environments' array, overwritten by a step.
    """

    def __init__(self, env: VectorEnvironment) -> None:
        self.env = env
        self.observation = checked_reset(env)
        # In double precision, as a return adds up thousands of rewards.
        self._return = np.zeros(env.num_envs)
        self._length = np.zeros(env.num_envs, np.int64)
        self._returns: list[float] = []
        self._lengths: list[int] = []

    def step(self, action: np.ndarray) -> tuple[VectorStep, np.ndarray | None]:
        """Steps all environments; returns the step and whose episodes ended, bool `[N]` or None if none."""
        step = checked_step(self.env, action)
        self.observation = step.observation
        self._return += step.reward
        self._length += 1
        ended = step.terminated | step.truncated
        if not ended.any():
            return step, None
        self._returns += self._return[ended].tolist()
        self._lengths += self._length[ended].tolist()
        self._return[ended] = 0.0
        self._length[ended] = 0
        return step, ended

    def take_finished(self) -> tuple[list[float], list[int]]:
        """Returns the returns and lengths of the episodes that ended since the last call."""
        finished = self._returns, self._lengths
        self._returns, self._lengths = [], []
        return finished

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the environments' state and the episodes', copied; only ended ones if need be."""
        state: dict[str, np.ndarray] = {}
        if self._returns:
            state["finished_return"], state["finished_length"] = (
                np.array(self._returns),
                np.array(self._lengths),
            )
        if not self.env.can_save_state:
            return state
        state |= {_ENVIRONMENT_PREFIX + name: value for name, value in self.env.get_state().items()}
        state["episode_return"], state["episode_length"] = self._return.copy(), self._length.copy()
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> bool:
        """Restores what `get_state` returned; without environments' state keeps the present ones: False.

        Raises:
          CheckpointError: If it is the state of other environments.
        """
        require_saved(state, {}, "the episodes", REMEDY)
        goes_on = any(name.startswith((_ENVIRONMENT_PREFIX, "episode_")) for name in state)
        like = {"episode_return": self._return, "episode_length": self._length} if goes_on else {}
        if "finished_return" in state or "finished_length" in state:
            number = np.size(state.get("finished_return", ()))
            like |= {"finished_return": np.zeros(number), "finished_length": np.zeros(number, np.int64)}
        require_saved(state, like, "the episodes", REMEDY)
        if goes_on:
            self.env.set_state(entries_below(_ENVIRONMENT_PREFIX, state))
        self._returns = np.array(state.get("finished_return", [])).tolist()
        self._lengths = np.array(state.get("finished_length", []), np.int64).tolist()
        if not goes_on:
            return False
        # The environments' own array, which steps overwrite, and not a copy of it.
        self.observation = self.env.current_observation()
        self._return = np.array(state["episode_return"])
        self._length = np.array(state["episode_length"])
        return True


def entries_below(prefix: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the entries whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def begun_anew(initial: Any, state: Any, ended: np.ndarray) -> Any:
    """Returns a policy's `state`, `initial` for those sub-environments whose episodes ended, bool `[N]`."""

    def chosen(initial: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        return tf.where(ended.reshape([-1, *[1] * (initial.shape.rank - 1)]), initial, state)

    return tf.nest.map_structure(chosen, initial, state)


class EpisodeStatistics:
    """Returns and lengths of finished episodes: those since the last row, and the last hundred.

    Everything is plain numbers, so that a checkpoint holds it exactly.
    """

    def __init__(self, window: int = RECENT_EPISODES) -> None:
        self.episodes = 0
        self.recent: collections.deque[float] = collections.deque(maxlen=window)
        self._returns: list[float] = []
        self._lengths: list[int] = []

    def add(self, returns: list[float], lengths: list[int]) -> None:
        """Adds episodes that ended: returns and lengths, in the same order."""
        self.episodes += len(returns)
        self.recent.extend(returns)
        self._returns += returns
        self._lengths += lengths

    def row(self) -> dict[str, float | int | None]:
        """Returns the columns of the episodes since the last call, empty cells if there were none."""
        row = {
            "episode_return_mean": float(np.mean(self._returns)) if self._returns else None,
            "episode_length_mean": float(np.mean(self._lengths)) if self._lengths else None,
            "episodes": self.episodes,
        }
        self._returns, self._lengths = [], []
        return row

    @property
    def recent_return(self) -> float | None:
        """Mean return of the last hundred episodes, None before the first has ended."""
        return float(np.mean(self.recent)) if self.recent else None

    def get_state(self) -> dict[str, Any]:
        """Returns everything as JSON values."""
        return {
            "episodes": self.episodes,
            "recent": list(self.recent),
            "returns": self._returns,
            "lengths": self._lengths,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned."""
        self.episodes = state["episodes"]
        self.recent.clear()
        self.recent.extend(state["recent"])
        self._returns, self._lengths = list(state["returns"]), list(state["lengths"])
