"""Makes environments from a Gymnasium id, an instance or a factory."""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit

from expol_tf.argument_types import require
from expol_tf.configurable import configurable
from expol_tf.environments.backends import (
    ArrayVectorEnvironment,
    EnvPoolVectorEnvironment,
    MujocoVectorEnvironment,
    SyncVectorEnvironment,
    array_backend,
    mujoco_backend,
)
from expol_tf.environments.faults import task_error
from expol_tf.environments.gymnasium_env import GymnasiumEnvironment, SingleGymnasiumEnvironment
from expol_tf.environments.registry import make_registered
from expol_tf.environments.running_statistics import refuse_normalizing_class, refuse_running_statistics
from expol_tf.environments.vector_environment import VectorEnvironment
from expol_tf.environments.wrapper_chain import layers, require_readable
from expol_tf.errors import ConfigurationError
from expol_tf.factories import made_class, may_make, shown_factory
from expol_tf.number_types import NumEnvs, SeedNumber

Task = str | gymnasium.Env | Callable[..., gymnasium.Env]
Wrapper = Callable[[gymnasium.Env], gymnasium.Env]


@functools.partial(configurable, checks_types=False)
def load(
    task: Task,
    num_envs: NumEnvs = 1,
    seed: SeedNumber | None = None,
    backend: str = "sync",
    wrappers: Sequence[Wrapper] = (),
    make_kwargs: Mapping[str, Any] | None = None,
    batched: bool = True,
) -> GymnasiumEnvironment:
    """Returns `num_envs` copies of `task` as one TF-Agents `PyEnvironment`.

    The other arguments and the errors are those of `load_vector`; `GymnasiumEnvironment` says how episodes
    end.

    Example:
      `TFPyEnvironment(expol_tf.environments.load("Hopper-v5", num_envs=16, seed=0))`

    Args:
      batched: Whether arrays have a leading dimension of `num_envs`. False, with num_envs=1, for what takes
        one environment at a time: TF-Agents' `ParallelPyEnvironment`, `BatchedPyEnvironment`,
        `HistoryWrapper`, and an `Actor` with a Reverb observer.
    """
    if not isinstance(batched, bool):
        raise ConfigurationError(f"batched must be True or False; got {batched!r}.")
    if not batched and num_envs != 1:
        raise ConfigurationError(
            f"batched=False must go with num_envs=1, as there is no dimension for several; got {num_envs}. "
            "Make several such environments, or leave batched=True."
        )
    vector = load_vector(task, num_envs, seed, backend, wrappers, make_kwargs)
    return GymnasiumEnvironment(vector) if batched else SingleGymnasiumEnvironment(vector)


@functools.partial(configurable, checks_types=False)
def load_vector(
    task: Task,
    num_envs: NumEnvs = 1,
    seed: SeedNumber | None = None,
    backend: str = "sync",
    wrappers: Sequence[Wrapper] = (),
    make_kwargs: Mapping[str, Any] | None = None,
) -> VectorEnvironment:
    """Returns `num_envs` copies of `task` behind the interface that the library's own runners use.

    Args:
      task: A Gymnasium id, a function that makes an environment, or an environment. For the last `num_envs`
        must be 1, and closing what is returned leaves it open.
      num_envs: Number of sub-environments N.
      seed: Sub-environment i is seeded from `np.random.SeedSequence(seed).spawn(N)[i]`; None draws a seed.
      backend: "sync" (in this process, the default) or "envpool" (the package of that name).
      wrappers: Functions env → env, applied in this order to every sub-environment. Only "sync" takes them.
        One that learns running statistics (NormalizeObservation, NormalizeReward) is refused.
      make_kwargs: Keyword arguments of `gymnasium.make`, of the factory, or of EnvPool's task.

    Raises:
      UnknownEnvironmentError: If no such task is registered, or it cannot be made here.
      SpaceError: If its spaces are not supported; names the space and the remedy.
      ConfigurationError: If an argument breaks its rule.
      DependencyError: If the task or the backend needs a package that is not installed.
      TaskError: If what makes the task raises.
    """
    check_task(task, num_envs, backend, wrappers, make_kwargs)
    kwargs = dict(make_kwargs or {})
    if isinstance(task, str) and isinstance(kwargs.get("max_episode_steps"), np.integer):
        # Gymnasium and EnvPool want Python's own.
        kwargs["max_episode_steps"] = int(kwargs["max_episode_steps"])
    if backend == "envpool":
        if wrappers:
            raise ConfigurationError(
                f'wrappers cannot be applied inside EnvPool; got {list(wrappers)}. Choose backend="sync".'
            )
        return EnvPoolVectorEnvironment(cast(str, task), num_envs, seed, kwargs)
    if isinstance(task, gymnasium.Env) and (num_envs > 1 or kwargs):
        raise ConfigurationError(
            f"task is an environment that exists already ({task}), so num_envs must be 1 and make_kwargs "
            f"empty; got {num_envs} and {kwargs}. Pass its Gymnasium id or a function that makes it instead."
        )
    name = task if isinstance(task, str) else None
    first = _make(task, kwargs, wrappers)
    # The faster backends step a task as Gymnasium makes it, but a wrapper or a factory may change it.
    if name and not wrappers and mujoco_backend.supports(first):
        return MujocoVectorEnvironment(first, num_envs, seed, name)
    if name and not wrappers and array_backend.supports(first):
        return ArrayVectorEnvironment(first, num_envs, seed, name)
    envs = [first, *(_make(task, kwargs, wrappers) for _ in range(num_envs - 1))]
    # Two sub-environments that are one object would step each other's episodes.
    if len({id(env.unwrapped) for env in envs}) < num_envs:
        raise ConfigurationError(
            f"The factory {task} must make a new environment at each call; it returned the same one twice."
        )
    return SyncVectorEnvironment(envs, seed, name, task if isinstance(task, gymnasium.Env) else None)


def check_task(
    task: Any, num_envs: Any = 1, backend: Any = "sync", wrappers: Any = (), make_kwargs: Any = None
) -> None:
    """Raises a `ConfigurationError` for arguments that `load_vector` cannot take, before anything is made."""
    require("num_envs", num_envs, NumEnvs)
    if not isinstance(backend, str) or backend not in ("sync", "envpool"):
        raise ConfigurationError(f'backend must be "sync" or "envpool"; got {backend!r}.')
    if not isinstance(task, str | gymnasium.Env) and not _makes_environment(task):
        raise ConfigurationError(
            "task must be a Gymnasium id, a gymnasium.Env or a function that makes one; got "
            f"{shown_factory(task)}."
        )
    if not isinstance(wrappers, list | tuple):
        raise ConfigurationError(
            "wrappers must be a list of functions env → env; got "
            f"{shown_factory(wrappers)}. Write wrappers=[…], also for a single one."
        )
    for wrapper in wrappers:
        refuse_normalizing_class(wrapper)
        if not _makes_environment(wrapper):
            raise ConfigurationError(
                f"wrappers must be a list of functions env → env; got {shown_factory(wrapper)} in it. Give "
                "wrapper classes, or functions that take an environment and return one."
            )
    if make_kwargs is not None and not (
        isinstance(make_kwargs, Mapping) and all(isinstance(name, str) for name in make_kwargs)
    ):
        raise ConfigurationError(
            f"make_kwargs must be keyword arguments, a dict, or None; got {make_kwargs!r}. "
            'Write make_kwargs={"max_episode_steps": 100}.'
        )
    # A factory has names and values of its own.
    if isinstance(task, str) and "max_episode_steps" in (make_kwargs or {}):
        _require_step_limit((make_kwargs or {})["max_episode_steps"], backend)


def _require_step_limit(limit: Any, backend: str) -> None:
    """Refuses a time limit of no steps, and what is no number of steps."""
    never = -1 if backend == "sync" else None
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, numbers.Integral) or (limit < 1 and limit != never):
        raise ConfigurationError(
            "max_episode_steps in make_kwargs must be a positive integer"
            f"{' or -1, which stands for no limit' if never else ''}; got {limit!r}."
        )


def _makes_environment(factory: Any) -> bool:
    return callable(factory) and may_make(factory, gymnasium.Env)


def _make(task: Task, kwargs: dict[str, Any], wrappers: Sequence[Wrapper]) -> gymnasium.Env:
    if isinstance(task, str):
        env = make_registered(task, kwargs)
    elif isinstance(task, gymnasium.Env):
        env = task
    else:
        _require_keywords(task, kwargs)
        env = _made(functools.partial(task, **kwargs), task)
    for wrapper in wrappers:
        env = _made(functools.partial(wrapper, env), wrapper)
    require_readable(env)
    refuse_running_statistics(env)
    _require_time_limit(env)
    return env


def _require_keywords(factory: Callable[..., gymnasium.Env], kwargs: dict[str, Any]) -> None:
    """Refuses make_kwargs that do not fit a factory, before it is called."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # Some built-in functions have none.
        return
    try:
        signature.bind(**kwargs)
    except TypeError as error:
        takes = ", ".join(map(str, signature.parameters.values())) or "none"
        raise ConfigurationError(
            f"make_kwargs must fit the arguments of {shown_factory(factory)} ({takes}); got {kwargs}: "
            f"{error}."
        ) from None


def _made(make: Callable[[], Any], maker: Any) -> gymnasium.Env:
    """Returns the environment that a factory or wrapper makes."""
    try:
        env = make()
    except BaseException as error:
        module = getattr(made_class(maker) or maker, "__module__", None)
        raise task_error(error, "The environment cannot be made", shown_factory(maker), module) from None
    if not isinstance(env, gymnasium.Env):
        raise ConfigurationError(
            f"{shown_factory(maker)} must return a gymnasium.Env; it returned {type(env)}. Derive its class "
            "from gymnasium.Env (not from gym.Env, its predecessor)."
        )
    return env


def _require_time_limit(env: gymnasium.Env) -> None:
    """Refuses a time limit of no steps that a factory or wrapper has set."""
    name = type(env.unwrapped).__name__
    for layer in layers(env):
        limit = getattr(layer, "_max_episode_steps", 1) if isinstance(layer, TimeLimit) else 1
        if not limit > 0:
            raise ConfigurationError(
                f"max_episode_steps of {name} must be a positive integer; its TimeLimit has {limit!r}."
            )
