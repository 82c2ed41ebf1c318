"""The interface between the training loop and the runners of all algorithms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from expol_tf.errors import NonFiniteError


class Iteration(NamedTuple):
    """What one iteration did.

    Attributes:
      env_steps: Environment steps over all environments.
      episode_returns: The returns of the episodes that ended in it.
      episode_lengths: Their lengths, in environment steps.
      metrics: The agent's metrics by name; none if the iteration made no update.
      complete: Whether it came to its end. Otherwise a signal asked for a stop: `env_steps` are those that
        the runner's state holds already (none, if it begins the iteration again), and the rest comes later.
    """

    env_steps: int
    episode_returns: list[float]
    episode_lengths: list[int]
    metrics: dict[str, float]
    complete: bool = True


class Runner(Protocol):
    """Collects and trains, one iteration after the other.

    Attributes:
      iteration_steps: Environment steps of an iteration over all environments.
      algorithm_columns: Metrics with a column of their own in `metrics.csv`, in this order. Others that the
        first row has follow.
    """

    iteration_steps: int
    algorithm_columns: tuple[str, ...]

    def iterate(self) -> Iteration:
        """Steps the environments and trains, to the end or until `expol_tf.interruption.stop_requested`."""

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns what decides the future besides the agent's variables, as arrays that nobody changes."""

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned."""


def require_finite(metrics: Mapping[str, float], agent: Any, settings: str) -> None:
    """Raises a `NonFiniteError` if a metric is NaN or infinite; `settings` are the step sizes to lower."""
    broken = [name for name, value in metrics.items() if not np.isfinite(value)]
    if broken:
        raise NonFiniteError(
            f"{type(agent).__name__}: {', '.join(broken)} must be finite; got "
            f"{', '.join(str(metrics[name]) for name in broken)}. The last checkpoint is from before "
            f"this iteration. Lower the step sizes {settings}, or look at the scale of the task's rewards."
        )
