"""Sub-environments stepped by EnvPool's C++ threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gin
import numpy as np

from expol_tf.environments.registry import near_names
from expol_tf.environments.seeds import sub_environment_seeds
from expol_tf.environments.backends.step_arrays import StepArrays
from expol_tf.environments.vector_environment import VectorStep
from expol_tf.errors import CapabilityError, ConfigurationError, DependencyError, UnknownEnvironmentError

# Settings of EnvPool that this backend decides itself.
_RESERVED = frozenset(
    {"num_envs", "batch_size", "seed", "env_seed", "max_num_players", "gym_reset_return_info"}
)


@gin.configurable(module="expol_tf")
class EnvPoolVectorEnvironment:
    """N copies of an EnvPool task, reset within the step that ends an episode.

    Implements `VectorEnvironment`. EnvPool itself resets a finished sub-environment at its next step and
    ignores that step's action; here finished ones are reset at once, so every step is a real transition.

    Sub-environment i has the seed that `sync` gives it (`sub_environment_seeds`, less its highest bit) and
    the same seed gives the same episodes again. EnvPool draws its initial states with generators of its own,
    though: they are distributed as Gymnasium's but are not the same ones. Where a state is terminal at the
    very step of the time limit, EnvPool reports a truncation. The state cannot be saved.
    """

    can_save_state = False

    def __init__(
        self,
        task: str,
        num_envs: int,
        seed: int | None = None,
        make_kwargs: Mapping[str, Any] | None = None,
    ):
        """Makes EnvPool's task of that name.

        Args:
          task: The name that Gymnasium and EnvPool share, such as "HalfCheetah-v5".
          num_envs: N.
          seed: Seed of all of them; None draws one.
          make_kwargs: Settings of EnvPool's task, such as `max_episode_steps`; unknown ones are an error.

        Raises:
          DependencyError: If EnvPool is not installed.
          UnknownEnvironmentError: If EnvPool has no such task.
          ConfigurationError: If the task is not a name or a setting is unknown.
        """
        try:
            import envpool
        except ImportError as error:
            raise DependencyError(
                'backend="envpool" needs the package envpool: pip install "expol-tf[envpool]", '
                'or choose backend="sync".'
            ) from error
        if not isinstance(task, str):
            raise ConfigurationError(
                f'task must be a name when backend="envpool"; got {task!r}. Choose backend="sync".'
            )
        if task not in envpool.list_all_envs():
            raise UnknownEnvironmentError(
                f'EnvPool has no task {task!r}.{near_names(task)} backend="sync" has every task of Gymnasium.'
            )
        kwargs = dict(make_kwargs or {})
        known = set(envpool.make_spec(task)._config_keys) - _RESERVED
        for name in kwargs.keys() - known:
            raise ConfigurationError(
                f"make_kwargs of EnvPool's {task} must be among {sorted(known)}; got {name!r}. "
                'Choose backend="sync" for those of gymnasium.make.'
            )
        self.task = task
        self.num_envs = num_envs
        seeds = [value & 0x7FFFFFFF for value in sub_environment_seeds(seed, num_envs)]
        self._pool = envpool.make_gymnasium(task, num_envs=num_envs, env_seed=seeds, **kwargs)
        self._arrays = StepArrays(task, num_envs, self._pool.observation_space, self._pool.action_space)
        self.observation_spec = self._arrays.observation_spec
        self.action_spec = self._arrays.action_spec
        self._everyone = np.arange(num_envs, dtype=np.int32)

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""
        self._reset(self._everyone)
        return self._arrays.started()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments (where `active`)."""
        arrays = self._arrays
        boxed = arrays.boxed(actions, active)
        indices = self._everyone if active is None else self._everyone[active]
        if active is not None:
            arrays.clear()
        if indices.size:
            observation, reward, terminated, truncated, info = self._pool.step(boxed[indices], indices)
            # In the order in which EnvPool finished them.
            indices = info["env_id"]
            arrays.next_observation[indices] = observation
            arrays.reward[indices] = reward
            arrays.terminated[indices] = terminated
            arrays.truncated[indices] = truncated
        np.copyto(arrays.observation, arrays.next_observation)
        result = arrays.finished()
        ended = arrays.ended()
        if ended:
            self._reset(np.array(ended, np.int32))
        arrays.restarted(ended)
        return result

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`."""
        return self._arrays.observation

    def get_state(self) -> dict[str, np.ndarray]:
        """Raises CapabilityError: EnvPool's simulators cannot be read."""
        raise CapabilityError(
            'EnvPool cannot save its state: go on with new episodes, or choose backend="sync".'
        )

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Raises CapabilityError: EnvPool's simulators cannot be written."""
        raise CapabilityError(
            'EnvPool cannot restore a state: go on with new episodes, or choose backend="sync".'
        )

    def render(self) -> np.ndarray:
        """Raises CapabilityError: pictures are made by the "sync" backend."""
        raise CapabilityError('backend="envpool" gives no pictures: choose backend="sync".')

    def close(self) -> None:
        """Stops EnvPool's threads."""
        self._pool.close()

    def _reset(self, indices: np.ndarray) -> None:
        observation, info = self._pool.reset(indices)
        self._arrays.observation[info["env_id"]] = observation
