"""A wrapper that sends this process a signal at a chosen step, and how two runs are compared."""

from __future__ import annotations

import csv
import os
import pathlib
import signal
import sys
from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf

from tests.training import sent_signals

TIMINGS = ("wall_time_s", "env_steps_per_s")


class Signalling(gymnasium.Wrapper):
    """Sends SIGTERM at the steps `sent_signals.AT`, counted over all environments, evaluation's too."""

    def step(self, action: np.ndarray) -> Any:
        # Not by name, which would make the counts a part of the run's configuration.
        sent = sys.modules["tests.training.sent_signals"]
        sent.STEPS.append(1)
        if len(sent.STEPS) in sent.AT:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.env.step(action)

    def get_state(self) -> dict[str, np.ndarray]:
        return {}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        pass


def send_at(*steps: int) -> None:
    """Begins counting anew."""
    sent_signals.STEPS.clear()
    sent_signals.AT[:] = steps


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Returns a table's rows without timings; none if there is no table."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name not in TIMINGS} for row in csv.DictReader(file)
        ]


def last_checkpoint(root: pathlib.Path) -> pathlib.Path:
    return sorted(path for path in (root / "checkpoints").iterdir() if path.name.startswith("checkpoint"))[-1]


def require_same(one: pathlib.Path, other: pathlib.Path) -> None:
    """Compares two finished runs: both tables, and everything in their last checkpoints, bit for bit."""
    for name in ("metrics.csv", "evaluation.csv"):
        assert rows(one / name) == rows(other / name) != [], name
    first, second = (last_checkpoint(root) for root in (one, other))
    assert first.name[:23] == second.name[:23]
    variables = [tf.train.load_checkpoint(str(path / "variables")) for path in (first, second)]
    names = [set(reader.get_variable_to_shape_map()) for reader in variables]
    assert names[0] == names[1]
    for name in names[0] - {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}:
        np.testing.assert_array_equal(*(reader.get_tensor(name) for reader in variables), err_msg=name)
    with np.load(first / "arrays.npz") as expected, np.load(second / "arrays.npz") as arrays:
        assert set(expected) == set(arrays)
        for name in expected:
            np.testing.assert_array_equal(arrays[name], expected[name], err_msg=name)
