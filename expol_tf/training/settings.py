"""What an experiment consists of: what is trained, on what, how it is run and what is kept.

The fields are named like the arguments of `train`, which describes them, and have the same defaults.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from expol_tf.agents import TrpoAgent
from expol_tf.errors import ConfigurationError
from expol_tf.training.observers import Observer

Factory = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Learner:
    """What is trained: factories, of which None (for the normalizer "auto") is what goes with the agent."""

    agent: Factory = TrpoAgent
    actor_network: Factory | None = None
    value_network: Factory | None = None
    critic_network: Factory | None = None
    observation_normalizer: Factory | str | None = "auto"
    runner: Factory | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """What it is trained on: the task and its environments, of which None leaves the number to the agent."""

    task: Any
    num_envs: int | None = None
    backend: str = "sync"
    wrappers: Sequence[Callable] = ()
    make_kwargs: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Course:
    """How it is run: the seed, the length in environment steps, and who watches and may end it."""

    seed: int = 0
    num_env_steps: int = 1_000_000
    observers: Sequence[Observer] = ()

    def __post_init__(self) -> None:
        _require_positive(num_env_steps=self.num_env_steps)


@dataclasses.dataclass(frozen=True)
class Records:
    """What is kept of it: where, and how often it is evaluated, saved (in environment steps) and logged."""

    root_dir: str | os.PathLike[str]
    eval_interval: int = 50_000
    eval_episodes: int = 10
    checkpoint_interval: int = 50_000
    log_interval: int = 1

    def __post_init__(self) -> None:
        _require_positive(checkpoint_interval=self.checkpoint_interval, log_interval=self.log_interval)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A whole experiment, as `run_experiment` takes it."""

    learner: Learner
    task: Task
    course: Course
    records: Records

    @classmethod
    def of(cls, **keywords: Any) -> Experiment:
        """Returns the experiment that `train` makes of these keywords; those left out have their defaults."""

        def part(kind: type) -> Any:
            names = {field.name for field in dataclasses.fields(kind)}
            return kind(**{name: keywords[name] for name in names & keywords.keys()})

        return cls(part(Learner), part(Task), part(Course), part(Records))

    @property
    def keywords(self) -> dict[str, Any]:
        """The same as keywords of `train`."""
        return vars(self.learner) | vars(self.task) | vars(self.course) | vars(self.records)


def _require_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ConfigurationError(f"{name} must be 1 or more; got {value}.")
