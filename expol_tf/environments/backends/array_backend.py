"""Tasks of array arithmetic, all sub-environments stepped at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gin
import gymnasium
import numpy as np

from expol_tf.environments import simulator_state
from expol_tf.environments.rendering import rendered
from expol_tf.environments.seeds import sub_environment_seeds
from expol_tf.environments.backends.step_arrays import StepArrays
from expol_tf.environments.tasks import ArrayTaskEnv
from expol_tf.environments.vector_environment import VectorStep
from expol_tf.environments.wrapper_chain import peel_time_limit
from expol_tf.errors import CheckpointError, ConfigurationError


def supports(env: gymnasium.Env) -> bool:
    """Returns whether `env` is an `ArrayTaskEnv`, but for a time limit, that steps as its task says."""
    inner, _ = peel_time_limit(env)
    own = (ArrayTaskEnv.reset, ArrayTaskEnv.step)
    return isinstance(inner, ArrayTaskEnv) and (type(inner).reset, type(inner).step) == own


@gin.configurable(module="expol_tf")
class ArrayVectorEnvironment:
    """N copies of an `ArrayTask` as rows of one array of states.

    Implements `VectorEnvironment`. Equal, bit for bit, to `SyncVectorEnvironment` of the same task and seed.

    Attributes:
      info: The task's info of the last step, an array `[N, ...]` each, zero where a sub-environment was not
        stepped; empty before the first step and for tasks that have none.
    """

    can_save_state = True

    def __init__(self, env: gymnasium.Env, num_envs: int, seed: int | None = None, task: str | None = None):
        """Makes `num_envs` copies of the task of `env`.

        Args:
          env: An environment that `supports` accepts; its parameters are used for all.
          num_envs: N.
          seed: Seed of all of them, see `sub_environment_seeds`; used at the first reset only.
          task: The task's name; by default its class.

        Raises:
          ConfigurationError: If `env` is of another kind.
        """
        inner, limit = peel_time_limit(env)
        if not isinstance(inner, ArrayTaskEnv):
            raise ConfigurationError(
                f"env must be an ArrayTaskEnv, perhaps with a time limit; got {env}. Use load_vector."
            )
        self._env, self._inner, self._task = env, inner, inner.task
        self.num_envs = num_envs
        self.task = task or type(inner).__name__
        self._arrays = StepArrays(self.task, num_envs, env.observation_space, env.action_space)
        self.observation_spec = self._arrays.observation_spec
        self.action_spec = self._arrays.action_spec
        self._max_steps = limit._max_episode_steps if limit else np.iinfo(np.int64).max
        self._elapsed = np.zeros(num_envs, np.int64)
        self.info: Mapping[str, np.ndarray] = {}
        self._seeds: list[int] | None = sub_environment_seeds(seed, num_envs)
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._states = np.zeros((num_envs, self._task.initial_state(np.random.default_rng(0)).size))

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""
        if self._seeds is not None:
            self._generators = [gymnasium.utils.seeding.np_random(seed)[0] for seed in self._seeds]
            self._seeds = None
        self._reset(list(range(self.num_envs)))
        return self._arrays.started()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments (where `active`)."""
        arrays = self._arrays
        boxed = arrays.boxed(actions, active).astype(np.float64)
        rows: Any = slice(None) if active is None else np.flatnonzero(active)
        before = self._states[0].copy()
        result = self._task.transition(self._states[rows], boxed[rows])
        self._elapsed[rows] += 1
        self._states[rows] = result.state
        self.info = self._spread(result.info or {}, rows)
        if active is not None:
            arrays.clear()
        arrays.next_observation[rows] = self._task.observe(result.state)
        arrays.reward[rows] = result.reward
        arrays.terminated[rows] = result.terminated
        arrays.truncated[rows] = self._elapsed[rows] >= self._max_steps
        if active is None or active[0]:
            self._inner.record(before, boxed[0], self._states[0])
        np.copyto(arrays.observation, arrays.next_observation)
        finished = arrays.finished()
        ended = arrays.ended()
        if ended:
            self._reset(ended)
        arrays.restarted(ended)
        return finished

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`."""
        return self._arrays.observation

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the states, counters and generators, stacked over the sub-environments."""
        return {
            "states": self._states.copy(),
            "elapsed_steps": self._elapsed.copy(),
            "np_random": np.stack([simulator_state.generator_state(g) for g in self._generators]),
            "observation": self._arrays.observation.copy(),
            "num_steps": np.array(self._arrays.num_steps or 0),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CheckpointError: If the state is that of other environments.
        """
        saved, expected = np.shape(state.get("states", ())), self._states.shape
        if saved != expected:
            raise CheckpointError(
                f"The saved states of {self.task} have shape {saved}, but num_envs and the task need "
                f"{expected}. Resume with the run's own num_envs and task."
            )
        self._seeds = None
        self._states[:] = state["states"]
        self._elapsed[:] = state["elapsed_steps"]
        for generator, saved_generator in zip(self._generators, state["np_random"], strict=True):
            simulator_state.set_generator_state(generator, saved_generator)
        np.copyto(self._arrays.observation, state["observation"])
        self._arrays.num_steps = int(state["num_steps"])

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        return rendered(self._inner, self.task)

    def close(self) -> None:
        """Closes the environment that it was made from."""
        self._env.close()

    def _spread(self, info: Mapping[str, np.ndarray], rows: Any) -> Mapping[str, np.ndarray]:
        if isinstance(rows, slice):
            return info
        spread = {}
        for name, values in info.items():
            spread[name] = np.zeros((self.num_envs, *values.shape[1:]), values.dtype)
            spread[name][rows] = values
        return spread

    def _reset(self, indices: list[int]) -> None:
        for i in indices:
            self._states[i] = self._task.initial_state(self._generators[i])
        self._elapsed[indices] = 0
        self._arrays.observation[indices] = self._task.observe(self._states[indices])
