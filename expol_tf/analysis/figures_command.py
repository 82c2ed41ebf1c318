"""The program `expol-figures`: flags → one call of `make_figure`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from absl import flags

from expol_tf.analysis.figures import FIGURES, make_figure, summaries
from expol_tf.errors import ConfigurationError
from expol_tf.paths import shown, user_path
from expol_tf.programs import run_program


def figures_main(argv: Sequence[str] | None = None) -> int:
    """Makes the figure that the flags name; returns the exit status."""
    return run_program(
        "expol-figures", _define_flags, _make, argv, uses_tensorflow=True,
        interrupted="no figure was written.", more_help=f"\nFigures:\n{summaries()}",
    )  # fmt: skip


def _define_flags(values: flags.FlagValues) -> None:
    def integer(name: str, default: int | None, lowest: int, text: str) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)

    def string(name: str, text: str) -> None:
        flags.DEFINE_string(name, None, text, flag_values=values)

    string("figure", f"Which one: {', '.join(FIGURES)}.")
    string("output_dir", "Where its picture and its CSV file are written.")
    string("root_dir", "Directory of a run, for figures of runs; the present ones train by themselves.")
    integer("num_seeds", None, 1, "Seeds of everything that is trained; by default the figure's own number.")
    integer("seed", 0, 0, "The first of them.")
    integer("iterations", None, 1, "Length of each training; by default the figure's own.")


def _make(values: flags.FlagValues, arguments: list[str]) -> int:
    del arguments
    if not values.figure:
        raise ConfigurationError(f"--figure must name one of these; got none.\n{summaries()}")
    if not values.output_dir:
        raise ConfigurationError("--output_dir must name the directory for the figure; got none.")
    if values.root_dir and values.figure in FIGURES:
        raise ConfigurationError(
            f"--root_dir is for figures of runs, and {values.figure} trains by itself; got "
            f"{values.root_dir!r}. Leave it out."
        )
    _use_one_thread()
    figure = make_figure(
        values.figure,
        user_path(values.output_dir),
        num_seeds=values.num_seeds,
        seed=values.seed,
        iterations=values.iterations,
    )
    print(figure.table)
    print(f"Wrote {' and '.join(shown(path) for path in figure.files)}.")
    return 0


def _use_one_thread() -> None:
    """Sets TensorFlow's threads, where the user has not: such small networks are slower with more."""
    for kind in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{kind}_THREADS", "1")
