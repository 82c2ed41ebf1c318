"""The part of a vector environment that is the same for all simulations with one array of states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from expol_tf.environments.backends.backend import Backend
from expol_tf.environments.faults import task_error
from expol_tf.environments.wrapper_chain import peel_time_limit, step_limit
from expol_tf.random import sub_environment_seeds
from expol_tf.saved_states import generator_state, require_saved, set_generator_state


class StateRowsBackend(Backend):
    """N simulations whose states are the rows of one array, which makes saving them a copy.

    Sub-environment i has a generator and a step counter of its own, as if Gymnasium had made it. A subclass
    sets `_states`, writes `_advance`, and draws first states in `_draw_states`.
    """

    can_save_state = True
    # The name of the states in a checkpoint.
    _states_name = "states"
    # `[N, S]` float64.
    _states: np.ndarray

    def __init__(self, env: gymnasium.Env, num_envs: int, seed: int | None, task: str | None):
        """Takes the spaces and the time limit of `env`, which is closed with this one; see the subclasses."""
        inner, limit = peel_time_limit(env)
        super().__init__(task or type(inner).__name__, num_envs, env.observation_space, env.action_space)
        self._env = env
        self._inner: Any = inner
        self._max_steps = step_limit(limit)
        self._elapsed = np.zeros(num_envs, np.int64)
        seeds = sub_environment_seeds(seed, num_envs)
        # Made as `reset(seed=…)` makes them, so that first states are the same bit for bit.
        self._generators = [gymnasium.utils.seeding.np_random(env_seed)[0] for env_seed in seeds]

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the states, step counters and generators, stacked over the sub-environments."""
        return {
            self._states_name: self._states.copy(),
            "elapsed_steps": self._elapsed.copy(),
            "np_random": np.stack([generator_state(g) for g in self._generators]),
            **self._get_progress(),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CheckpointError: If the state is that of other environments.
        """
        remedy = "Resume with the run's own num_envs, task and package versions."
        require_saved(state, self.get_state(), self.task, remedy)
        # First, as these may be refused.
        for generator, saved_generator in zip(self._generators, state["np_random"], strict=True):
            set_generator_state(generator, saved_generator)
        self._states[:] = state[self._states_name]
        self._elapsed[:] = state["elapsed_steps"]
        self._set_progress(state)

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        return self._picture(self._inner)

    def close(self) -> None:
        """Closes the environment that this one was made from, and with it the renderer."""
        failed: BaseException | None = None
        try:
            self._env.close()
        except BaseException as error:
            failed = task_error(error, self.task, "close()")
        if failed is not None:
            self._raise_from_close(failed)

    def _restart(self, indices: Sequence[int]) -> None:
        # Not through the wrappers, none of which has a space of its own: that would take as long again.
        self._require_same_box(self._inner)
        rows = list(indices)
        self._elapsed[rows] = 0
        self._arrays.observation[rows] = self._draw_states(rows)

    def _draw_states(self, rows: list[int]) -> np.ndarray:
        """Draws the states in which episodes start; returns their observations `[len(rows), O]`."""
        raise NotImplementedError
