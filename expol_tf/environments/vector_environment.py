"""The vector interface: N sub-environments stepped at once, reset in the step that ends an episode."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from tf_agents.specs import array_spec

from expol_tf.errors import CapabilityError


class VectorStep(NamedTuple):
    """What one step of N sub-environments returned.

    The arrays belong to the environment and are overwritten by its next step: copy what is to be kept.

    Attributes:
      observation: `[N, O]` float32, to act on next: the first one of the new episode where one just ended.
      next_observation: `[N, O]` float32, the true successor: the final observation where an episode ended.
      reward: `[N]` float32.
      terminated: `[N]` bool, the episode ended in a terminal state.
      truncated: `[N]` bool, the episode was cut off (a time limit); its final state still has a value.
    """

    observation: np.ndarray
    next_observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


@runtime_checkable
class VectorEnvironment(Protocol):
    """N copies of a task; a sub-environment whose episode ends is reset within the same step.

    Every step is thus a real transition: none is a boundary frame that a learner would have to mask.

    Attributes:
      task: The task's name.
      num_envs: N.
      observation_spec: float32 `[O]`, of one sub-environment.
      action_spec: float32 `[A]` with finite bounds, of one sub-environment.
      can_save_state: Whether `get_state` and `set_state` work.
    """

    task: str
    num_envs: int
    observation_spec: array_spec.BoundedArraySpec
    action_spec: array_spec.BoundedArraySpec
    can_save_state: bool = False

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments.

        Args:
          actions: `[N, A]`, in action units; NaN is an error.
          active: `[N]` bool; a sub-environment where it is false is left as it is (reward 0, no episode end).
            None steps all of them.
        """

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`; valid after `reset`, `step` and `set_state`."""

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns all that decides the future, as arrays that `np.savez` stores without pickle.

        Raises:
          CapabilityError: If the state cannot be saved.
        """
        raise CapabilityError(_cannot(self, "save its state"))

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned: the next step is bit-identical to what it would have been.

        Raises:
          CapabilityError: If the state cannot be saved.
          CheckpointError: If the state is that of other environments.
        """
        raise CapabilityError(_cannot(self, "restore a state"))

    def render(self) -> np.ndarray:
        """Returns an RGB picture `[height, width, 3]` uint8 of the first sub-environment.

        Raises:
          CapabilityError: If this environment makes no pictures.
          ConfigurationError: If it was not made with `render_mode="rgb_array"`.
        """
        raise CapabilityError(_cannot(self, "make pictures"))

    def close(self) -> None:
        """Frees what the sub-environments hold."""


def _cannot(environment: VectorEnvironment, what: str) -> str:
    name = type(environment).__name__
    return f'{name} of {environment.task} cannot {what}: choose backend="sync", or go on without.'
