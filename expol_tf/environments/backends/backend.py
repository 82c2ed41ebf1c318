"""The part of a vector environment that does not depend on what steps the simulators."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import gymnasium
import numpy as np

from expol_tf.environments import returned_values, spaces
from expol_tf.environments.faults import shown, task_error
from expol_tf.environments.vector_environment import VectorEnvironment, VectorStep
from expol_tf.errors import ConfigurationError, NonFiniteError, TaskError


class Backend(VectorEnvironment):
    """Checks actions, calls the simulators, checks their results and restarts finished episodes.

    A subclass defines `_advance`, which steps its simulators, and `_restart`, which begins their episodes.
    Both write their results into `self._arrays`, a `VectorStep` whose arrays are allocated once.
    """

    def __init__(
        self, task: str, num_envs: int, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ):
        """Allocates the arrays of a step for N sub-environments with these spaces."""
        self.task = task
        self.num_envs = num_envs
        self.observation_spec = spaces.observation_spec(observation_space, task)
        self.action_spec = spaces.action_spec(action_space, task)
        shape = (num_envs, *self.observation_spec.shape)
        self._arrays = VectorStep(
            observation=np.zeros(shape, np.float32),
            next_observation=np.zeros(shape, np.float32),
            reward=np.zeros(num_envs, np.float32),
            terminated=np.zeros(num_envs, bool),
            truncated=np.zeros(num_envs, bool),
        )
        # Steps finished so far, for messages; None before the first reset.
        self._num_steps: int | None = None
        # Bounds in the box's own precision: a float64 bound rounded to float32 may lie outside the box.
        # Copies, as a task might write into its own.
        assert isinstance(action_space, gymnasium.spaces.Box)
        self._low, self._high = action_space.low.copy(), action_space.high.copy()
        self._bounds = spaces.box_bounds(action_space)
        self._actions_shape = (num_envs, *self.action_spec.shape)

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`.

        Raises:
          TaskError: If a task raises, or returns what its interface does not allow.
          NonFiniteError: If an observation is NaN or infinite; names the sub-environment.
        """
        self._begin(range(self.num_envs))
        if self._num_steps is None:
            self._num_steps = 0
        self._raise_if_not_finite(self._arrays.observation)
        return self._arrays.observation

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments (where `active`).

        Raises:
          ConfigurationError: If the environment has not been reset, or the shape is wrong.
          NonFiniteError: If an active row of the actions holds NaN, or an observation or reward is NaN or
            infinite; names sub-environment and step. Infinite actions are clipped like any other.
          TaskError: If a task raises, or returns what its interface does not allow; names sub-environment,
            step and call.
        """
        arrays = self._arrays
        boxed = self._boxed(actions, active)
        if active is not None:
            # A row that is not stepped must report that nothing happened, and no result of an earlier step.
            np.copyto(arrays.next_observation, arrays.observation)
            for results in (arrays.reward, arrays.terminated, arrays.truncated):
                results.fill(0)
        try:
            self._advance(boxed, active)
        except BaseException as error:
            raise task_error(error, self._place(), "step()") from None
        # Where an episode goes on its successor is acted on next; where it ended this is overwritten below.
        np.copyto(arrays.observation, arrays.next_observation)
        self._num_steps = 1 + (self._num_steps or 0)
        # Both have to be looked at only where a first look finds something.
        if not (_seems_finite(arrays.next_observation) and _seems_finite(arrays.reward)):
            self._raise_if_not_finite(arrays.next_observation)
        ended = (arrays.terminated | arrays.truncated).nonzero()[0].tolist()
        if ended:
            # After the copy, so that `next_observation` keeps the final observation of the old episode.
            self._begin(ended)
            if not _seems_finite(arrays.observation[ended]):
                self._raise_if_not_finite(arrays.observation)
        return arrays

    def restart(self, where: np.ndarray) -> np.ndarray:
        """Starts a new episode where `where`, `[N]` bool, is true; returns the observations `[N, O]`.

        Raises:
          ConfigurationError: If `where` is something else.
          TaskError: As `reset`.
        """
        self._require_mask("where", where)
        self._begin(np.flatnonzero(where).tolist())
        self._raise_if_not_finite(self._arrays.observation)
        return self._arrays.observation

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`."""
        return self._arrays.observation

    def _advance(self, actions: np.ndarray, active: np.ndarray | None) -> None:
        """Steps the sub-environments and writes the results into `self._arrays`.

        Args:
          actions: `[N, A]`, inside the box.
          active: `[N]` bool, which sub-environments to step; None steps all of them. The arrays already hold
            what the others report: the same observation, reward 0, no end.
        """
        raise NotImplementedError

    def _restart(self, indices: Sequence[int]) -> None:
        """Starts episodes in these sub-environments and writes their first observations into the arrays."""
        raise NotImplementedError

    def _begin(self, indices: Sequence[int]) -> None:
        try:
            self._restart(indices)
        except BaseException as error:
            raise task_error(error, self._reset_place(), "reset()") from None

    def _raise_from_close(self, error: BaseException) -> None:
        """Raises what `close` did, unless it was called because of another error, which matters more."""
        first = sys.exception()
        if first is None:
            raise error from None
        first.add_note(f"{error}")

    def _place(self, row: int | None = None) -> str:
        """Returns which sub-environment it is, None for all, and the step under way, for messages."""
        return f"{self._name(row)}, step {1 + (self._num_steps or 0)}"

    def _reset_place(self, row: int | None = None) -> str:
        """Returns which sub-environment it is, None for all, and when it is reset, for messages."""
        when = "first reset" if self._num_steps is None else f"reset after step {self._num_steps}"
        return f"{self._name(row)}, {when}"

    def _name(self, row: int | None) -> str:
        return self.task if row is None else f"{self.task}, sub-environment {row}"

    def _require_same_box(self, env: gymnasium.Env) -> None:
        """Raises a `TaskError` if the action space of `env` is no longer what it was at first."""
        space: gymnasium.Space = env.action_space
        if spaces.box_bounds(space) != self._bounds:
            was = gymnasium.spaces.Box(self._low, self._high, dtype=self._low.dtype.type)
            raise TaskError(
                f"the action space must stay what it was when the environment was made, {was}; it is now "
                f"{shown(space)}. Give it its final bounds in __init__."
            )

    def _boxed(self, actions: np.ndarray, active: np.ndarray | None) -> np.ndarray:
        """Returns a fresh `[N, A]` array of `actions` clipped to the box, in the box's dtype.

        The array is new, because a task may keep the action that it is given.
        """
        if self._num_steps is None:
            raise ConfigurationError(f"{self.task} must be reset before its first step: call reset().")
        # The first test costs nothing, the second one microseconds.
        is_plain = actions.__class__ is np.ndarray and actions.dtype.kind in returned_values.REAL_KINDS
        if not is_plain and returned_values.real_numbers(actions) is None:
            raise ConfigurationError(
                f"actions for {self.task} must be an array of real numbers; got {shown(actions)}. Give the "
                "first item of what a policy's act returns."
            )
        actions = np.asarray(actions, self._low.dtype)
        if actions.shape != self._actions_shape:
            raise ConfigurationError(
                f"actions for {self.task} must have shape {self._actions_shape}, one row per "
                f"sub-environment; got {actions.shape}."
            )
        if active is not None:
            self._require_mask("active", active)
            # A row that is not used may hold anything, and NaN there is no error.
            actions = np.where(active[:, np.newaxis], actions, self._low)
        boxed = actions.clip(self._low, self._high)
        # Clipping leaves NaN what it is, so a single test after it finds every one.
        if not _seems_finite(boxed) and np.isnan(boxed).any():
            row = int(np.flatnonzero(np.isnan(boxed).any(axis=1))[0])
            raise NonFiniteError(
                f"The action for {self.task}, sub-environment {row}, step {self._num_steps + 1} is NaN: "
                f"{actions[row]}. The policy has diverged: resume from a checkpoint with smaller steps."
            )
        return boxed

    def _require_mask(self, name: str, mask: np.ndarray) -> None:
        is_array = isinstance(mask, np.ndarray) and mask.dtype == bool
        if not is_array or mask.shape != (self.num_envs,):
            raise ConfigurationError(
                f"{name} must be an array of bool of shape ({self.num_envs},); got {shown(mask)}."
            )

    def _raise_if_not_finite(self, observation: np.ndarray) -> None:
        wrong = ~np.isfinite(observation)
        reward = self._arrays.reward
        for row in np.flatnonzero(wrong.any(axis=1) | ~np.isfinite(reward)):
            what = "observation" if wrong[row].any() else "reward"
            raise NonFiniteError(
                f"The {what} of {self.task}, sub-environment {row}, step {self._num_steps} is not finite: "
                f"observation {observation[row]}, reward {reward[row]}. Bound the task's state, or "
                "resume from a checkpoint with smaller steps."
            )

    def _get_progress(self) -> dict[str, np.ndarray]:
        """Returns what the next step needs of this class, copied."""
        return {"observation": self._arrays.observation.copy(), "num_steps": np.array(self._num_steps or 0)}

    def _set_progress(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `_get_progress` returned."""
        np.copyto(self._arrays.observation, state["observation"])
        self._num_steps = int(state["num_steps"])

    def _picture(self, env: gymnasium.Env) -> np.ndarray:
        """Returns an RGB picture `[height, width, 3]` uint8 of a sub-environment.

        Raises:
          ConfigurationError: If it was not made with `render_mode="rgb_array"`.
        """
        if env.render_mode != "rgb_array":
            raise ConfigurationError(
                f"{self.task} was made with render_mode={env.render_mode!r} and gives no pictures. "
                'Load it with make_kwargs={"render_mode": "rgb_array"}.'
            )
        try:
            picture = env.render()
        except BaseException as error:
            raise task_error(error, self._name(0), "render()") from None
        return returned_values.picture(picture, self._name(0))


def _seems_finite(array: np.ndarray) -> bool:
    """Whether no element is NaN or infinite, at a third of the price of a test of every element.

    If an element is not finite, neither is the sum of the squares. Large finite elements may overflow it too,
    so the elements have to be looked at before anything is said of them.
    """
    return math.isfinite(np.vdot(array, array))
