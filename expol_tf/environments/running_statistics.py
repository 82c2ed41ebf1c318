"""Refuses environments that learn statistics of their own, which no evaluation or resumed run would have."""

from __future__ import annotations

import functools
import logging
import re
import types
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

from expol_tf.code_digests import closure_values, global_values, is_installed
from expol_tf.environments.faults import task_error
from expol_tf.environments.wrapper_chain import layers
from expol_tf.errors import ConfigurationError

_NORMALIZING = (
    gymnasium.wrappers.NormalizeObservation,
    gymnasium.wrappers.NormalizeReward,
    gymnasium.wrappers.vector.NormalizeObservation,
    gymnasium.wrappers.vector.NormalizeReward,
)
# `RunningMeanStd` of Gymnasium and Stable-Baselines3, and what users copy from there.
_RUNNING = re.compile(r"Running\w*(Mean|Std|Var|Stat|Norm)\w*")
_MEAN = {"mean", "_mean", "running_mean", "_running_mean"}
_SPREAD = {"var", "_var", "std", "_std", "running_var", "_running_var", "M2", "m2", "_m2", "variance"}
_COUNT = {"count", "_count", "n", "_n", "num_samples", "num_updates"}

# Levels of objects within objects that are looked at.
_DEEPEST = 4

_REMEDY = (
    "it learns in each copy of the environment by itself, so that evaluation, the exported policy and a "
    "resumed run would see other numbers than training. Leave it out. The argument observation_normalizer of "
    "expol_tf.train (in gin: train.observation_normalizer = @ObservationNormalizer) normalizes observations, "
    "and reward_normalizer of OnPolicyRunner (OnPolicyRunner.reward_normalizer = @RewardNormalizer()) scales "
    "rewards. Both are saved with the run."
)


def refuse_running_statistics(env: gymnasium.Env) -> None:
    """Raises a `ConfigurationError` if a layer of `env` keeps running statistics that still learn.

    A layer whose `update_running_mean` is False applies what it was given, and passes. One that fails when it
    is asked for that, or for what it holds, raises a `TaskError`.
    """
    for layer in layers(env):
        try:
            if getattr(layer, "update_running_mean", True) is False:
                continue
            found = next(_statistics(layer), None)
        except BaseException as error:
            raise task_error(error, type(layer).__name__, "reading its attributes") from None
        if found is not None:
            raise ConfigurationError(f"{type(layer).__name__} keeps running statistics ({found}): {_REMEDY}")


def refuse_normalizing_class(wrapper: Any) -> None:
    """Raises a `ConfigurationError` for a class of Gymnasium that makes such a layer, also around vectors."""
    if isinstance(wrapper, type) and issubclass(wrapper, _NORMALIZING):
        raise ConfigurationError(f"{wrapper.__name__} keeps running statistics: {_REMEDY}")


class CarriedNumbers:
    """Looks for statistics under other names: numbers of wrappers that learn and that no reset sets anew.

    Two things give them away between the first reset of an environment and the second. A real number changes
    during the episode, and the reset leaves it: a running mean of rewards. Or an integer counts the steps and
    the resets, and a real number changes with it: a running mean of observations. What is right with a task
    may look like that (a level of difficulty), so this warns.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self._layers = [layer for layer in layers(env) if _is_users(layer)]
        self._first: list[dict[str, Any]] = []
        self._last: list[dict[str, Any]] = []

    def before_reset(self) -> None:
        """Call it before each of the environment's resets, as long as `after_reset` returns True."""
        self._last = [_numbers(layer) for layer in self._layers]

    def after_reset(self, steps: int) -> bool:
        """Warns of what is found, after an episode of `steps` steps; returns whether more is to be seen."""
        now = [_numbers(layer) for layer in self._layers]
        if not self._first or steps < 2:
            self._first = now
            return bool(self._layers)
        for layer, first, last, after in zip(self._layers, self._first, self._last, now, strict=True):
            names = _carried(first, last, after, steps)
            if names:
                logging.warning(
                    "%s has numbers that change with what the environment returns, and that no reset sets "
                    "anew: %s. If these are running statistics, %s If they are not, let reset() set them, or "
                    "write get_state() and set_state(), so that resumed runs have them.",
                    type(layer).__name__,
                    ", ".join(names),
                    _REMEDY,
                )
        return False


def _is_users(layer: gymnasium.Env) -> bool:
    """Whether a layer is a wrapper that is none of Gymnasium's or of this library's, and still learns."""
    package = type(layer).__module__.partition(".")[0]
    return (
        isinstance(layer, gymnasium.Wrapper)
        and package not in ("gymnasium", "expol_tf")
        and getattr(layer, "update_running_mean", True) is not False
        and not callable(getattr(type(layer), "get_state", None))
    )


def _numbers(layer: gymnasium.Env) -> dict[str, Any]:
    """Returns copies of the numbers that a layer holds, and of those in the objects that it holds."""
    found = {}
    for name, value in vars(layer).items():
        inner = {} if isinstance(value, gymnasium.Env | gymnasium.Space) else getattr(value, "__dict__", {})
        for path, item in [(name, value), *((f"{name}.{key}", part) for key, part in inner.items())]:
            if (
                isinstance(item, int | float | np.number | np.ndarray)
                and np.asarray(item).dtype.kind in "iuf"
            ):
                found[path] = np.array(item)
    return found


def _carried(first: dict[str, Any], last: dict[str, Any], now: dict[str, Any], steps: int) -> list[str]:
    """Returns the names of numbers that learned during an episode and went on over the reset after it."""
    names = {name for name in last.keys() & now.keys() if last[name].shape == now[name].shape}
    # One that was not there was made during the episode.
    changed = {name for name in names if name not in first or not np.array_equal(first[name], last[name])}
    real = {name for name in changed if last[name].dtype.kind == "f"}
    kept = {name for name in real if np.array_equal(last[name], now[name])}
    counts = {
        name
        for name in changed & first.keys()
        if last[name].ndim == first[name].ndim == 0
        and last[name] - first[name] == steps
        and now[name] - last[name] == 1
    }
    moved = real - kept - counts
    return sorted(kept | (counts | moved if counts and moved else set()))


def _statistics(layer: gymnasium.Env) -> Iterator[str]:
    """Yields where a layer keeps running statistics."""
    if isinstance(layer, _NORMALIZING):
        yield "of all that it saw"
    attributes = vars(layer)
    is_wrapper = isinstance(layer, gymnasium.Wrapper)
    if is_wrapper and _keeps_moments(attributes):
        yield "a mean, a spread and a count"
    for name, value in {**_of_class(type(layer)), **attributes}.items():
        # What a task itself holds deeper, such as its opponent, may be a trained policy that learns no more.
        depth = _DEEPEST if is_wrapper else isinstance(value, dict | list | tuple)
        for item in _held(value, depth, set()):
            learns = _learns(item) and _keeps_moments(getattr(item, "__dict__", {}))
            named_so = any(_RUNNING.fullmatch(cls.__name__) for cls in type(item).__mro__)
            if named_so or learns:
                yield f"its attribute {name}, a {type(item).__name__}"


def _of_class(cls: type) -> dict[str, Any]:
    """Returns what the classes of a layer hold that are the user's, with what their methods read."""
    users = [base for base in reversed(cls.__mro__) if not is_installed(base.__module__)]
    members = {name: value for base in users for name, value in vars(base).items()}
    return {name: value for name, value in members.items() if not name.startswith("__")}


def _held(value: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    """Yields an object and those that it holds or uses, `depth` levels down."""
    # An environment is a layer itself; of modules, classes and arrays nothing is looked at.
    if id(value) in seen or isinstance(value, gymnasium.Env | gymnasium.Space | type | types.ModuleType):
        return
    seen.add(id(value))
    yield value
    if depth > 0:
        for part in _parts(value):
            yield from _held(part, depth - 1, seen)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.values()]
    if isinstance(value, list | tuple):
        return [*value]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if is_installed(getattr(value, "__module__", None) or type(value).__module__):
        return []
    if isinstance(value, types.FunctionType):
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return [*closure_values(value).values(), *defaults, *global_values(value).values()]
    return [*getattr(value, "__dict__", {}).values()]


def _learns(item: Any) -> bool:
    return any(callable(getattr(type(item), name, None)) for name in ("update", "__call__"))


def _keeps_moments(attributes: dict[str, Any]) -> bool:
    return all(not names.isdisjoint(attributes) for names in (_MEAN, _SPREAD, _COUNT))
