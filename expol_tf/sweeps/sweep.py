"""The description of a sweep: experiments × tasks × settings × seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Finite, Positive, SeedNumber
from expol_tf.random import stream

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
        _check_bounds(self, least=-math.inf)

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
        _check_bounds(self, least=0.0)

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
        if isinstance(self.bindings, str):
            raise ConfigurationError(
                f"Sweep.bindings must be a sequence of gin statements; got {self.bindings!r}. "
                f"Write [{self.bindings!r}]."
            )
        for name, values in _mapping("grid", self.grid).items():
            if not isinstance(values, list | tuple) or not values:
                raise ConfigurationError(
                    f"Sweep.grid[{name!r}] must be a sequence of values; got {values!r}. Write [{values!r}]."
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
    if not isinstance(seeds, list | tuple) or not seeds:
        raise ConfigurationError(
            f"Sweep.seeds must be a sequence of integers; got {seeds!r}. Write (0, 1, 2)."
        )
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ConfigurationError(f"Sweep.seeds must be non-negative integers; got {seed!r} in {seeds}.")
    if len(set(seeds)) < len(seeds):
        raise ConfigurationError(f"Sweep.seeds must differ from one another; got {seeds}.")


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise ConfigurationError(f'Sweep.{name} must be a mapping {{"Name.parameter": ...}}; got {value!r}.')


def _check_bounds(distribution: Uniform | LogUniform, least: float) -> None:
    low, high = distribution.low, distribution.high
    numbers = all(isinstance(bound, int | float) and math.isfinite(bound) for bound in (low, high))
    if not numbers or not least < low < high:
        lower = "" if math.isinf(least) else f"{least:g} < "
        raise ConfigurationError(
            f"{type(distribution).__name__} needs numbers {lower}low < high; got low={low!r}, high={high!r}."
        )
