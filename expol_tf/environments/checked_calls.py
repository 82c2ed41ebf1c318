"""Calls of vector environments, whose results are checked unless the library's own code has done so."""

from __future__ import annotations

from typing import Any

import numpy as np

from expol_tf.environments import returned_values
from expol_tf.environments.backends.backend import Backend
from expol_tf.environments.faults import shown, task_error
from expol_tf.environments.vector_environment import VectorEnvironment, VectorStep
from expol_tf.errors import NonFiniteError, TaskError


def checked_reset(environment: VectorEnvironment) -> np.ndarray:
    """Returns the first observations `[N, O]` of an environment that is reset.

    Raises:
      TaskError: If it raises, or returns something else.
      NonFiniteError: If an observation is NaN or infinite.
    """
    if isinstance(environment, Backend):
        return environment.reset()
    try:
        observation = environment.reset()
        _require_observation(environment, observation, "what reset() returns")
    except BaseException as error:
        raise task_error(error, environment.task, "reset()") from None
    return observation


def checked_step(
    environment: VectorEnvironment, actions: np.ndarray, active: np.ndarray | None = None
) -> VectorStep:
    """Steps an environment; see `VectorEnvironment.step`.

    A backend of this package looks at its tasks' results itself. A class of another's is held to the shapes
    and dtypes of `VectorStep`, since runners would broadcast whatever came.

    Raises:
      TaskError: If it raises, or returns something else.
      NonFiniteError: If an observation or reward is NaN or infinite.
    """
    if isinstance(environment, Backend):
        return environment.step(actions, active)
    try:
        step: Any = environment.step(actions, active)
        _require_step(environment, step)
    except BaseException as error:
        raise task_error(error, environment.task, "step()") from None
    return step


def _require_step(environment: VectorEnvironment, step: Any) -> None:
    if not all(hasattr(step, name) for name in VectorStep._fields):
        raise TaskError(f"step() must return a VectorStep; got {shown(step)}.")
    for name in ("observation", "next_observation"):
        _require_observation(environment, getattr(step, name), f"{name} of step()")
    shape = (environment.num_envs,)
    returned_values.rewards(step.reward, shape, "the reward of step()")
    _require_array(step.reward, shape, "the reward of step()", np.float32)
    for name in ("terminated", "truncated"):
        _require_array(getattr(step, name), shape, f"{name} of step()", np.bool_)
    if not np.isfinite(step.reward).all():
        raise NonFiniteError(f"The reward of {environment.task} must be finite; got {step.reward}.")


def _require_observation(environment: VectorEnvironment, observation: Any, what: str) -> None:
    shape = (environment.num_envs, *environment.observation_spec.shape)
    _require_array(observation, shape, what, np.float32)
    if not np.isfinite(observation).all():
        raise NonFiniteError(f"The observations of {environment.task} must be finite; got {observation}.")


def _require_array(value: Any, shape: tuple[int, ...], what: str, dtype: Any) -> None:
    result = returned_values.array(value, shape, what)
    if not isinstance(value, np.ndarray) or result.dtype != dtype:
        raise TaskError(f"{what} must be a NumPy array of {np.dtype(dtype)}; got {shown(value)}.")
