"""Callbacks that watch a run, and two that are often wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from expol_tf.argument_types import shown
from expol_tf.checked import checked
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.factories import shown_factory
from expol_tf.number_types import Finite
from expol_tf.runs import atomic_files, reading
from expol_tf.training.export import export_policy

_BEST = reading.entries(return_mean=reading.is_real)
_REMEDY = "Remove it, and start the same command again: the next evaluation counts as the best so far."


class TrainingEvent(NamedTuple):
    """The state of a run after an iteration.

    Attributes:
      env_step: Environment steps so far.
      metrics: The iteration's row of `metrics.csv`, or None if it wrote none (`log_interval`).
      evaluation: The row of `evaluation.csv`, if the policy was evaluated after this iteration.
      recent_return: Mean return of the last hundred training episodes, None before the first ends.
      agent: The agent.
      root_dir: The run's directory.
    """

    env_step: int
    metrics: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    recent_return: float | None
    agent: Any
    root_dir: Path


# Called after every iteration; True ends the run there, with a checkpoint, as if it had finished.
Observer = Callable[[TrainingEvent], bool | None]


def asks_for_end(observer: Observer, event: TrainingEvent) -> bool:
    """Calls an observer and returns whether it ends the run there.

    Raises:
      ConfigurationError: It returned something else than True, False or None, or it called `sys.exit`.
    """
    try:
        answer = observer(event)
    except SystemExit as error:
        raise ConfigurationError(
            f"observers: {shown_factory(observer)} must return True to end the run; at env_step "
            f"{event.env_step} it called sys.exit({error.code!r}), which would end the program without a "
            "checkpoint."
        ) from error
    if answer is None:
        return False
    is_array = isinstance(answer, np.ndarray | tf.Tensor) and answer.shape == () and answer.dtype == bool
    if not (is_array or isinstance(answer, bool | np.bool_)):
        raise ConfigurationError(
            f"observers: {shown_factory(observer)} must return True, False or None; at env_step "
            f"{event.env_step} it returned {shown(answer)}. True ends the run."
        )
    return bool(answer)


@configurable
class StopAtReturn:
    """Ends the run once the evaluated return reaches a target.

    Args:
      target: Mean evaluation return at which to stop.
    """

    def __init__(self, target: Finite) -> None:
        self._target = target

    @checked
    def __call__(self, event: TrainingEvent) -> bool:
        return event.evaluation is not None and event.evaluation["return_mean"] >= self._target


@configurable
class KeepBestPolicy:
    """Keeps a copy of the policy with the best evaluation in the run's `best_policy/`.

    Its score lies beside it in `best_policy.json`, so a resumed run goes on comparing with it.
    """

    @checked
    def __call__(self, event: TrainingEvent) -> None:
        if event.evaluation is None:
            return
        record = event.root_dir / "best_policy.json"
        best = float("-inf")
        if reading.is_there(record):
            best = reading.read_json(record, _BEST, _REMEDY)["return_mean"]
        if event.evaluation["return_mean"] > best:
            export_policy(event.agent, event.root_dir / "best_policy")
            atomic_files.write_atomically(record, json.dumps(event.evaluation) + "\n")
