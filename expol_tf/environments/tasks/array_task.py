"""Tasks whose physics is a few lines of NumPy, which serve one environment and many."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from expol_tf.environments.tasks import task_calls
from expol_tf.errors import ConfigurationError
from expol_tf.saved_states import require_saved

# How many of the last transitions a picture shows.
_HISTORY = 100
_PICTURE_SIZE = 480


class Transition(NamedTuple):
    """What actions do in states.

    Attributes:
      state: Next states s′, `[n, S]`.
      reward: Rewards, `[n]`.
      terminated: Where the episode ends in a terminal state, `[n]` bool.
      info: Further results, name → array `[n, ...]`, with the same names in every step. A learner never sees
        them.
    """

    state: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    info: Mapping[str, np.ndarray] | None = None


class TaskStep(NamedTuple):
    """A transition (s, a, s′) of one environment, kept for pictures.

    Attributes:
      state: The state s, `[S]`.
      action: The action a, `[A]`.
      next_state: The next state s′, `[S]`.
    """

    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray


class ArrayTask(Protocol):
    """A task as pure functions of float64 arrays that have one row for each of n environments.

    The result in a row must not depend on the other rows. Actions have been clipped to the box.

    Attributes:
      observation_space: A float32 box `[O]`.
      action_space: A float32 box `[A]`.
    """

    observation_space: spaces.Box
    action_space: spaces.Box

    def initial_state(self, generator: np.random.Generator) -> np.ndarray:
        """Draws the state `[S]` in which an episode starts."""

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Returns the observations `[n, O]` of states `[n, S]`."""

    def transition(self, state: np.ndarray, action: np.ndarray) -> Transition:
        """Returns the results of actions `[n, A]` in states `[n, S]`."""

    def draw(self, axes: Any, steps: Sequence[TaskStep]) -> None:
        """Draws the task and its last steps, oldest first, into Matplotlib axes."""


class ArrayTaskEnv(gymnasium.Env):
    """An `ArrayTask` as a Gymnasium environment. `load` steps many copies as rows of one array.

    Actions outside the box are clipped to it. With `render_mode="rgb_array"` pictures show the last hundred
    steps.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, task: ArrayTask, render_mode: str | None = None):
        """Makes an environment.

        Args:
          task: The task to step.
          render_mode: "rgb_array" to make pictures, else None.

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
        """Starts an episode and returns its first observation `[O]` with an empty info."""
        super().reset(seed=seed)
        self._state = task_calls.initial_state(self.task, self.np_random)
        return self._observe(self._state), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Takes a step with an action `[A]`. It never truncates; the info is the task's."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset() before the first step.")
        box = self.action_space
        assert isinstance(box, spaces.Box)
        # In double precision and clipped, as a vector environment hands actions to the task.
        action = np.clip(np.asarray(action, np.float64), box.low, box.high)
        result = task_calls.transition(self.task, self._state[np.newaxis], action[np.newaxis])
        after = result.state[0]
        self.record(self._state, action, after)
        self._state = after
        info = {name: values[0] for name, values in (result.info or {}).items()}
        # Python's own numbers, because users write `info[...] is True`.
        info = {name: value.item() if np.ndim(value) == 0 else value for name, value in info.items()}
        return self._observe(after), float(result.reward[0]), bool(result.terminated[0]), False, info

    def record(self, state: np.ndarray, action: np.ndarray, next_state: np.ndarray) -> None:
        """Keeps a step for pictures, if there is a render mode."""
        if self.render_mode is not None:
            self._steps.append(TaskStep(state.copy(), action.copy(), next_state.copy()))

    def render(self) -> Any:
        """Returns an RGB picture `[480, 480, 3]` uint8 of the last steps; None without a render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() needs an environment made with render_mode="rgb_array".')
            return None
        # Without pyplot, whose open figures belong to the user's session.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_PICTURE_SIZE / 100, _PICTURE_SIZE / 100), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        self.task.draw(figure.add_subplot(), list(self._steps))
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the task's state. The environment's generator is saved separately."""
        return {} if self._state is None else {"state": self._state.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CheckpointError: If it is something else.
        """
        present = self._state
        if present is None:
            if state == {}:  # That of an environment that has not been reset either.
                return
            present = task_calls.initial_state(self.task, np.random.default_rng(0))
        require_saved(state, {"state": present}, type(self).__name__, "Resume with the run's own task.")
        self._state = np.array(state["state"])

    def _observe(self, state: np.ndarray) -> np.ndarray:
        return np.asarray(task_calls.observe(self.task, state[np.newaxis])[0], np.float32)
