"""The program `expol-report`: flags → one call of `write_report`."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

import expol_tf
from expol_tf.analysis.study import SETTINGS
from expol_tf.errors import ConfigurationError, ExpolError
from expol_tf.paths import shown, user_directory

_PROGRAM = "expol-report"
_USAGE_ERROR = 2
_PACKAGES = ("rliable", "arch", "pandas", "numpy", "scipy", "matplotlib")


def report_main(argv: Sequence[str] | None = None) -> int:
    """Reports on the runs that the flags name; returns the exit status."""
    # A set of flags of its own, as tests call several programs in one process.
    values = flags.FlagValues()
    _define_flags(values)
    argv = list(sys.argv if argv is None else argv)
    try:
        rest = values(argv)[1:]
        if rest:
            raise flags.Error(f"Unexpected argument {rest[0]!r}: every option starts with --.")
    except flags.Error as error:
        print(f"{_PROGRAM}: {error}\nSee {_PROGRAM} --help.", file=sys.stderr)
        return _USAGE_ERROR
    if values.help:
        print(f"usage: {_PROGRAM} [flags]\n{values.module_help(__name__)}")
        return 0
    if values.version:
        print("\n".join([f"expol_tf {expol_tf.__version__}", *map(_installed, _PACKAGES)]))
        return 0
    try:
        return _report(values, argv)
    except ExpolError as error:
        if values.debug:
            raise
        print(f"{_PROGRAM}: error: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print(f"{_PROGRAM}: interrupted; the report is incomplete.", file=sys.stderr)
        return 130


def _define_flags(values: flags.FlagValues) -> None:
    def integer(name: str, default: int, lowest: int, text: str) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)

    roots = "Directory with runs, at any depth; repeatable."
    flags.DEFINE_multi_string("root_dir", [], roots, flag_values=values)
    flags.DEFINE_string("output_dir", None, "Where the report is written.", flag_values=values)
    integer("repetitions", 2000, 1, "Bootstrap resamples of every interval.")
    integer("min_env_steps", 0, 0, "Leave out shorter runs.")
    settings = (
        "Runs of one experiment with different settings: experiments of their own (separate), draws of one "
        "(together), or the former where most settings have several seeds (auto)."
    )
    flags.DEFINE_enum("settings", "auto", SETTINGS, settings, flag_values=values)
    integer("seed", 0, 0, "Of the bootstrap.")
    flags.DEFINE_bool("version", False, "Print the versions and exit.", flag_values=values)
    flags.DEFINE_bool("debug", False, "Show tracebacks.", flag_values=values)
    flags.DEFINE_bool("help", False, "Show this.", short_name="h", flag_values=values)


def _report(values: flags.FlagValues, argv: list[str]) -> int:
    if not values.output_dir:
        raise ConfigurationError("--output_dir must name the directory for the report; got none.")
    here = user_directory()
    from expol_tf.analysis.report import write_report

    report = write_report(
        [here / Path(root).expanduser() for root in values.root_dir],
        here / Path(values.output_dir).expanduser(),
        repetitions=values.repetitions,
        settings=values.settings,
        min_env_steps=values.min_env_steps,
        seed=values.seed,
        command=shlex.join([_PROGRAM, *argv[1:]]),
    )
    print(report.table)
    for note in report.notes:
        print(f"* {note}")
    print(f"Wrote {shown(report.page)} and {len(report.files) - 1} files beside it.")
    return 0


def _installed(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} (not installed)"
