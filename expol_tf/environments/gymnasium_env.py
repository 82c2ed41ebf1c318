"""A vector environment as a TF-Agents environment, where the end of an episode has its own frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.configurable import configurable
from expol_tf.environments.checked_calls import checked_reset, checked_step
from expol_tf.environments.vector_environment import VectorEnvironment
from expol_tf.errors import ConfigurationError
from expol_tf.saved_states import require_saved


@configurable
class GymnasiumEnvironment(py_environment.PyEnvironment):
    """A batched `PyEnvironment` in which LAST carries the true final observation of an episode.

    The step that ends an episode is `LAST`; the next `step` of that sub-environment ignores its action and
    returns `FIRST` of the new episode, with reward 0. The pair LAST → FIRST is a boundary frame, not a
    transition: learners mask it, and counters of env steps leave it out. `discount` is 0 where the episode
    terminated and 1 elsewhere, even where it was truncated, because the final observation of a truncated
    episode still has a value.

    All arrays are float32 (step types int32) of shape `[N, ...]`, and the caller may keep them.
    """

    def __init__(self, vector_environment: VectorEnvironment):
        """Adapts `vector_environment`, which nobody else may step from now on."""
        super().__init__()
        self._vector = vector_environment
        self._ended = np.zeros(vector_environment.num_envs, bool)

    @property
    def vector_environment(self) -> VectorEnvironment:
        """The environment that is stepped."""
        return self._vector

    @property
    def task(self) -> str:
        """The task's name."""
        return self._vector.task

    @property
    def can_save_state(self) -> bool:
        """Whether `get_state` and `set_state` work."""
        return self._vector.can_save_state

    @property
    def batched(self) -> bool:
        """True: observations and actions have a leading dimension, even with one sub-environment."""
        return True

    @property
    def batch_size(self) -> int | None:
        """The number of sub-environments."""
        return self._vector.num_envs

    def observation_spec(self) -> array_spec.BoundedArraySpec:
        """Returns the spec of one sub-environment's observation, `[O]`."""
        return self._vector.observation_spec

    def action_spec(self) -> array_spec.BoundedArraySpec:
        """Returns the spec of one sub-environment's action, `[A]`."""
        return self._vector.action_spec

    def _reset(self) -> ts.TimeStep:
        observation = checked_reset(self._vector).copy()
        self._ended = np.zeros(self._vector.num_envs, bool)
        return ts.restart(observation, batch_size=self._vector.num_envs)

    def _step(self, action: np.ndarray) -> ts.TimeStep:
        starting = self._ended
        # The vector environment reset them within their last step, so that now it must leave them alone.
        step = checked_step(self._vector, action, None if not starting.any() else ~starting)
        self._ended = step.terminated | step.truncated
        step_type = np.full(self._vector.num_envs, ts.StepType.MID, np.int32)
        step_type[self._ended] = ts.StepType.LAST
        step_type[starting] = ts.StepType.FIRST
        # Truncation is not termination: an episode that was cut off keeps its discount of 1.
        discount = np.where(step.terminated, np.float32(0), np.float32(1))
        # Copies, as the vector environment overwrites its arrays and callers may keep a time step.
        return ts.TimeStep(step_type, step.reward.copy(), discount, step.next_observation.copy())

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the vector environment's state and the current time step, as arrays.

        Raises:
          ConfigurationError: If it has not been reset.
        """
        if self._current_time_step is None:
            raise ConfigurationError(
                f"{self._vector.task} must be reset before it has a state: call reset()."
            )
        fields = self._current_time_step._asdict()
        current = {f"time_step.{name}": np.array(value) for name, value in fields.items()}
        return {**self._vector.get_state(), **current}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CheckpointError: If it is the state of other environments.
        """
        remedy = "Restore what get_state of this class returned."
        batch = () if self.batch_size is None else (self.batch_size,)
        rows = np.zeros(batch, np.float32)
        observation = np.zeros((*batch, *self.observation_spec().shape), np.float32)
        like = ts.TimeStep(rows.astype(np.int32), rows, rows, observation)._asdict()
        own = {f"time_step.{name}": array for name, array in like.items()}
        require_saved(state, own, self._vector.task, remedy)
        self._vector.set_state({name: state[name] for name in state if name not in own})
        fields = {name: np.array(state[f"time_step.{name}"]) for name in ts.TimeStep._fields}
        self._current_time_step = ts.TimeStep(**fields)
        self._ended = np.reshape(self._current_time_step.is_last(), [-1])

    def render(self, mode: str = "rgb_array") -> Any:
        """Returns an RGB picture `[height, width, 3]` of the first sub-environment."""
        if mode != "rgb_array":
            raise ConfigurationError(f'mode must be "rgb_array"; got {mode!r}.')
        return self._vector.render()

    def close(self) -> None:
        """Frees what the sub-environments hold."""
        self._vector.close()


class SingleGymnasiumEnvironment(GymnasiumEnvironment):
    """The same with one environment and without the leading dimension, as TF-Agents' own environments are.

    Its arrays are those of the batched one: `[O]`, `[A]` and scalars. TF-Agents' `ParallelPyEnvironment`,
    `BatchedPyEnvironment`, `HistoryWrapper`, `Actor` and Reverb's observers take such environments.
    """

    def __init__(self, vector_environment: VectorEnvironment):
        """Adapts a vector environment of one environment."""
        if vector_environment.num_envs != 1:
            raise ConfigurationError(
                "vector_environment must be of one environment, as there is no batch dimension; got "
                f"num_envs={vector_environment.num_envs}. Use GymnasiumEnvironment."
            )
        super().__init__(vector_environment)

    @property
    def batched(self) -> bool:
        """False: observations and actions have no leading dimension."""
        return False

    @property
    def batch_size(self) -> None:
        """None, as there is no batch."""
        return None

    def _reset(self) -> ts.TimeStep:
        return _first_row(super()._reset())

    def _step(self, action: np.ndarray) -> ts.TimeStep:
        return _first_row(super()._step(np.asarray(action)[np.newaxis]))


def _first_row(step: ts.TimeStep) -> ts.TimeStep:
    return ts.TimeStep(*(np.asarray(field[0]) for field in step))
