"""The arrays of a step, with their specs and checks."""

from __future__ import annotations

import gymnasium
import numpy as np

from expol_tf.environments import spaces
from expol_tf.environments.vector_environment import VectorStep
from expol_tf.errors import ConfigurationError, NonFiniteError


class StepArrays:
    """The float32 arrays that N sub-environments write their steps into, allocated once.

    Attributes:
      task: The task's name, for messages.
      num_envs: Number of sub-environments N.
      observation_spec: Spec `[O]` of one sub-environment's observation.
      action_spec: Spec `[A]` of one sub-environment's action.
      observation, next_observation, reward, terminated, truncated: As in `VectorStep`.
      num_steps: Number of steps finished so far, for messages; None before the first reset.
    """

    def __init__(
        self, task: str, num_envs: int, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ):
        """Allocates the arrays; an unsupported space of a sub-environment is a `SpaceError`."""
        self.task = task
        self.num_envs = num_envs
        self.observation_spec = spaces.observation_spec(observation_space, task)
        self.action_spec = spaces.action_spec(action_space, task)
        self.observation = np.zeros((num_envs, *self.observation_spec.shape), np.float32)
        self.next_observation = np.zeros_like(self.observation)
        self.reward = np.zeros(num_envs, np.float32)
        self.terminated = np.zeros(num_envs, bool)
        self.truncated = np.zeros(num_envs, bool)
        self.num_steps: int | None = None
        # Bounds in the box's own precision: a float64 bound rounded to float32 may lie outside the box.
        assert isinstance(action_space, gymnasium.spaces.Box)
        self._low, self._high = action_space.low, action_space.high

    def boxed(self, actions: np.ndarray, active: np.ndarray | None) -> np.ndarray:
        """Returns a fresh `[N, A]` array of `actions` clipped to the box, in the box's dtype.

        The array is new, because a task may keep the action that it is given.

        Args:
          actions: Actions to take, `[N, A]`.
          active: `[N]` bool, the rows that are used; None uses all. The other rows become the low bounds.

        Raises:
          ConfigurationError: If the environment has not been reset, or the shape is wrong.
          NonFiniteError: If an active row holds NaN. Infinite components are clipped like any other.
        """
        if self.num_steps is None:
            raise ConfigurationError(f"{self.task} must be reset before its first step: call reset().")
        actions = np.asarray(actions, self._low.dtype)
        if actions.shape != (self.num_envs, *self.action_spec.shape):
            raise ConfigurationError(
                f"actions for {self.task} must have shape {(self.num_envs, *self.action_spec.shape)}, one "
                f"row per sub-environment; got {actions.shape}."
            )
        if active is not None:
            # A row that is not used may hold anything, and NaN there is no error.
            actions = np.where(active[:, np.newaxis], actions, self._low)
        boxed = actions.clip(self._low, self._high)
        # Clipping leaves NaN what it is, so a single test after it finds every one.
        if np.isnan(boxed).any():
            row = int(np.flatnonzero(np.isnan(boxed).any(axis=1))[0])
            raise NonFiniteError(
                f"The action for {self.task}, sub-environment {row}, step {self.num_steps + 1} is NaN: "
                f"{actions[row]}. The policy has diverged: resume from a checkpoint with smaller steps."
            )
        return boxed

    def clear(self) -> None:
        """Writes into every row what a sub-environment reports that is not stepped: nothing happened."""
        np.copyto(self.next_observation, self.observation)
        self.reward.fill(0)
        self.terminated.fill(False)
        self.truncated.fill(False)

    def ended(self) -> list[int]:
        """Returns the sub-environments whose episode ended in this step."""
        return np.flatnonzero(self.terminated | self.truncated).tolist()

    def finished(self) -> VectorStep:
        """Counts the step, checks that its arrays are finite and returns them.

        Raises:
          NonFiniteError: If an observation or reward is NaN or infinite; names sub-environment and step.
        """
        self.num_steps = 1 + (self.num_steps or 0)
        # A sum is cheaper than a test of every element. If a term is not finite, neither is the sum. Large
        # finite terms may overflow too, so the elements are looked at before an error is raised.
        if not np.isfinite(self.next_observation.sum() + self.reward.sum()):
            self._raise_if_not_finite(self.next_observation)
        return VectorStep(
            self.observation, self.next_observation, self.reward, self.terminated, self.truncated
        )

    def started(self) -> np.ndarray:
        """Checks that the first observations of new episodes are finite and returns them."""
        if self.num_steps is None:
            self.num_steps = 0
        self._raise_if_not_finite(self.observation)
        return self.observation

    def check_restarted(self, rows: list[int]) -> None:
        """Checks that the first observations of the episodes that began in these rows are finite."""
        if not np.isfinite(self.observation[rows].sum()):
            self._raise_if_not_finite(self.observation)

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns what the next step needs of these arrays, copied."""
        return {"observation": self.observation.copy(), "num_steps": np.array(self.num_steps or 0)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned."""
        np.copyto(self.observation, state["observation"])
        self.num_steps = int(state["num_steps"])

    def _raise_if_not_finite(self, observation: np.ndarray) -> None:
        wrong = ~np.isfinite(observation)
        for row in np.flatnonzero(wrong.any(axis=1) | ~np.isfinite(self.reward)):
            what = "observation" if wrong[row].any() else "reward"
            raise NonFiniteError(
                f"The {what} of {self.task}, sub-environment {row}, step {self.num_steps} is not finite: "
                f"observation {observation[row]}, reward {self.reward[row]}. Bound the task's state, or "
                "resume from a checkpoint with smaller steps."
            )
