"""Walks the wrappers around a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, TimeLimit


def layers(env: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """Yields `env`, then what it wraps, down to the environment itself."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env
    yield env


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
