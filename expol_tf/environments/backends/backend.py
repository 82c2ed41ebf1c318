"""The part of a vector environment that does not depend on what steps the simulators."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium
import numpy as np

from expol_tf.environments.backends.step_arrays import StepArrays
from expol_tf.environments.vector_environment import VectorEnvironment, VectorStep


class Backend(VectorEnvironment):
    """Checks actions, calls the simulators, checks their results and restarts finished episodes.

    A subclass defines `_advance`, which steps its simulators, and `_restart`, which begins their episodes.
    Both write their results into `self._arrays`.
    """

    def __init__(
        self, task: str, num_envs: int, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ):
        """Allocates the arrays of a step for N sub-environments with these spaces."""
        self.task = task
        self.num_envs = num_envs
        self._arrays = StepArrays(task, num_envs, observation_space, action_space)
        self.observation_spec = self._arrays.observation_spec
        self.action_spec = self._arrays.action_spec

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""
        self._restart(range(self.num_envs))
        return self._arrays.started()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments (where `active`)."""
        arrays = self._arrays
        boxed = arrays.boxed(actions, active)
        if active is not None:
            # A row that is not stepped must report that nothing happened, and no result of an earlier step.
            arrays.clear()
        self._advance(boxed, active)
        # Where an episode goes on its successor is acted on next; where it ended this is overwritten below.
        np.copyto(arrays.observation, arrays.next_observation)
        result = arrays.finished()
        ended = arrays.ended()
        if ended:
            # After the copy, so that `next_observation` keeps the final observation of the old episode.
            self._restart(ended)
            arrays.check_restarted(ended)
        return result

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
