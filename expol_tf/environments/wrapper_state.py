"""The states of those of Gymnasium's wrappers that keep more than plain attributes: queues and a clock.

Only these very classes are known. A subclass may keep more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces, wrappers

from expol_tf.environments.returned_values import REAL_KINDS
from expol_tf.saved_states import require_saved

State = dict[str, np.ndarray]

REMEDY = "Resume with the task and packages it was saved with."
_STATISTICS = ("episode_count", "episode_returns", "episode_lengths")
_STATISTICS_QUEUES = {"time_queue": np.float64, "return_queue": np.float64, "length_queue": np.int64}
_STICKY = ("is_sticky_actions", "num_repeats", "repeats_taken")


class LayerState(NamedTuple):
    """How the state of a wrapper is read, and written into another of the same settings.

    What is written is compared with what the wrapper can have, and a `CheckpointError` names what differs.
    """

    get: Callable[[Any], State]
    set: Callable[[Any, Mapping[str, np.ndarray]], None]


def _get_statistics(layer: wrappers.RecordEpisodeStatistics) -> State:
    state = {name: np.array(getattr(layer, name)) for name in _STATISTICS}
    state |= {name: np.array(list(getattr(layer, name)), dtype) for name, dtype in _STATISTICS_QUEUES.items()}
    # The clock has another zero in each process. What an episode took until now goes on counting.
    return {**state, "elapsed_time": np.array(time.perf_counter() - layer.episode_start_time)}


def _set_statistics(layer: wrappers.RecordEpisodeStatistics, state: Mapping[str, np.ndarray]) -> None:
    like = {name: np.array(getattr(layer, name)) for name in _STATISTICS} | {"elapsed_time": np.array(0.0)}
    like |= {name: np.zeros(_rows(state, name), dtype) for name, dtype in _STATISTICS_QUEUES.items()}
    require_saved(state, like, type(layer).__name__, REMEDY)
    for name in _STATISTICS:
        value = state[name]
        # The sum of NumPy rewards is a NumPy number, of their precision.
        setattr(layer, name, value[()] if name == "episode_returns" else value.item())
    for name in _STATISTICS_QUEUES:
        queue = getattr(layer, name)
        queue.clear()
        queue.extend(state[name].tolist())
    layer.episode_start_time = time.perf_counter() - float(state["elapsed_time"])


def _get_sticky(layer: wrappers.StickyAction) -> State:
    state = {name: np.array(getattr(layer, name)) for name in _STICKY}
    # There is none before the first step of an episode.
    return state if layer.last_action is None else {**state, "last_action": np.array(layer.last_action)}


def _set_sticky(layer: wrappers.StickyAction, state: Mapping[str, np.ndarray]) -> None:
    like = {name: np.array(getattr(layer, name)) for name in _STICKY}
    like["last_action"] = _like(state, "last_action", layer.action_space.shape or ())
    require_saved(state, like, type(layer).__name__, REMEDY, optional={"last_action"})
    for name in _STICKY:
        setattr(layer, name, state[name].item())
    action = state.get("last_action")
    layer.last_action = None if action is None else action.copy()


def _rows(state: Mapping[str, Any], name: str) -> int:
    """Returns how many rows a saved array has, 0 for what has none."""
    return (np.shape(state[name]) or (0,))[0] if isinstance(state.get(name), np.ndarray) else 0


def _like(state: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array of this shape and, as far as they are real numbers, of the saved array's dtype."""
    dtype = getattr(state.get(name), "dtype", np.dtype(float))
    return np.zeros(shape, dtype if dtype.kind in REAL_KINDS else float)


def _get_queue(name: str) -> Callable[[Any], State]:
    """Returns how to read a queue of observations: its length, and an array for each leaf of their space."""

    def get(layer: gymnasium.Wrapper) -> State:
        queue = getattr(layer, name)
        state = {f"{name}.length": np.array(len(queue))}
        if queue:
            columns = zip(*(_leaves(layer.env.observation_space, item) for item in queue), strict=True)
            state |= {f"{name}.{i}": np.stack(column) for i, column in enumerate(columns)}
        return state

    return get


def _set_queue(name: str) -> Callable[[Any, Mapping[str, np.ndarray]], None]:
    def set_(layer: gymnasium.Wrapper, state: Mapping[str, np.ndarray]) -> None:
        queue, owner = getattr(layer, name), type(layer).__name__
        require_saved(state, {f"{name}.length": np.array(0)}, owner, REMEDY)
        length = int(state[f"{name}.length"])
        shapes = [space.shape or () for space in _leaf_spaces(layer.env.observation_space)] if length else []
        names = [f"{name}.{i}" for i in range(len(shapes))]
        like = {leaf: _like(state, leaf, (length, *shape)) for leaf, shape in zip(names, shapes, strict=True)}
        require_saved(state, like, owner, REMEDY)
        queue.clear()
        for row in range(length):
            columns = (state[leaf] for leaf in names)
            # Copies: a task may write into what it has returned.
            items = iter([column[row].copy() for column in columns])
            queue.append(_rebuilt(layer.env.observation_space, items))

    return set_


def _leaves(space: gymnasium.Space, value: Any) -> Iterator[np.ndarray]:
    """Yields the arrays of an observation, in the order of its space."""
    children = _children(space)
    if children is None:
        yield np.asarray(value)
        return
    for key, child in children:
        yield from _leaves(child, value[key])


def _leaf_spaces(space: gymnasium.Space) -> Iterator[gymnasium.Space]:
    """Yields the spaces of the arrays that `_leaves` yields."""
    children = _children(space)
    if children is None:
        yield space
        return
    for _, child in children:
        yield from _leaf_spaces(child)


def _rebuilt(space: gymnasium.Space, leaves: Iterator[np.ndarray]) -> Any:
    """Returns the observation whose `_leaves` these are."""
    children = _children(space)
    if children is None:
        return next(leaves)
    items = {key: _rebuilt(child, leaves) for key, child in children}
    return items if isinstance(space, spaces.Dict) else tuple(items.values())


def _children(space: gymnasium.Space) -> Iterable[tuple[Any, gymnasium.Space]] | None:
    if isinstance(space, spaces.Dict):
        return space.spaces.items()
    return enumerate(space.spaces) if isinstance(space, spaces.Tuple) else None


LAYER_STATES: Mapping[type, LayerState] = {
    wrappers.StickyAction: LayerState(_get_sticky, _set_sticky),
    wrappers.RecordEpisodeStatistics: LayerState(_get_statistics, _set_statistics),
    wrappers.FrameStackObservation: LayerState(_get_queue("obs_queue"), _set_queue("obs_queue")),
    wrappers.DelayObservation: LayerState(_get_queue("observation_queue"), _set_queue("observation_queue")),
}
