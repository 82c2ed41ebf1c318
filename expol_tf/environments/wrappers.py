"""Wrappers around Gymnasium environments."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from expol_tf.configurable import configurable
from expol_tf.errors import SpaceError
from expol_tf.number_types import NonNegative
from expol_tf.saved_states import generator_state, require_saved, set_generator_state


@configurable
class NoisyObservation(gymnasium.ObservationWrapper, gymnasium.utils.RecordConstructorArgs):
    """o + σ·ε with ε ~ N(0, I), drawn anew at every step and reset.

    The wrapper has its own generator, seeded by `reset(seed=...)`, so that the task draws the same numbers as
    without the wrapper. The observation space loses its bounds.

    Example:
      `expol_tf.environments.load("Hopper-v5", num_envs=16, seed=0, wrappers=(NoisyObservation,))`
    """

    def __init__(self, env: gymnasium.Env, sigma: NonNegative = 0.1):
        """Wraps `env`.

        Args:
          env: An environment whose observation space is a box of floats.
          sigma: Standard deviation σ ≥ 0 of the noise on each component, in the units of the observation.

        Raises:
          ConfigurationError: If sigma is negative or not finite.
          SpaceError: If the observations are not a box of floats.
        """
        space = env.observation_space
        if not (isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)):
            raise SpaceError(f"NoisyObservation needs observations that are a Box of floats; got {space}.")
        gymnasium.utils.RecordConstructorArgs.__init__(self, sigma=sigma)
        gymnasium.ObservationWrapper.__init__(self, env)
        dtype: Any = space.dtype
        # Gaussian noise leaves any bounds.
        self.observation_space = spaces.Box(-np.inf, np.inf, space.shape, dtype)
        self._sigma = sigma
        self._noise = np.random.default_rng()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode. A seed also seeds the noise."""
        if seed is not None:
            # A child, so that the noise is independent of what the task draws from the same seed.
            self._noise = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        return super().reset(seed=seed, options=options)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """Returns `observation` with noise on every component, in the same dtype."""
        noise = self._noise.standard_normal(self.observation_space.shape)
        return np.asarray(observation + self._sigma * noise, self.observation_space.dtype)

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the state of the noise's generator. The wrapped environment's state is saved separately."""
        return {"noise": generator_state(self._noise)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CheckpointError: If it is something else.
        """
        require_saved(state, self.get_state(), "NoisyObservation", "Resume with the run's own wrappers.")
        set_generator_state(self._noise, state["noise"])
