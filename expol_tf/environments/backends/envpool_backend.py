"""Sub-environments stepped by EnvPool's C++ threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from expol_tf.configurable import configurable
from expol_tf.environments.backends.backend import Backend
from expol_tf.environments.faults import described
from expol_tf.environments.registry import near_names
from expol_tf.errors import (
    ConfigurationError,
    DependencyError,
    OutOfMemoryError,
    UnknownEnvironmentError,
)
from expol_tf.memory import memory_errors
from expol_tf.number_types import NumEnvs, SeedNumber
from expol_tf.random import sub_environment_seeds

# EnvPool's settings that this backend chooses itself.
_RESERVED = frozenset(
    {"num_envs", "batch_size", "seed", "env_seed", "max_num_players", "gym_reset_return_info"}
)


@configurable
class EnvPoolVectorEnvironment(Backend):
    """N copies of an EnvPool task, reset within the step that ends an episode.

    EnvPool itself resets a finished sub-environment at its next step and ignores that step's action. Here it
    is reset at once, so that every step is a real transition.

    Sub-environment i has the seed that the "sync" backend gives it, without its highest bit
    (`sub_environment_seeds`), and the same seed gives the same episodes again. EnvPool draws initial states
    with its own generators: their distribution is Gymnasium's, the states are not. If a state is terminal at
    the very step of the time limit, EnvPool reports a truncation. The state cannot be saved.
    """

    def __init__(
        self,
        task: str,
        num_envs: NumEnvs,
        seed: SeedNumber | None = None,
        make_kwargs: Mapping[str, Any] | None = None,
    ):
        """Makes EnvPool's task with the name `task`.

        Args:
          task: The name that Gymnasium and EnvPool share, such as "HalfCheetah-v5".
          num_envs: Number of sub-environments N.
          seed: Seed of all sub-environments, see `sub_environment_seeds`; None draws one.
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
        # EnvPool takes signed 32-bit integers.
        seeds = [value & 0x7FFFFFFF for value in sub_environment_seeds(seed, num_envs)]
        try:
            with memory_errors():
                self._pool = envpool.make_gymnasium(task, num_envs=num_envs, env_seed=seeds, **kwargs)
        except OutOfMemoryError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"EnvPool cannot make {task} with make_kwargs={kwargs}: {described(error)}."
            ) from error
        super().__init__(task, num_envs, self._pool.observation_space, self._pool.action_space)
        self._everyone = np.arange(num_envs, dtype=np.int32)

    def close(self) -> None:
        """Stops EnvPool's threads."""
        self._pool.close()

    def _advance(self, actions: np.ndarray, active: np.ndarray | None) -> None:
        indices = self._everyone if active is None else self._everyone[active]
        if not indices.size:
            return
        observation, reward, terminated, truncated, info = self._pool.step(actions[indices], indices)
        # EnvPool answers in the order in which its threads finished.
        indices = info["env_id"]
        arrays = self._arrays
        arrays.next_observation[indices] = observation
        arrays.reward[indices] = reward
        arrays.terminated[indices] = terminated
        arrays.truncated[indices] = truncated

    def _restart(self, indices: Sequence[int]) -> None:
        observation, info = self._pool.reset(np.array(indices, np.int32))
        self._arrays.observation[info["env_id"]] = observation
