"""The program `expol-report`: flags → one call of `write_report`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from absl import flags

from expol_tf.cli import REPORT_PACKAGES, run_program, shown, user_path
from expol_tf.errors import ConfigurationError
from expol_tf.reports import SETTINGS

_PROGRAM = "expol-report"


def report_main(argv: Sequence[str] | None = None) -> int:
    """Reports on the runs that the flags name; returns the exit status."""
    return run_program(
        _PROGRAM, _define_flags, _report, argv, packages=("expol_tf", *REPORT_PACKAGES),
        interrupted="the report is incomplete.",
    )  # fmt: skip


def _define_flags(values: flags.FlagValues) -> None:
    def integer(name: str, default: int, lowest: int, text: str) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=values)

    roots = "Directory with runs, at any depth; repeatable."
    flags.DEFINE_multi_string("root_dir", [], roots, flag_values=values)
    peers = "Table of another library's training episodes, shown beside the runs; repeatable."
    flags.DEFINE_multi_string("peer_csv", [], peers, flag_values=values)
    flags.DEFINE_string("output_dir", None, "Where the report is written.", flag_values=values)
    integer("repetitions", 2000, 1, "Bootstrap resamples of every interval.")
    integer("min_env_steps", 0, 0, "Leave out shorter runs.")
    settings = (
        "Runs of one experiment with different settings: experiments of their own (separate), draws of one "
        "(together), or the former where most settings have several seeds (auto)."
    )
    flags.DEFINE_enum("settings", "auto", SETTINGS, settings, flag_values=values)
    integer("seed", 0, 0, "Seed of the bootstrap.")


def _report(values: flags.FlagValues, arguments: list[str]) -> int:
    if not values.output_dir:
        raise ConfigurationError("--output_dir must name the directory for the report; got none.")
    from expol_tf.reports import write_report

    report = write_report(
        [user_path(root) for root in values.root_dir],
        user_path(values.output_dir),
        repetitions=values.repetitions,
        settings=values.settings,
        min_env_steps=values.min_env_steps,
        seed=values.seed,
        command=shlex.join([_PROGRAM, *arguments]),
        peer_csvs=[user_path(path) for path in values.peer_csv],
    )
    print(report.table)
    for note in report.notes:
        print(f"* {note}")
    print(f"Wrote {shown(report.page)} and {len(report.files) - 1} files beside it.")
    return 0
