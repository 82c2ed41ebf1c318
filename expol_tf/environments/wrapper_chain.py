"""Walks the wrappers around a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from expol_tf.environments.faults import shown, task_error
from expol_tf.errors import TaskError


def layers(env: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """Yields `env`, then what it wraps, down to the environment itself.

    Raises:
      TaskError: If a wrapper does not say what it wraps.
    """
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = _environment_of(env, "env")
    yield env


def require_readable(env: gymnasium.Env) -> None:
    """Raises a `TaskError` if `env` fails when it is asked for what every environment has."""
    for _ in layers(env):
        pass
    unwrapped = _environment_of(env, "unwrapped")
    for space in ("observation_space", "action_space"):
        _asked(env, space, type(unwrapped).__name__)


def _environment_of(env: gymnasium.Env, attribute: str) -> gymnasium.Env:
    inner = _asked(env, attribute, type(env).__name__)
    if not isinstance(inner, gymnasium.Env):
        raise TaskError(f"its {attribute} must be a gymnasium.Env; got {shown(inner)}.", type(env).__name__)
    return inner


def _asked(env: gymnasium.Env, attribute: str, name: str) -> Any:
    try:
        return getattr(env, attribute)
    except BaseException as error:
        raise task_error(error, name, f"its {attribute}") from None


def peel_time_limit(env: gymnasium.Env) -> tuple[gymnasium.Env, TimeLimit | None]:
    """Splits off the outer wrappers whose work a vector environment does for all sub-environments at once.

    `gymnasium.make` puts OrderEnforcing and TimeLimit around a task. A vector environment always resets
    first, which satisfies the one, and counts steps itself, which replaces the other. Only these two classes
    are split off, and only if they are outermost, so that every other wrapper still sees every step.

    Returns:
      The environment to step instead of `env`, and the time limit to count for it, if it has one.
    """
    limit = None
    # Exactly these classes: a subclass may do more than count or check.
    if type(env) is TimeLimit:
        limit, env = env, env.env
    if type(env) is OrderEnforcing:
        env = env.env
    return env, limit


def step_limit(limit: TimeLimit | None) -> int:
    """Returns after how many steps `limit` truncates an episode; the largest int64 stands for never."""
    return limit._max_episode_steps if limit else np.iinfo(np.int64).max
