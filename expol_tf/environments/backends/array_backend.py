"""Tasks written as array arithmetic: one call steps all sub-environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from expol_tf.configurable import configurable
from expol_tf.environments.backends.state_rows import StateRowsBackend
from expol_tf.environments.tasks import ArrayTask, ArrayTaskEnv, task_calls
from expol_tf.environments.wrapper_chain import peel_time_limit
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import NumEnvs, SeedNumber


def supports(env: gymnasium.Env) -> bool:
    """Returns whether `env` is an `ArrayTaskEnv`, perhaps with a time limit, that steps as its task says."""
    inner, _ = peel_time_limit(env)
    own = (ArrayTaskEnv.reset, ArrayTaskEnv.step)
    return isinstance(inner, ArrayTaskEnv) and (type(inner).reset, type(inner).step) == own


@configurable
class ArrayVectorEnvironment(StateRowsBackend):
    """N copies of an `ArrayTask` as rows of one array of states.

    Its numbers are those of `SyncVectorEnvironment` with the same task and seed, bit for bit.

    Attributes:
      info: The task's info of the last step: name → array `[N, ...]`, zero where a sub-environment was not
        stepped. Empty before the first step and for tasks without info.
    """

    def __init__(
        self, env: gymnasium.Env, num_envs: NumEnvs, seed: SeedNumber | None = None, task: str | None = None
    ):
        """Makes `num_envs` copies of the task of `env`.

        Args:
          env: An environment that `supports` accepts. All sub-environments have its parameters.
          num_envs: Number of sub-environments N.
          seed: Seed of all sub-environments, see `sub_environment_seeds`; None draws one.
          task: The task's name; None takes the name of its class.

        Raises:
          ConfigurationError: If `env` is of another kind.
          TaskError: If the task's first state is no array of rank 1.
        """
        if not isinstance(peel_time_limit(env)[0], ArrayTaskEnv):
            raise ConfigurationError(
                f"env must be an ArrayTaskEnv, perhaps with a time limit; got {env}. Use load_vector."
            )
        super().__init__(env, num_envs, seed, task)
        self.info: Mapping[str, np.ndarray] = {}
        self._task: ArrayTask = self._inner.task
        self._shows = self._inner.render_mode is not None
        # Only the state's size is wanted, so no sub-environment's generator may be used up for it.
        state = task_calls.initial_state(self._task, np.random.default_rng(0))
        self._states = np.zeros((num_envs, state.size))

    def _advance(self, actions: np.ndarray, active: np.ndarray | None) -> None:
        arrays = self._arrays
        # In double precision, as `ArrayTaskEnv.step` has them, so that both give the same bits.
        actions = actions.astype(np.float64)
        rows: Any = slice(None) if active is None else np.flatnonzero(active)
        before = self._states[0].copy() if self._shows else None
        result = task_calls.transition(self._task, self._states[rows], actions[rows])
        self._elapsed += 1 if active is None else active
        self._states[rows] = result.state
        self.info = self._spread(result.info or {}, rows)
        arrays.next_observation[rows] = task_calls.observe(self._task, result.state)
        arrays.reward[rows] = result.reward
        arrays.terminated[rows] = result.terminated
        arrays.truncated[rows] = self._elapsed[rows] >= self._max_steps
        # Pictures are of the first sub-environment only.
        if before is not None and (active is None or active[0]):
            self._inner.record(before, actions[0], self._states[0])

    def _draw_states(self, rows: list[int]) -> np.ndarray:
        task_calls.draw_states(self._task, self._generators, rows, self._states)
        return task_calls.observe(self._task, self._states[rows])

    def _spread(self, info: Mapping[str, np.ndarray], rows: Any) -> Mapping[str, np.ndarray]:
        """Returns `info` of the stepped rows as arrays of all N, zero in the other rows."""
        if isinstance(rows, slice):
            return info
        spread = {}
        for name, values in info.items():
            spread[name] = np.zeros((self.num_envs, *values.shape[1:]), values.dtype)
            spread[name][rows] = values
        return spread
