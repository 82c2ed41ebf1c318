"""What a checkpoint of a run must hold, checked before anything of it is restored.

Checksums tell bytes that changed. This tells entries that are not there, text in the place of numbers,
numbers beyond all counting, and arrays of other shapes, whoever wrote the checksums. Each is listed once:
values in `_VALUES`, arrays in `_LIKE_FRESH` and `_BESIDES`, and what must agree in `_TOGETHER`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from expol_tf.errors import CheckpointError
from expol_tf.runs import TABLES_SCHEMA, reading
from expol_tf.saved_states import set_generator_state
from expol_tf.training.checkpointing import Restored
from expol_tf.training.runners.episodes import RECENT_EPISODES

_VALUES = reading.entries(
    iteration=reading.is_bounded_count,
    wall_time_s=reading.is_duration,
    evaluated_at=reading.is_bounded_count,
    episodes=reading.entries(
        episodes=reading.is_bounded_count,
        recent=reading.sequence(reading.is_real),
        returns=reading.sequence(reading.is_real),
        lengths=reading.sequence(reading.is_bounded_count),
    ),
    # The first runs of 0.2 have none.
    tables=reading.optional(TABLES_SCHEMA),
    is_midway=reading.optional(reading.is_flag),
    unseen=reading.optional(
        reading.entries(
            metrics=reading.nullable(reading.is_object),
            evaluation=reading.nullable(reading.entries(return_mean=reading.is_real)),
        )
    ),
)


class _Rule(NamedTuple):
    """What an array must be: the kind of its dtype, its shape (None for any size), and its least number.

    The largest is that of counts. Without a least one any number will do, NaN too.
    """

    kind: str
    shape: tuple[int | None, ...]
    least: float | None = None


# Arrays that a runner has before it begins keep their kind and shape, but for what the first expression that
# fits the name changes.
_LIKE_FRESH: tuple[tuple[re.Pattern[str], Callable[[_Rule], _Rule]], ...] = tuple(
    (re.compile(names), change)
    for names, change in (
        (r"replay/rows", lambda rule: rule._replace(shape=(None, *rule.shape[1:]))),
        (
            r"counters|replay/appended|episode_length|environment/(elapsed_steps|num_steps)",
            lambda rule: rule._replace(least=0),
        ),
        (r"environment/(observation|np_random|states|integration_state)", lambda rule: rule),
        # Of somebody else's simulation only the rank is known.
        (r"environment/.*", lambda rule: rule._replace(shape=(None,) * len(rule.shape))),
        (r".*", lambda rule: rule),
    )
)
# Arrays that a runner has only now and then.
_BESIDES = {
    "action": _Rule("f", (None, None)),
    "finished_return": _Rule("f", (None,)),
    "finished_length": _Rule("i", (None,), 0),
    "iteration/counters": _Rule("i", (2,), 0),
    "iteration/metric_sums": _Rule("f", (None,)),
}
# A task's own arrays, by layer: only the task knows which there must be. There is a row for each
# sub-environment, or an array of its own.
_OF_A_LAYER = re.compile(r"environment/\d+\.[^#]*(?:#(\d+))?")
# The arrays of a run whose environments can save their state.
_OF_EPISODES = re.compile(r"environment/|episode_|policy_state/")


def _length(arrays: Mapping[str, np.ndarray], name: str) -> int:
    return len(arrays[name]) if name in arrays else 0


# What must be so of entries that are each right by themselves.
_TOGETHER: tuple[tuple[str, Callable[[Restored, dict[str, Any]], bool]], ...] = (
    (
        "manifest.json: values: 'evaluated_at' must not be after the checkpoint",
        lambda it, episodes: it.values["evaluated_at"] <= it.env_step,
    ),
    (
        "manifest.json: values: 'episodes' must have as many 'returns' as 'lengths', no more than 'episodes'",
        lambda it, episodes: len(episodes["returns"]) == len(episodes["lengths"]) <= episodes["episodes"],
    ),
    (
        f"manifest.json: values: 'episodes' must have the last {RECENT_EPISODES} in 'recent'",
        lambda it, episodes: len(episodes["recent"]) <= min(RECENT_EPISODES, episodes["episodes"]),
    ),
    (
        "arrays.npz: 'finished_return' and 'finished_length' must have the same length",
        lambda it, episodes: (
            ("finished_return" in it.arrays) == ("finished_length" in it.arrays)
            and _length(it.arrays, "finished_return") == _length(it.arrays, "finished_length")
        ),
    ),
    (
        "arrays.npz: 'iteration/counters' and 'iteration/metric_sums' must be there together",
        lambda it, episodes: ("iteration/counters" in it.arrays) == ("iteration/metric_sums" in it.arrays),
    ),
    (
        "arrays.npz: 'replay/rows' must not be more than 'replay/appended'",
        lambda it, episodes: _length(it.arrays, "replay/rows") <= int(it.arrays.get("replay/appended", 0)),
    ),
    (
        "arrays.npz: 'reward_scale/moments' must be finite, the variance 0 or more, the weight positive",
        lambda it, episodes: _are_moments(it.arrays.get("reward_scale/moments", np.ones(3))),
    ),
)


def problem_with(restored: Restored, fresh: Mapping[str, np.ndarray]) -> str | None:
    """Returns what is wrong with the values and arrays of a checkpoint, None if nothing is.

    Args:
      restored: What it holds.
      fresh: The arrays of a runner that has not begun; those of a run have the same names and types.
    """
    if problem := _VALUES(restored.values):
        return f"manifest.json: values: {problem}"
    if problem := next(_problems_with_arrays(restored.arrays, fresh), None):
        return f"arrays.npz: {problem}"
    # Those of others have any type.
    known = {name: restored.arrays[name] for name in restored.arrays if name in fresh or name in _BESIDES}
    checked, episodes = restored._replace(arrays=known), restored.values["episodes"]
    return next((sentence for sentence, is_so in _TOGETHER if not is_so(checked, episodes)), None)


def _problems_with_arrays(arrays: Mapping[str, np.ndarray], fresh: Mapping[str, np.ndarray]) -> Iterator[str]:
    saves_episodes = any(map(_OF_EPISODES.match, arrays))
    for name, array in fresh.items():
        if _OF_A_LAYER.fullmatch(name) or (_OF_EPISODES.match(name) and not saves_episodes):
            continue
        saved = arrays.get(name)
        if saved is None:
            yield f"it has no {name!r}"
            continue
        rule = _Rule(array.dtype.kind, array.shape)
        change = next(change for names, change in _LIKE_FRESH if names.fullmatch(name))
        if problem := _problem_with_array(saved, change(rule)):
            yield f"{name!r} {problem}"
        elif (generator := _generator(array)) and not all(_is_of(generator, text) for text in saved.flat):
            yield f"{name!r} is no state of a random generator"
    for name, rule in _BESIDES.items():
        if name in arrays and name not in fresh and (problem := _problem_with_array(arrays[name], rule)):
            yield f"{name!r} {problem}"
    num_envs = _length(fresh, "environment/observation")
    for name, saved in arrays.items():
        if num_envs and (match := _OF_A_LAYER.fullmatch(name)):
            is_row_each = match[1] is None and saved.ndim > 0 and len(saved) == num_envs
            if not (is_row_each or (match[1] is not None and int(match[1][:9]) < num_envs)):
                yield f"{name!r} must have a row for each of {num_envs} sub-environments; got {saved.shape}"


def _problem_with_array(array: np.ndarray, rule: _Rule) -> str | None:
    fits = array.ndim == len(rule.shape) and all(
        wanted in (size, None) for size, wanted in zip(array.shape, rule.shape, strict=True)
    )
    if array.dtype.kind != rule.kind or not fits:
        wanted = f"[{', '.join('any' if size is None else str(size) for size in rule.shape)}]"
        return f"must be of kind {rule.kind} and shape {wanted}; got {array.dtype} {list(array.shape)}"
    if rule.least is not None and not np.all((array >= rule.least) & (array <= reading.LARGEST)):
        return f"must be from {rule.least} to 2**53"
    return None


def _is_of(generator: np.random.Generator, text: Any) -> bool:
    try:
        set_generator_state(generator, text)
    except CheckpointError:
        return False
    return True


def _generator(states: np.ndarray) -> np.random.Generator | None:
    """Returns a generator of the kind whose states these are, None if they are something else."""
    if states.dtype.kind != "U" or not states.size:
        return None
    try:
        kind = json.loads(states.ravel()[0])["bit_generator"]
        return np.random.Generator(getattr(np.random, kind)())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _are_moments(moments: np.ndarray) -> bool:
    _, variance, weight = moments
    return bool(np.isfinite(moments).all() and variance >= 0 and weight > 0)
