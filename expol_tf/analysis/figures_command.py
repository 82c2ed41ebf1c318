"""The program `expol-figures`: flags → one call of `make_figure`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

import expol_tf
from expol_tf.analysis.figures import FIGURES, make_figure, summaries
from expol_tf.errors import ConfigurationError, ExpolError
from expol_tf.paths import shown, user_directory

_PROGRAM = "expol-figures"
_USAGE_ERROR = 2


def figures_main(argv: Sequence[str] | None = None) -> int:
    """Makes the figure that the flags name; returns the exit status."""
    # A set of flags of its own, as tests call several programs in one process.
    values = flags.FlagValues()
    _define_flags(values)
    try:
        rest = values(list(sys.argv if argv is None else argv))[1:]
        if rest:
            raise flags.Error(f"Unexpected argument {rest[0]!r}: every option starts with --.")
    except flags.Error as error:
        print(f"{_PROGRAM}: {error}\nSee {_PROGRAM} --help.", file=sys.stderr)
        return _USAGE_ERROR
    if values.help:
        print(f"usage: {_PROGRAM} [flags]\n{values.module_help(__name__)}\nFigures:\n{summaries()}")
        return 0
    if values.version:
        print(f"expol_tf {expol_tf.__version__}")
        return 0
    try:
        return _make(values)
    except ExpolError as error:
        if values.debug:
            raise
        print(f"{_PROGRAM}: error: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        if values.debug:
            raise
        print(f"\n{_PROGRAM}: interrupted; no figure was written.", file=sys.stderr)
        return 130


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
    flags.DEFINE_bool("version", False, "Print the version and exit.", flag_values=values)
    flags.DEFINE_bool("debug", False, "Show tracebacks and TensorFlow's messages.", flag_values=values)
    flags.DEFINE_bool("help", False, "Show this.", short_name="h", flag_values=values)


def _make(values: flags.FlagValues) -> int:
    if not values.figure:
        raise ConfigurationError(f"--figure must name one of these; got none.\n{summaries()}")
    if not values.output_dir:
        raise ConfigurationError("--output_dir must name the directory for the figure; got none.")
    if values.root_dir and values.figure in FIGURES:
        raise ConfigurationError(
            f"--root_dir is for figures of runs, and {values.figure} trains by itself; got "
            f"{values.root_dir!r}. Leave it out."
        )
    if not values.debug:
        _silence_tensorflow()
    _use_one_thread()
    figure = make_figure(
        values.figure,
        user_directory() / Path(values.output_dir).expanduser(),
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


def _silence_tensorflow() -> None:
    """Keeps what TensorFlow and gym say about themselves off the terminal; a user's own setting stands."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from gym_notices import notices

        notices.notices.clear()
    except ImportError:
        pass
