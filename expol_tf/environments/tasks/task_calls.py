"""Calls of an `ArrayTask`, whose results are checked before they are used: nothing is broadcast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from expol_tf.environments import returned_values
from expol_tf.environments.faults import shown, task_error
from expol_tf.errors import TaskError

if TYPE_CHECKING:
    from expol_tf.environments.tasks.array_task import ArrayTask, Transition


def initial_state(task: ArrayTask, generator: np.random.Generator) -> np.ndarray:
    """Returns the state `[S]` in which an episode starts.

    Raises:
      TaskError: If the task raises, or its state is not an array of real numbers of rank 1.
    """
    call = f"{type(task).__name__}.initial_state()"
    try:
        state = task.initial_state(generator)
    except BaseException as error:
        raise task_error(error, "", call) from None
    if state.__class__ is np.ndarray and state.ndim == 1 and state.dtype.kind in returned_values.REAL_KINDS:
        return state
    # Its length is the task's own to choose.
    length = state.shape[-1] if isinstance(state, np.ndarray) and state.ndim else 1
    return returned_values.array(state, (length,), f"the state that {call} returns")


def observe(task: ArrayTask, state: np.ndarray) -> np.ndarray:
    """Returns the observations `[n, O]` of states `[n, S]`.

    Raises:
      TaskError: If the task raises, or returns something else.
    """
    call = f"{type(task).__name__}.observe()"
    try:
        observation = task.observe(state)
    except BaseException as error:
        raise task_error(error, "", call) from None
    shape = (len(state), *task.observation_space.shape)
    if _is_plain(observation, shape):
        return observation
    rule = ", a row for each state"
    return returned_values.array(observation, shape, f"what {call} returns", rule)


def transition(task: ArrayTask, state: np.ndarray, action: np.ndarray) -> Transition:
    """Returns the results of actions `[n, A]` in states `[n, S]`.

    Raises:
      TaskError: If the task raises, or returns something else.
    """
    call = f"{type(task).__name__}.transition()"
    try:
        result = task.transition(state, action)
    except BaseException as error:
        raise task_error(error, "", call) from None
    number = len(state)
    fields: Any = result
    try:
        # Looked up once, and not asked for one by one: this is done in every step.
        _ = fields.state, fields.reward, fields.terminated, fields.info
    except AttributeError:
        raise TaskError(
            f"{call} must return a Transition (state, reward, terminated, info); got {shown(result)}."
        ) from None
    if not _is_plain(fields.state, state.shape):
        returned_values.array(fields.state, state.shape, f"the state of {call}", ", as it was before")
    if not _is_plain(fields.reward, (number,)):
        returned_values.array(fields.reward, (number,), f"the reward of {call}", ", one for each state")
    if not (_is_plain(fields.terminated, (number,)) and fields.terminated.dtype.kind == "b"):
        fields = fields._replace(
            terminated=returned_values.flags(fields.terminated, (number,), f"terminated of {call}")
        )
    if fields.info is not None:
        _require_info(fields.info, number, call)
    return fields


def _is_plain(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether a value is what most tasks return, which needs no closer look."""
    return (
        value.__class__ is np.ndarray
        and value.shape == shape
        and value.dtype.kind in returned_values.REAL_KINDS
    )


def _require_info(info: Any, number: int, call: str) -> None:
    if not isinstance(info, Mapping):
        raise TaskError(f"info of {call} must be a dict of arrays, or None; got {shown(info)}.")
    for name, values in info.items():
        if np.shape(values)[:1] != (number,):
            raise TaskError(
                f"info[{name!r}] of {call} must have a row for each of {number} states; got {shown(values)}."
            )
