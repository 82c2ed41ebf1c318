"""Sub-environments stepped one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gymnasium
import numpy as np

from expol_tf.environments import spaces
from expol_tf.environments.vector_environment import VectorStep
from expol_tf.errors import ConfigurationError, NonFiniteError


class SyncVectorEnvironment:
    """N Gymnasium environments in a loop, with float32 arrays allocated once and same-step resets.

    Implements `VectorEnvironment`. Sub-environment i is seeded, at its first reset, with the first word of
    `np.random.SeedSequence(seed).spawn(N)[i]`; later resets go on with its own generator.
    """

    def __init__(self, envs: Sequence[gymnasium.Env], seed: int | None = None, task: str | None = None):
        """Wraps `envs`, all of one task.

        Args:
          envs: The sub-environments, at least one.
          seed: Seed of all of them; None draws one from the operating system.
          task: The task's name; by default that of the first one's registration or class.
        """
        self._envs = list(envs)
        self.num_envs = len(self._envs)
        first = self._envs[0]
        self.task = task or (first.spec.id if first.spec else type(first.unwrapped).__name__)
        self.observation_spec = spaces.observation_spec(first.observation_space, self.task)
        self.action_spec = spaces.action_spec(first.action_space, self.task)
        self.can_save_state = False
        children = np.random.SeedSequence(seed).spawn(self.num_envs)
        self._seeds: list[int | None] = [int(child.generate_state(1)[0]) for child in children]
        self._low, self._high = first.action_space.low, first.action_space.high
        shape = (self.num_envs, *self.observation_spec.shape)
        self._observation = np.zeros(shape, np.float32)
        self._next_observation = np.zeros(shape, np.float32)
        self._reward = np.zeros(self.num_envs, np.float32)
        self._terminated = np.zeros(self.num_envs, bool)
        self._truncated = np.zeros(self.num_envs, bool)
        self._is_reset = False
        self._steps: list[Callable] = [env.step for env in self._envs]
        self._everyone = range(self.num_envs)

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""
        for i, env in enumerate(self._envs):
            self._observation[i] = env.reset(seed=self._seeds[i])[0]
            self._seeds[i] = None
        self._is_reset = True
        return self._observation

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments (where `active`)."""
        if not self._is_reset:
            raise ConfigurationError(f"{self.task} must be reset before its first step: call reset().")
        # A fresh array each step: a task may keep the action it was given.
        actions = np.asarray(actions, dtype=self._low.dtype).clip(self._low, self._high)
        if np.isnan(actions).any():
            raise NonFiniteError(f"An action for {self.task} is NaN: the policy has diverged.")
        successor, reward = self._next_observation, self._reward
        terminated, truncated = self._terminated, self._truncated
        steps = self._steps
        indices = self._everyone
        if active is not None:
            indices = np.flatnonzero(active)
            successor[:] = self._observation
            reward[:] = 0
            terminated[:] = False
            truncated[:] = False
        for i in indices:
            successor[i], reward[i], terminated[i], truncated[i], _ = steps[i](actions[i])
        np.copyto(self._observation, successor)
        for i in np.flatnonzero(terminated | truncated):
            self._observation[i] = self._envs[i].reset()[0]
        return VectorStep(self._observation, successor, reward, terminated, truncated)

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`."""
        return self._observation

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        return self._envs[0].render()

    def close(self) -> None:
        """Closes the sub-environments."""
        for env in self._envs:
            env.close()
