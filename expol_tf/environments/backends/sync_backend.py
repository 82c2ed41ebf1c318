"""Sub-environments stepped one after the other in this process."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import gymnasium
import numpy as np

from expol_tf.environments import simulator_state
from expol_tf.environments.rendering import rendered
from expol_tf.environments.seeds import sub_environment_seeds
from expol_tf.environments.backends.step_arrays import StepArrays
from expol_tf.environments.vector_environment import VectorStep
from expol_tf.environments.wrapper_chain import peel_time_limit
from expol_tf.errors import CapabilityError, SpaceError

_NO_LIMIT = np.iinfo(np.int64).max


@gin.configurable(module="expol_tf")
class SyncVectorEnvironment:
    """N Gymnasium environments in a loop, with arrays allocated once and same-step resets.

    Implements `VectorEnvironment`. Steps are those of the environments themselves, except that the TimeLimit
    that `gymnasium.make` puts outermost is counted for all of them at once. State can be saved where every
    layer is known to `simulator_state` or has `get_state` and `set_state` of its own.
    """

    def __init__(self, envs: Sequence[gymnasium.Env], seed: int | None = None, task: str | None = None):
        """Wraps `envs`, all of one task.

        Args:
          envs: The sub-environments, at least one.
          seed: Seed of all of them, see `sub_environment_seeds`; used at the first reset only.
          task: The task's name; by default the class of the first one.
        """
        self._envs = list(envs)
        self.num_envs = len(self._envs)
        first = self._envs[0]
        self.task = task or type(first.unwrapped).__name__
        self._arrays = StepArrays(self.task, self.num_envs, first.observation_space, first.action_space)
        self.observation_spec = self._arrays.observation_spec
        self.action_spec = self._arrays.action_spec
        self.can_save_state = all(simulator_state.can_save(env) for env in self._envs)
        self._seeds: list[int | None] = list(sub_environment_seeds(seed, self.num_envs))
        inner, self._limits = zip(*(peel_time_limit(env) for env in self._envs), strict=True)
        self._steps = [env.step for env in inner]
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._max_steps = np.array(
            [limit._max_episode_steps if limit else _NO_LIMIT for limit in self._limits], np.int64
        )

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""
        for i in range(self.num_envs):
            self._reset_one(i)
        return self._arrays.started()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments (where `active`)."""
        arrays = self._arrays
        boxed = arrays.boxed(actions, active)
        if active is None:
            indices: Sequence[int] = range(self.num_envs)
            self._elapsed += 1
        else:
            indices = np.flatnonzero(active).tolist()
            self._elapsed[indices] += 1
            arrays.clear()
        successor, reward = arrays.next_observation, arrays.reward
        terminated, truncated = arrays.terminated, arrays.truncated
        steps = self._steps
        for i in indices:
            successor[i], reward[i], terminated[i], truncated[i], _ = steps[i](boxed[i])
        np.logical_or(truncated, self._elapsed >= self._max_steps, out=truncated)
        np.copyto(arrays.observation, successor)
        result = arrays.finished()
        ended = arrays.ended()
        for i in ended:
            self._reset_one(i)
        arrays.restarted(ended)
        return result

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`."""
        return self._arrays.observation

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns all that decides the future, stacked over the sub-environments.

        Raises:
          CapabilityError: If some layer's state cannot be saved; names it.
        """
        self._require_saving()
        for limit, elapsed in zip(self._limits, self._elapsed.tolist(), strict=True):
            if limit is not None:
                limit._elapsed_steps = elapsed
        state = simulator_state.stack([simulator_state.get_state(env) for env in self._envs])
        state["observation"] = self._arrays.observation.copy()
        state["num_steps"] = np.array(self._arrays.num_steps or 0)
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CapabilityError: If some layer's state cannot be saved; names it.
          CheckpointError: If the state is that of other environments.
        """
        self._require_saving()
        if self._arrays.num_steps is None:
            self.reset()  # Tasks make some of their attributes only then.
        parts = simulator_state.unstack(state, self.num_envs, self.task)
        for env, part in zip(self._envs, parts, strict=True):
            simulator_state.set_state(env, part)
        self._elapsed[:] = [limit._elapsed_steps if limit else 0 for limit in self._limits]
        np.copyto(self._arrays.observation, state["observation"])
        self._arrays.num_steps = int(state["num_steps"])

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        return rendered(self._envs[0], self.task)

    def close(self) -> None:
        """Closes the sub-environments."""
        for env in self._envs:
            env.close()

    def _reset_one(self, i: int) -> None:
        observation, _ = self._envs[i].reset(seed=self._seeds[i])
        if np.shape(observation) != self.observation_spec.shape:
            raise SpaceError(
                f"The observation of {self.task} has shape {np.shape(observation)}, but its space says "
                f"{self.observation_spec.shape}. Mend the task, or the wrapper that changes only one of them."
            )
        self._arrays.observation[i] = observation
        self._elapsed[i] = 0
        self._seeds[i] = None

    def _require_saving(self) -> None:
        if not self.can_save_state:
            layer = next(layer for env in self._envs for layer in simulator_state.unknown_layers(env))
            raise CapabilityError(
                f"The state of {self.task} cannot be saved: {type(layer).__name__} has no get_state and "
                "set_state. Give it both, or go on with new episodes."
            )
