"""What an experiment consists of: what is trained, on what, how it is run and what is kept.

The fields are named like the arguments of `train`, which describes them, and have the same defaults.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from expol_tf.agents import TrpoAgent
from expol_tf.argument_types import require, type_hints
from expol_tf.cli import require_path
from expol_tf.environments import check_task
from expol_tf.errors import ConfigurationError
from expol_tf.factories import shown_factory, takes_only
from expol_tf.number_types import Count, NumEnvs, SeedNumber, Steps, WholeSteps
from expol_tf.training.observers import Observer

Factory = Callable[..., Any]
# A first try of so many steps may be shorter than one iteration. One beyond it was not meant.
_LONGEST_FIRST_ITERATION = 10_000


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
    num_envs: NumEnvs | None = None
    backend: str = "sync"
    wrappers: Sequence[Callable] = ()
    make_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        num_envs = 1 if self.num_envs is None else self.num_envs
        check_task(self.task, num_envs, self.backend, self.wrappers, self.make_kwargs)


@dataclasses.dataclass(frozen=True)
class Course:
    """How it is run: the seed, the length in environment steps, and who watches and may end it."""

    seed: SeedNumber = 0
    num_env_steps: Steps = 1_000_000
    observers: Sequence[Observer] = ()

    def __post_init__(self) -> None:
        _require_numbers(self, "seed", "num_env_steps")
        _require_observers(self.observers)


@dataclasses.dataclass(frozen=True)
class Records:
    """What is kept of it: where, and how often it is evaluated, saved (in environment steps) and logged."""

    root_dir: str | os.PathLike[str]
    eval_interval: WholeSteps = 50_000
    eval_episodes: Count = 10
    checkpoint_interval: Steps = 50_000
    log_interval: Count = 1
    eval_max_steps: Steps = 100_000

    def __post_init__(self) -> None:
        require_path("root_dir", self.root_dir)
        _require_numbers(
            self, "eval_interval", "eval_episodes", "checkpoint_interval", "log_interval", "eval_max_steps"
        )


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A whole experiment, as `run_experiment` takes it."""

    learner: Learner
    task: Task
    course: Course
    records: Records

    def __post_init__(self) -> None:
        for name, hint in type_hints(Experiment).items():
            require(name, getattr(self, name), hint)

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


def _require_numbers(settings: Course | Records, *names: str) -> None:
    cls: Any = type(settings)
    for name in names:
        require(name, getattr(settings, name), type_hints(cls)[name], getattr(cls, name))


def _require_observers(observers: Any) -> None:
    if not isinstance(observers, list | tuple):
        raise ConfigurationError(
            "observers must be a list of functions that take a TrainingEvent; got "
            f"{shown_factory(observers)}. Write observers=[…], also for a single one."
        )
    for observer in observers:
        # The object that a class makes of an event would count as a request to stop.
        if not callable(observer) or inspect.isclass(observer):
            raise ConfigurationError(
                "observers must be a list of functions that take a TrainingEvent; got "
                f"{shown_factory(observer)} in it. Give functions, or objects such as KeepBestPolicy()."
            )
        if not takes_only(observer, "event"):
            raise ConfigurationError(
                "observers must be a list of functions that take a TrainingEvent; got "
                f"{shown_factory(observer)} in it, which cannot be called with one argument."
            )


def require_iteration(name: str, iteration_steps: int, num_env_steps: int, num_envs: int = 1) -> None:
    """Raises a `ConfigurationError` if an iteration takes far more environment steps than the whole run.

    A run ends with an iteration, so `num_env_steps` alone would not end it. Runs of at most one iteration of
    10,000 steps are allowed, as first tries are.

    Args:
      name: The name of the setting, such as "OffPolicyRunner.iteration_steps".
      iteration_steps: Environment steps of an iteration over all environments.
      num_env_steps: Environment steps of the run.
      num_envs: The number of environments, to a multiple of which the former may have been rounded up.
    """
    most = max(num_env_steps, _LONGEST_FIRST_ITERATION)
    if iteration_steps - num_envs >= most:
        raise ConfigurationError(
            f"{name} must be at most the length of the run, num_env_steps, or {_LONGEST_FIRST_ITERATION:,} "
            f"if that is less, as a run ends with a whole iteration; got {iteration_steps:,} for a run of "
            f"{num_env_steps:,}. Lower it, or set NUM_ENV_STEPS (num_env_steps) to more."
        )
