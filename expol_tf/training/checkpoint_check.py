"""What a checkpoint of a run must hold, checked before anything of it is restored.

Checksums tell bytes that changed. This tells entries that are not there, and text in the place of numbers,
whoever wrote the checksums.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from expol_tf.runs import TABLES_SCHEMA, reading
from expol_tf.training.checkpointing import Restored

_VALUES = reading.entries(
    iteration=reading.is_count,
    wall_time_s=reading.is_number,
    evaluated_at=reading.is_count,
    episodes=reading.entries(
        episodes=reading.is_count,
        recent=reading.sequence(reading.is_real),
        returns=reading.sequence(reading.is_real),
        lengths=reading.sequence(reading.is_count),
    ),
    # The first runs of 0.2 have none.
    tables=reading.optional(TABLES_SCHEMA),
    is_midway=reading.optional(reading.is_flag),
    unseen=reading.optional(
        reading.entries(
            metrics=reading.optional(reading.is_object),
            evaluation=reading.optional(reading.entries(return_mean=reading.is_real)),
        )
    ),
)
# A task's own arrays, by layer: only the task knows which there must be.
_OF_A_LAYER = re.compile(r"environment/\d+\.")
_GENERATOR = re.compile(r".*(np_random|generator)")
# The arrays of a run whose environments can save their state.
_OF_EPISODES = re.compile(r"environment/|episode_|policy_state/")


def problem_with(restored: Restored, fresh: Mapping[str, np.ndarray]) -> str | None:
    """Returns what is wrong with the values and arrays of a checkpoint, None if nothing is.

    Args:
      restored: What it holds.
      fresh: The arrays of a runner that has not begun; those of a run have the same names and types.
    """
    if problem := _VALUES(restored.values):
        return f"manifest.json: values: {problem}"
    saves_episodes = any(map(_OF_EPISODES.match, restored.arrays))
    for name, array in fresh.items():
        if _OF_A_LAYER.match(name) or (_OF_EPISODES.match(name) and not saves_episodes):
            continue
        saved = restored.arrays.get(name)
        if saved is None:
            return f"arrays.npz: it has no {name!r}"
        if saved.dtype.kind != array.dtype.kind or saved.ndim != array.ndim:
            wanted, got = (f"{a.dtype} of rank {a.ndim}" for a in (array, saved))
            return f"arrays.npz: {name!r} must be {wanted}; got {got}"
        if _GENERATOR.fullmatch(name) and not all(map(_is_generator, saved.ravel().tolist())):
            return f"arrays.npz: {name!r} is no state of a random generator"
    return None


def _is_generator(text: Any) -> bool:
    try:
        return "bit_generator" in json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return False
