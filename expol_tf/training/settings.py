"""What `train` is asked for, sorted: what is trained, on what, how it is run and what is kept."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from expol_tf.errors import ConfigurationError
from expol_tf.training.observers import Observer

Factory = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Learner:
    """What is trained: factories as `train` takes them, None for what goes with the agent."""

    agent: Factory
    actor_network: Factory | None
    value_network: Factory | None
    critic_network: Factory | None
    observation_normalizer: Factory | str | None
    runner: Factory | None


@dataclasses.dataclass(frozen=True)
class Task:
    """What it is trained on: the task and its environments, of which None leaves the number to the agent."""

    task: Any
    num_envs: int | None
    backend: str
    wrappers: Sequence[Callable]
    make_kwargs: Mapping[str, Any] | None


@dataclasses.dataclass(frozen=True)
class Course:
    """How it is run: the seed, the length in environment steps, and who watches and may end it."""

    seed: int
    num_env_steps: int
    observers: Sequence[Observer]

    def __post_init__(self) -> None:
        _require_positive(num_env_steps=self.num_env_steps)


@dataclasses.dataclass(frozen=True)
class Records:
    """What is kept of it: where, and how often it is evaluated, saved (in environment steps) and logged."""

    root_dir: str | os.PathLike[str]
    eval_interval: int
    eval_episodes: int
    checkpoint_interval: int
    log_interval: int

    def __post_init__(self) -> None:
        _require_positive(checkpoint_interval=self.checkpoint_interval, log_interval=self.log_interval)


def _require_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ConfigurationError(f"{name} must be 1 or more; got {value}.")
