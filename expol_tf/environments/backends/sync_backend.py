"""Sub-environments stepped one after the other in this process."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium
import numpy as np

from expol_tf.configurable import configurable
from expol_tf.environments import simulator_state
from expol_tf.environments.backends.backend import Backend
from expol_tf.environments.wrapper_chain import peel_time_limit, step_limit
from expol_tf.errors import CapabilityError, SpaceError
from expol_tf.random import sub_environment_seeds


@configurable
class SyncVectorEnvironment(Backend):
    """N Gymnasium environments stepped in a loop.

    The environments step themselves. Only the TimeLimit that `gymnasium.make` puts outermost is counted here,
    for all of them at once. The state can be saved if every layer (the wrappers and the environment) is known
    to `simulator_state` or has its own `get_state` and `set_state`.
    """

    def __init__(self, envs: Sequence[gymnasium.Env], seed: int | None = None, task: str | None = None):
        """Wraps `envs`, all of one task.

        Args:
          envs: The sub-environments, at least one.
          seed: Seed of all sub-environments, see `sub_environment_seeds`; None draws one. Used at the first
            reset only.
          task: The task's name; None takes the name of the first one's class.
        """
        self._envs = list(envs)
        first = self._envs[0]
        task = task or type(first.unwrapped).__name__
        super().__init__(task, len(self._envs), first.observation_space, first.action_space)
        self.can_save_state = all(simulator_state.can_save(env) for env in self._envs)
        self._seeds: list[int | None] = list(sub_environment_seeds(seed, self.num_envs))
        inner, self._limits = zip(*(peel_time_limit(env) for env in self._envs), strict=True)
        self._steps = [env.step for env in inner]
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._max_steps = np.array([step_limit(limit) for limit in self._limits], np.int64)

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns all that decides the future, stacked over the sub-environments.

        Raises:
          CapabilityError: If some layer's state cannot be saved; names it.
        """
        self._require_saving()
        # Steps are counted here, so the TimeLimit layers, which are saved, do not know the count yet.
        for limit, elapsed in zip(self._limits, self._elapsed.tolist(), strict=True):
            if limit is not None:
                limit._elapsed_steps = elapsed
        states = [simulator_state.get_state(env) for env in self._envs]
        return {**simulator_state.stack(states), **self._get_progress()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CapabilityError: If some layer's state cannot be saved; names it.
          CheckpointError: If the state is that of other environments.
        """
        self._require_saving()
        if self._num_steps is None:
            # Many tasks create some of their attributes only at the first reset.
            self.reset()
        states = simulator_state.unstack(state, self.num_envs, self.task)
        for env, env_state in zip(self._envs, states, strict=True):
            simulator_state.set_state(env, env_state)
        self._elapsed[:] = [limit._elapsed_steps if limit else 0 for limit in self._limits]
        self._set_progress(state)

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        return self._picture(self._envs[0])

    def close(self) -> None:
        """Closes the sub-environments."""
        for env in self._envs:
            env.close()

    def _advance(self, actions: np.ndarray, active: np.ndarray | None) -> None:
        indices = range(self.num_envs) if active is None else np.flatnonzero(active).tolist()
        self._elapsed += 1 if active is None else active
        # Local names: this loop is most of what a step costs here.
        successor, reward = self._arrays.next_observation, self._arrays.reward
        terminated, truncated = self._arrays.terminated, self._arrays.truncated
        steps = self._steps
        for i in indices:
            successor[i], reward[i], terminated[i], truncated[i], _ = steps[i](actions[i])
        # Truncations of the task's own stay.
        np.logical_or(truncated, self._elapsed >= self._max_steps, out=truncated)

    def _restart(self, indices: Sequence[int]) -> None:
        for i in indices:
            observation, _ = self._envs[i].reset(seed=self._seeds[i])
            if np.shape(observation) != self.observation_spec.shape:
                raise SpaceError(
                    f"The observation of {self.task} has shape {np.shape(observation)}, but its space says "
                    f"{self.observation_spec.shape}. Mend the task, or the wrapper that changes only one of "
                    "them."
                )
            self._arrays.observation[i] = observation
            self._elapsed[i] = 0
            # Only the first episode is seeded: the later ones go on with the generator that it left.
            self._seeds[i] = None

    def _require_saving(self) -> None:
        if not self.can_save_state:
            layer = next(layer for env in self._envs for layer in simulator_state.unknown_layers(env))
            raise CapabilityError(
                f"The state of {self.task} cannot be saved: {type(layer).__name__} has no get_state and "
                "set_state. Give it both, or go on with new episodes."
            )
