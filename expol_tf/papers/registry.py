"""The register of figures. A figure is one function in a folder of this package, registered by name:

    @figure("kl_ball", "spread of a Gaussian and a flow in a KL ball", num_seeds=5, iterations=5000)
    def kl_ball_figure(work: Work) -> Table:
        ...

It stands in a module whose name ends in `figure.py`, which is imported to list the figures: such a module
imports TensorFlow and Matplotlib inside the function, so that `--help` and a misspelt name are answered at
once.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from expol_tf.errors import ConfigurationError
from expol_tf.interruption import raise_if_stopped
from expol_tf.reports import write_errors
from expol_tf.runs import Progress, atomic_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

T = TypeVar("T")
# Rows of cells, the heading first.
Table = Sequence[Sequence[str]]


class RunOptions(NamedTuple):
    """How a figure of trained runs looks at them.

    Attributes:
      temperature: α of the optimum beside them; by default that of each run's last row.
      discount: γ of the optimum; by default that of each run's configuration.
      obstacle: Whether they are tested with the wall.
    """

    temperature: float | None = None
    discount: float | None = None
    obstacle: bool = False


@dataclasses.dataclass(frozen=True)
class Work:
    """What a figure's function works with: the settings, and where its results go.

    Attributes:
      name: The figure's name, with which the names of its files begin.
      directory: Where they go.
      seed: The first seed, or that of the test episodes.
      num_seeds: Seeds of everything that is trained or sampled; 0 for a figure of runs.
      iterations: Length of each training, descent or sampling, or number of episodes; 0 for a figure of runs.
      root_dirs: Directories with the runs of a figure of runs.
      options: How these are looked at.
      files: What was written so far.
    """

    name: str
    directory: Path
    seed: int
    num_seeds: int = 0
    iterations: int = 0
    root_dirs: Sequence[str | os.PathLike[str]] = ()
    options: RunOptions = RunOptions()
    files: list[Path] = dataclasses.field(default_factory=list)

    def collect(self, results: Iterable[T], total: int, describe: Callable[[T], str]) -> list[T]:
        """Returns all `results`, and says after each what came out and how long the rest will take.

        Args:
          results: Computed one by one as they are asked for.
          total: How many there will be.
          describe: Called with a result; returns what to say about it.

        Raises:
          RunDirectoryError: If the directory cannot be written; said before the first result is computed.
        """
        problem = f"--output_dir must be a directory that can be written; got {self.directory}"
        with write_errors(problem, "Give another one."):
            self.directory.mkdir(parents=True, exist_ok=True)
            probe = self.directory / ".writable"
            # Not through a link of that name.
            atomic_files.write_atomically(probe, "")
            probe.unlink()
        collected: list[T] = []
        # The table goes to standard output.
        with Progress(total, 0, self.name, "parts", sys.stderr, 0.0, math.inf) as progress:
            for result in results:
                raise_if_stopped()
                collected.append(result)
                progress.update(len(collected), notes=[describe(result)])
        return collected

    def write_csv(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes `<name>.csv`: the columns of the longest row, whose cells other rows leave empty."""
        longest = max(rows, key=len)
        path = self._add(".csv")
        with write_errors(f"cannot write {path}"), path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(longest), lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow({name: f"{x:.6g}" if isinstance(x, float) else x for name, x in row.items()})

    def save(self, picture: Picture, suffix: str = "") -> None:
        """Writes the picture `<name><suffix>.png`."""
        from expol_tf.reports import save

        save(picture, self._add(f"{suffix}.png"))

    def _add(self, ending: str) -> Path:
        self.files.append(self.directory / f"{self.name}{ending}")
        return self.files[-1]


class Registered(NamedTuple):
    """A figure of the register: the function that makes it, and what `figure` was given."""

    make: Callable[[Work], Table]
    summary: str
    num_seeds: int | None
    iterations: int | None
    one_seed: bool
    run_options: Sequence[str]

    def refuse_unused(self, name: str, num_seeds: int, options: RunOptions) -> None:
        """Raises a `ConfigurationError` for a number of seeds or an option that the figure has no use for."""
        if self.one_seed and num_seeds != 1:
            raise ConfigurationError(
                f"num_seeds must be 1 for {name}, which has one seed; got {num_seeds}. Make it again with "
                "another --seed."
            )
        for option, value in options._asdict().items():
            if option not in self.run_options and value != RunOptions._field_defaults[option]:
                raise ConfigurationError(
                    f"--{option} is not for {name}, which has no use for it; got {value}. Leave it out."
                )


FIGURES: dict[str, Registered] = {}


def figure(
    name: str,
    summary: str,
    num_seeds: int | None = None,
    iterations: int | None = None,
    *,
    one_seed: bool = False,
    run_options: Sequence[str] = (),
) -> Callable[[Callable[[Work], Table]], Callable[[Work], Table]]:
    """Registers the decorated function as the one that makes a figure.

    Args:
      name: What `--figure` calls it.
      summary: What it shows, in a line of `--help`.
      num_seeds: How many seeds it takes by default; None if it looks at trained runs (`--root_dir`).
      iterations: The default length of each training, or None likewise.
      one_seed: Whether it can be made with one seed only, so that another number is refused.
      run_options: The fields of `RunOptions` that a figure of runs looks at; others are refused.

    Raises:
      ConfigurationError: If a figure of another function has the name, one of the two numbers is missing, or
        there is no such option.
    """
    if (num_seeds is None) != (iterations is None):
        raise ConfigurationError(
            "num_seeds and iterations must both be given, or neither for a figure of runs; got "
            f"{num_seeds} and {iterations} for {name!r}."
        )
    unknown = sorted(set(run_options) - set(RunOptions._fields))
    if unknown:
        raise ConfigurationError(
            f"run_options must be among {', '.join(RunOptions._fields)}; got {', '.join(unknown)} for "
            f"{name!r}."
        )

    def register(make: Callable[[Work], Table]) -> Callable[[Work], Table]:
        other = FIGURES.get(name)
        if other is not None and other.make.__module__ != make.__module__:
            raise ConfigurationError(
                f"name must be a new one; {name!r} is the figure of {other.make.__module__} already."
            )
        FIGURES[name] = Registered(make, summary, num_seeds, iterations, one_seed, tuple(run_options))
        return make

    return register
