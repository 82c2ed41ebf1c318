"""Makes environments from a Gymnasium id, an instance or a factory."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import gin
import gymnasium

from expol_tf.environments.sync_backend import SyncVectorEnvironment
from expol_tf.environments.vector_environment import VectorEnvironment
from expol_tf.errors import ConfigurationError, DependencyError, UnknownEnvironmentError

Task = Union[str, gymnasium.Env, Callable[..., gymnasium.Env]]
Wrapper = Callable[[gymnasium.Env], gymnasium.Env]


@gin.configurable(module="expol_tf")
def load_vector(
    task: Task,
    num_envs: int = 1,
    seed: int | None = None,
    backend: str = "sync",
    wrappers: Sequence[Wrapper] = (),
    make_kwargs: Mapping[str, Any] | None = None,
) -> VectorEnvironment:
    """Returns `num_envs` copies of `task` with the same-step interface that the library's runners use.

    Args:
      task: A Gymnasium id, an environment (then `num_envs` must be 1) or a function that makes one.
      num_envs: Number of sub-environments.
      seed: Sub-environment i is seeded from `np.random.SeedSequence(seed).spawn(num_envs)[i]`; None is random.
      backend: "sync" (in this process) or "envpool".
      wrappers: Functions env → env, applied in order to every sub-environment.
      make_kwargs: Keyword arguments of `gymnasium.make` or of the factory.

    Raises:
      UnknownEnvironmentError: If no such task is registered or it cannot be made here.
      SpaceError: If its spaces are not supported.
      ConfigurationError: If an argument breaks its rule.
    """
    if isinstance(num_envs, bool) or num_envs != int(num_envs) or num_envs < 1:
        raise ConfigurationError(f"num_envs must be a positive integer; got {num_envs!r}.")
    kwargs = dict(make_kwargs or {})
    if backend != "sync":
        raise ConfigurationError(f'backend must be "sync" or "envpool"; got {backend!r}.')
    if isinstance(task, gymnasium.Env) and num_envs > 1:
        raise ConfigurationError(
            f"num_envs must be 1 when task is an environment instance; got {num_envs}. "
            "Pass its Gymnasium id or a function that makes it."
        )
    envs = [_make(task, kwargs, wrappers) for _ in range(num_envs)]
    name = task if isinstance(task, str) else None
    return SyncVectorEnvironment(envs, seed=seed, task=name)


def _make(task: Task, kwargs: dict[str, Any], wrappers: Sequence[Wrapper]) -> gymnasium.Env:
    if isinstance(task, str):
        env = _make_registered(task, kwargs)
    elif isinstance(task, gymnasium.Env):
        env = task
    else:
        env = task(**kwargs)
    for wrapper in wrappers:
        env = wrapper(env)
    return env


def _make_registered(task: str, kwargs: dict[str, Any]) -> gymnasium.Env:
    try:
        with warnings.catch_warnings():
            # The v4 tasks are asked for by name, to compare with published results.
            warnings.filterwarnings("ignore", message=".*is out of date.*")
            return gymnasium.make(task, disable_env_checker=True, **kwargs)
    except (gymnasium.error.DependencyNotInstalled) as error:
        raise DependencyError(f"task {task!r} needs a package that is not installed: {error}") from error
    except (gymnasium.error.Error, ImportError) as error:
        near = difflib.get_close_matches(task, list(gymnasium.registry), n=5)
        hint = f" Near names: {', '.join(near)}." if near else ""
        raise UnknownEnvironmentError(f"task {task!r} cannot be made: {error}{hint}") from error
