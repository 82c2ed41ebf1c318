"""The vector interface: one call steps N sub-environments and resets those whose episode ends."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from tf_agents.specs import array_spec

from expol_tf.errors import CapabilityError


class VectorStep(NamedTuple):
    """The result of one step of N sub-environments.

    The environment overwrites the arrays at its next step: copy what you keep.

    Attributes:
      observation: Observations to act on next, `[N, O]` float32. Where an episode ended, it is the first
        observation of the new one.
      next_observation: Observations that the actions led to, `[N, O]` float32. Where an episode ended, it is
        the final observation of the old one.
      reward: Rewards, `[N]` float32.
      terminated: Where an episode ended in a terminal state, `[N]` bool.
      truncated: Where an episode was cut off, by a time limit for example, `[N]` bool. Its final state still
        has a value.
    """

    observation: np.ndarray
    next_observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


@runtime_checkable
class VectorEnvironment(Protocol):
    """N copies of a task. A sub-environment whose episode ends is reset within the same step.

    So every step is a real transition, and a learner has no boundary frames to mask. A class of your own can
    inherit from this one and leave out what it cannot do.

    Attributes:
      task: The task's name.
      num_envs: Number of sub-environments N.
      observation_spec: Spec of one sub-environment's observation, float32 `[O]`.
      action_spec: Spec of one sub-environment's action, float32 `[A]` with finite bounds.
      can_save_state: Whether `get_state` and `set_state` work; False unless a class says otherwise.
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
          actions: Actions in the units of the task, `[N, A]`. NaN is an error.
          active: Which sub-environments to step, `[N]` bool. The others stay as they are and report reward 0
            and no end. None steps all of them.
        """

    def restart(self, where: np.ndarray) -> np.ndarray:
        """Starts a new episode where `where`, `[N]` bool, is true; returns the observations `[N, O]`.

        An evaluation asks for that where it cuts off an episode that does not end by itself.

        Raises:
          CapabilityError: If sub-environments cannot be restarted by themselves.
        """
        raise CapabilityError(_cannot(self, "restart a sub-environment by itself"))

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`; valid after `reset`, `step` and `set_state`."""

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns everything that decides the future, as arrays that `np.savez` stores without pickle.

        Raises:
          CapabilityError: If the state cannot be saved.
        """
        raise CapabilityError(_cannot(self, "save its state"))

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned, so that the next steps are the same bit for bit.

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
