"""Calls of an `ArrayTask`, whose results are checked before they are used: nothing is broadcast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from expol_tf.environments import returned_values
from expol_tf.environments.faults import shown, task_error
from expol_tf.environments.returned_values import REAL_KINDS
from expol_tf.errors import TaskError

if TYPE_CHECKING:
    from expol_tf.environments.tasks.array_task import ArrayTask, Transition


def initial_state(task: ArrayTask, generator: np.random.Generator) -> np.ndarray:
    """Returns the state `[S]` in which an episode starts.

    Raises:
      TaskError: If the task raises, or its state is not an array of real numbers of rank 1.
    """
    try:
        state = task.initial_state(generator)
    except BaseException as error:
        raise task_error(error, "", _call(task, "initial_state")) from None
    if state.__class__ is np.ndarray and state.ndim == 1 and state.dtype.kind in REAL_KINDS:
        return state
    # Its length is the task's own to choose.
    length = state.shape[-1] if isinstance(state, np.ndarray) and state.ndim else 1
    what = f"the state that {_call(task, 'initial_state')} returns"
    return returned_values.array(state, (length,), what)


def draw_states(
    task: ArrayTask, generators: Sequence[np.random.Generator], rows: Sequence[int], states: np.ndarray
) -> None:
    """Writes first states, each from a generator of its own, into rows of `states` `[n, S]`.

    Raises:
      TaskError: If the task raises, or a state is no array of real numbers `[S]`.
    """
    # Where every episode is a single step this is most of it, so that no function is called for a state.
    ndarray, shape = np.ndarray, states.shape[1:]
    for row in rows:
        try:
            state = task.initial_state(generators[row])
        except BaseException as error:
            raise task_error(error, "", _call(task, "initial_state")) from None
        if state.__class__ is not ndarray or state.shape != shape or state.dtype.kind not in REAL_KINDS:
            what = f"the state that {_call(task, 'initial_state')} returns"
            state = returned_values.array(state, shape, what, ", always")
        states[row] = state


def observe(task: ArrayTask, state: np.ndarray) -> np.ndarray:
    """Returns the observations `[n, O]` of states `[n, S]`.

    Raises:
      TaskError: If the task raises, or returns something else.
    """
    try:
        observation = task.observe(state)
    except BaseException as error:
        raise task_error(error, "", _call(task, "observe")) from None
    shape = (len(state), *task.observation_space.shape)
    if (
        observation.__class__ is np.ndarray
        and observation.shape == shape
        and observation.dtype.kind in REAL_KINDS
    ):
        return observation
    what = f"what {_call(task, 'observe')} returns"
    return returned_values.array(observation, shape, what, ", a row for each state")


def transition(task: ArrayTask, state: np.ndarray, action: np.ndarray) -> Transition:
    """Returns the results of actions `[n, A]` in states `[n, S]`.

    Raises:
      TaskError: If the task raises, or returns something else.
    """
    try:
        result = task.transition(state, action)
    except BaseException as error:
        raise task_error(error, "", _call(task, "transition")) from None
    fields: Any = result
    try:
        after, reward, terminated, info = fields.state, fields.reward, fields.terminated, fields.info
    except AttributeError:
        raise TaskError(
            f"{_call(task, 'transition')} must return a Transition (state, reward, terminated, info); got "
            f"{shown(result)}."
        ) from None
    # What most tasks return is recognized in a microsecond, without a call of a function.
    ndarray, shape = np.ndarray, state.shape
    rows = shape[:1]
    if not (
        after.__class__ is ndarray
        and reward.__class__ is ndarray
        and terminated.__class__ is ndarray
        and after.shape == shape
        and reward.shape == rows
        and terminated.shape == rows
        and after.dtype.kind in REAL_KINDS
        and reward.dtype.kind in REAL_KINDS
        and terminated.dtype.kind == "b"
    ):
        fields = _required(fields, state, _call(task, "transition"))
    if info.__class__ is not dict:
        if info is None:
            return fields
        _require_info(info, len(state), _call(task, "transition"))
    for values in info.values():
        if values.__class__ is not ndarray or values.shape[:1] != rows:
            _require_info(info, len(state), _call(task, "transition"))
    return fields


def _required(fields: Any, state: np.ndarray, call: str) -> Transition:
    """Returns a transition after a closer look at its arrays."""
    number = len(state)
    returned_values.array(fields.state, state.shape, f"the state of {call}", ", as it was before")
    returned_values.rewards(fields.reward, (number,), f"the reward of {call}", ", one for each state")
    terminated = returned_values.flags(fields.terminated, (number,), f"terminated of {call}")
    return fields._replace(terminated=terminated)


def _require_info(info: Any, number: int, call: str) -> None:
    if not isinstance(info, Mapping):
        raise TaskError(f"info of {call} must be a dict of arrays, or None; got {shown(info)}.")
    for name, values in info.items():
        if not isinstance(values, np.ndarray) or values.shape[:1] != (number,):
            raise TaskError(
                f"info[{name!r}] of {call} must be an array with a row for each of {number} states; got "
                f"{shown(values)}."
            )


def _call(task: ArrayTask, name: str) -> str:
    """Returns what a message calls a method; made for messages only, as every step would pay for it."""
    return f"{type(task).__name__}.{name}()"
