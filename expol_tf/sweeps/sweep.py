"""The description of a sweep: experiments × tasks × settings × seeds."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from expol_tf.argument_types import shown
from expol_tf.configurable import configurable
from expol_tf.configuration import render
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Finite, Positive, SeedNumber
from expol_tf.random import stream

# "NUM_ENVS", "TrustRegion.max_kl", "one/AffineConditioner.units".
_NAME = re.compile(r"(\w+(\.\w+)*/)*(\w+\.)*[^\W\d]\w*")
# gin files and statements.
Entry = str | Sequence[str]


@configurable
@dataclasses.dataclass(frozen=True)
class Uniform:
    """x ~ U[low, high].

    Args:
      low: The least value.
      high: The largest, above `low`.
    """

    low: Finite
    high: Finite

    def __post_init__(self) -> None:
        _check_bounds(self)

    def draw(self, seed: int) -> float:
        """Returns the draw that belongs to `seed`."""
        return float(np.random.default_rng(seed).uniform(self.low, self.high))


@configurable
@dataclasses.dataclass(frozen=True)
class LogUniform:
    """log x ~ U[log low, log high]: every order of magnitude is as likely as every other.

    Args:
      low: The least value, positive.
      high: The largest, above `low`.
    """

    low: Positive
    high: Positive

    def __post_init__(self) -> None:
        _check_bounds(self)

    def draw(self, seed: int) -> float:
        """Returns the draw that belongs to `seed`."""
        drawn = math.exp(np.random.default_rng(seed).uniform(math.log(self.low), math.log(self.high)))
        # exp(log high) may round to the double above it.
        return min(max(drawn, self.low), self.high)


@configurable
@dataclasses.dataclass(frozen=True)
class Sweep:
    """Every experiment on every task with every combination of the grid's values and every seed.

    An entry of `experiments` and `tasks` is one string or a sequence of them, each the name of a gin file
    (`"gin/nfp_trpo.gin"`) or a gin statement (`"NUM_ENVS = 16"`). As in `expol-train`, statements override
    files: a run's experiment files, task files, experiment's statements, task's statements, `bindings`,
    values of `grid` and `draws` and seed take effect in this order.

    Args:
      experiments: Entries by name; or a sequence of entries, named like their files.
      tasks: Entries by name; or a sequence of entries, named like the task that they set. Empty if every
        experiment sets its own task.
      seeds: The runs' seeds.
      bindings: gin statements for all runs.
      grid: Values by parameter (`"TrustRegion.max_kl"`, or a macro's name).
      draws: Distributions by parameter. A run's value derives from `draw_seed`, the parameter and the run's
        seed: every seed has a value of its own, the same in all experiments, on all tasks.
      draw_seed: The seed of the draws.
    """

    experiments: Mapping[str, Entry] | Sequence[Entry]
    tasks: Mapping[str, Entry] | Sequence[Entry] = ()
    seeds: Sequence[SeedNumber] = (0,)
    bindings: Sequence[str] = ()
    grid: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    draws: Mapping[str, Uniform | LogUniform] = dataclasses.field(default_factory=dict)
    draw_seed: SeedNumber = 0

    def __post_init__(self) -> None:
        if not self.experiments:
            raise ConfigurationError(
                "Sweep.experiments must name at least one gin file; got none. Write "
                'Sweep.experiments = {"nfp_trpo": "gin/nfp_trpo.gin"}.'
            )
        _check_seeds(self.seeds)
        for name, values in _mapping("grid", self.grid).items():
            if not isinstance(values, list | tuple) or not values:
                raise ConfigurationError(
                    f"Sweep.grid[{name!r}] must be a sequence of values; got {values!r}. Write [{values!r}]."
                )
            for value in values:
                if render(value) is None:
                    raise ConfigurationError(
                        f"Sweep.grid[{name!r}] must hold values that gin can write: numbers, texts, "
                        f"references and containers of them; got {shown(value)}."
                    )
        for name, distribution in _mapping("draws", self.draws).items():
            if not isinstance(distribution, Uniform | LogUniform):
                raise ConfigurationError(
                    f"Sweep.draws[{name!r}] must be a Uniform or LogUniform; got {distribution}. "
                    "Write @LogUniform(), and LogUniform.low and LogUniform.high on lines of their own."
                )
            if name in self.grid:
                raise ConfigurationError(f"Sweep.draws: {name!r} is in Sweep.grid too; keep one of them.")

    def drawn(self, seed: int) -> dict[str, float]:
        """Returns the values that `draws` has for the runs with this seed."""
        return {
            name: distribution.draw(stream(self.draw_seed, f"draw of {name}", seed))
            for name, distribution in self.draws.items()
        }


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds:
        raise ConfigurationError("Sweep.seeds must name at least one seed; got none. Write (0, 1, 2).")
    if len(set(seeds)) < len(seeds):
        raise ConfigurationError(f"Sweep.seeds must differ from one another; got {seeds}.")


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigurationError(f'Sweep.{name} must be a mapping {{"Name.parameter": ...}}; got {value!r}.')
    for key in value:
        # A key with a line break would be two statements, of which only one shows.
        if not _NAME.fullmatch(key):
            raise ConfigurationError(
                f"Sweep.{name} must have names of parameters or macros as keys, such as 'NUM_ENVS' or "
                f"'TrustRegion.max_kl'; got {key!r}."
            )
    return value


def _check_bounds(distribution: Uniform | LogUniform) -> None:
    low, high = distribution.low, distribution.high
    if not low < high:
        raise ConfigurationError(
            f"{type(distribution).__name__} needs low < high; got low={low!r}, high={high!r}."
        )
