"""Refuses environments that learn statistics of their own, which no evaluation or resumed run would have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import gymnasium

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


def _statistics(layer: gymnasium.Env) -> Iterator[str]:
    """Yields where a layer keeps running statistics."""
    if isinstance(layer, _NORMALIZING):
        yield "of all that it saw"
    attributes = vars(layer)
    if isinstance(layer, gymnasium.Wrapper) and _keeps_moments(attributes):
        yield "a mean, a spread and a count"
    for name, value in attributes.items():
        items = value.values() if isinstance(value, dict) else value
        for item in [*items] if isinstance(value, list | tuple | dict) else [value]:
            if isinstance(item, gymnasium.Env):
                continue  # It is a layer itself.
            learns = callable(getattr(item, "update", None)) and _keeps_moments(getattr(item, "__dict__", {}))
            named_so = any(_RUNNING.fullmatch(cls.__name__) for cls in type(item).__mro__)
            if named_so or learns:
                yield f"its attribute {name}, a {type(item).__name__}"


def _keeps_moments(attributes: dict[str, Any]) -> bool:
    return all(not names.isdisjoint(attributes) for names in (_MEAN, _SPREAD, _COUNT))
