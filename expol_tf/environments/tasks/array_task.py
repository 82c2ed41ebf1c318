"""Tasks whose physics is a few lines of NumPy, written once for one environment and for many."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from expol_tf.errors import ConfigurationError

# Transitions that a picture shows.
_HISTORY = 100
_PICTURE_SIZE = 480


class Transition(NamedTuple):
    """The physics' answer to actions.

    Attributes:
      state: s′, `[n, S]`.
      reward: `[n]`.
      terminated: Bool `[n]`.
      info: What else a step has to tell, an array `[n, ...]` each; the same names in every step. A learner
        never sees it.
    """

    state: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    info: Mapping[str, np.ndarray] | None = None


class TaskStep(NamedTuple):
    """A transition (s, a, s′) of one environment, as pictures show it: `[S]`, `[A]`, `[S]`."""

    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray


class ArrayTask(Protocol):
    """A task as pure functions of arrays with a row for each of n environments, float64.

    A row's result must not depend on the other rows. Actions have been clipped to the box.

    Attributes:
      observation_space: Float32 box `[O]`.
      action_space: Float32 box `[A]`.
    """

    observation_space: spaces.Box
    action_space: spaces.Box

    def initial_state(self, generator: np.random.Generator) -> np.ndarray:
        """Draws the state `[S]` in which an episode starts."""

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Returns the observations `[n, O]` of states `[n, S]`."""

    def transition(self, state: np.ndarray, action: np.ndarray) -> Transition:
        """Returns what actions `[n, A]` do in states `[n, S]`."""

    def draw(self, axes: Any, steps: Sequence[TaskStep]) -> None:
        """Draws the task and its last steps, the newest last, into Matplotlib axes."""


class ArrayTaskEnv(gymnasium.Env):
    """A Gymnasium environment of an `ArrayTask`; `load` steps many of one as rows of an array.

    Actions outside the box act like those clipped to it. `render_mode="rgb_array"` gives pictures of the last
    hundred steps.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, task: ArrayTask, render_mode: str | None = None):
        """Makes an environment.

        Args:
          task: The physics.
          render_mode: None or "rgb_array".

        Raises:
          ConfigurationError: If the render mode is another one.
        """
        if render_mode not in (None, "rgb_array"):
            raise ConfigurationError(f'render_mode must be None or "rgb_array"; got {render_mode!r}.')
        self.task = task
        self.observation_space = task.observation_space
        self.action_space = task.action_space
        self.render_mode = render_mode
        self._state: np.ndarray | None = None
        self._steps: collections.deque[TaskStep] = collections.deque(maxlen=_HISTORY)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode; returns its first observation `[O]` and no info."""
        super().reset(seed=seed)
        self._state = self.task.initial_state(self.np_random)
        return self._observe(self._state), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Takes a step with an action `[A]`; never truncates. The info is the task's."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset() before the first step.")
        box = self.action_space
        assert isinstance(box, spaces.Box)
        action = np.clip(np.asarray(action, np.float64), box.low, box.high)
        result = self.task.transition(self._state[np.newaxis], action[np.newaxis])
        after = result.state[0]
        self.record(self._state, action, after)
        self._state = after
        info = {name: values[0] for name, values in (result.info or {}).items()}
        # Numbers of Python's own, as `if info[...]` and `is True` expect them.
        info = {name: value.item() if np.ndim(value) == 0 else value for name, value in info.items()}
        return self._observe(after), float(result.reward[0]), bool(result.terminated[0]), False, info

    def record(self, state: np.ndarray, action: np.ndarray, next_state: np.ndarray) -> None:
        """Remembers a step for pictures, if there are to be any."""
        if self.render_mode is not None:
            self._steps.append(TaskStep(state.copy(), action.copy(), next_state.copy()))

    def render(self) -> Any:
        """Returns an RGB picture `[480, 480, 3]` uint8 of the last steps; None without a render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() needs an environment made with render_mode="rgb_array".')
            return None
        # Not pyplot, whose figures belong to the user's own session.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_PICTURE_SIZE / 100, _PICTURE_SIZE / 100), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        self.task.draw(figure.add_subplot(), list(self._steps))
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the state; the environment's generator is saved besides."""
        return {} if self._state is None else {"state": self._state.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned."""
        self._state = np.array(state["state"]) if "state" in state else None

    def _observe(self, state: np.ndarray) -> np.ndarray:
        return np.asarray(self.task.observe(state[np.newaxis])[0], np.float32)
