"""The program `expol-figures`: flags → one call of `make_figure`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from absl import flags

from expol_tf.cli import run_program, shown, user_path
from expol_tf.errors import ConfigurationError
from expol_tf.papers import FIGURES, RunOptions, make_figure, summaries


def figures_main(argv: Sequence[str] | None = None) -> int:
    """Makes the figure that the flags name; returns the exit status."""
    return run_program(
        "expol-figures", _define_flags, _make, argv, uses_tensorflow=True,
        interrupted="no figure was written.", more_help=f"\nFigures:\n{summaries()}",
    )  # fmt: skip


def _define_flags(values: flags.FlagValues) -> None:
    def integer(name: str, default: int | None, lowest: int, text: str) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)

    def number(name: str, text: str) -> None:
        flags.DEFINE_float(name, None, text, flag_values=values)

    def string(name: str, text: str) -> None:
        flags.DEFINE_string(name, None, text, flag_values=values)

    string("figure", f"Which one: {', '.join(FIGURES)}, or module:name of your own.")
    string(
        "output_dir", "Where pictures and CSV file are written; by default `figures` in the one --root_dir."
    )
    roots = "Directory with trained runs, at any depth, for figures of runs; repeatable."
    flags.DEFINE_multi_string("root_dir", [], roots, flag_values=values)
    integer("num_seeds", None, 1, "Seeds of everything that is trained; by default the figure's own number.")
    integer("seed", 0, 0, "The first of them, or that of the test episodes of trained runs.")
    integer("iterations", None, 1, "Length of each training, or episodes; by default the figure's own.")
    number("temperature", "Temperature of the optimum beside trained runs; by default each run's last.")
    number("discount", "Discount of the optimum beside trained runs; by default each run's own.")
    flags.DEFINE_bool("obstacle", False, "Test trained runs with the wall.", flag_values=values)


def _make(values: flags.FlagValues, arguments: list[str]) -> int:
    del arguments
    if not values.figure:
        raise ConfigurationError(f"--figure must name one of these; got none.\n{summaries()}")
    # Set where the user has not: such small networks are slower with more threads.
    for kind in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{kind}_THREADS", "1")
    figure = make_figure(
        values.figure,
        user_path(values.output_dir) if values.output_dir else None,
        num_seeds=values.num_seeds,
        seed=values.seed,
        iterations=values.iterations,
        root_dirs=[user_path(root) for root in values.root_dir],
        run_options=RunOptions(values.temperature, values.discount, values.obstacle),
    )
    print(figure.table)
    print(f"Wrote {' and '.join(shown(path) for path in figure.files)}.")
    return 0
