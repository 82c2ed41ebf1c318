"""The program `expol-sweep`: flags → plan → check → runs."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

import expol_tf
from expol_tf.distributed import sweep_table
from expol_tf.distributed.sweep_check import check_runs
from expol_tf.distributed.sweep_file import find_file, read_sweep
from expol_tf.distributed.sweep_plan import plan_sweep
from expol_tf.distributed.sweep_ray import import_ray
from expol_tf.distributed.sweep_runner import run_sweep
from expol_tf.errors import ConfigurationError, ExpolError
from expol_tf.paths import user_directory

_USAGE_ERROR = 2
_PROGRAM = "expol-sweep"


def sweep_main(argv: Sequence[str] | None = None) -> int:
    """Runs the sweep that the flags describe; returns the exit status.

    0: every run is finished. 1: a run failed. 2: a mistake that is the user's to mend, nothing was started.
    130 or 143: interrupted, to be resumed by the same command.
    """
    # A set of flags of its own: other programs have a --root_dir too, and tests call them in one process.
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
        print(f"expol_tf {expol_tf.__version__}")
        return 0
    try:
        return _sweep(values, argv[1:])
    except ExpolError as error:
        if values.debug:
            raise
        print(f"{_PROGRAM}: error: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        if values.debug:
            raise
        print(f"{_PROGRAM}: interrupted; the same command goes on.", file=sys.stderr)
        return 130


def _define_flags(values: flags.FlagValues) -> None:
    def integer(name: str, default: int | None, least: int, text: str) -> None:
        flags.DEFINE_integer(name, default, text, lower_bound=least, flag_values=values)

    def string(name: str, text: str) -> None:
        flags.DEFINE_string(name, None, text, flag_values=values)

    string("sweep_file", "gin file of the sweep, such as gin/sweeps/on_policy.gin.")
    string("root_dir", "Directory of the sweep; by default runs/sweeps/<sweep file>.")
    string("address", 'Address of a Ray cluster ("auto", "host:6379"); by default this machine is used.')
    integer("max_parallel", None, 1, "Runs at once; by default as many as the CPUs allow.")
    integer("cpus_per_run", 1, 1, "CPUs reserved for a run.")
    text = "GPUs reserved for a run, also a fraction of one."
    flags.DEFINE_float("gpus_per_run", 0.0, text, lower_bound=0.0, flag_values=values)
    integer("retries", 2, 0, "Further attempts at a run that fails.")
    string("device", 'Device of the runs: "auto", "cpu", "gpu" or "gpu:<index>".')
    text = "Check and list the runs, start none."
    flags.DEFINE_bool("dry_run", False, text, flag_values=values)
    flags.DEFINE_bool("version", False, "Print the version and exit.", flag_values=values)
    flags.DEFINE_bool("debug", False, "Show tracebacks.", flag_values=values)
    flags.DEFINE_bool("help", False, "Show this.", short_name="h", flag_values=values)


def _sweep(values: flags.FlagValues, arguments: list[str]) -> int:
    if not values.sweep_file:
        raise ConfigurationError(
            "--sweep_file must name a sweep, such as gin/sweeps/on_policy.gin; got none."
        )
    path = find_file(values.sweep_file, "--sweep_file")
    runs = plan_sweep(read_sweep(path), path.parent)
    if not values.dry_run:
        # Before seconds go into checking what cannot be run.
        import_ray(local=values.address is None)
    checked = check_runs(runs)
    if values.dry_run:
        for each in checked:
            print(f"{each.run.name}: {each.num_env_steps:,} steps")
        print(f"{len(checked)} runs, {sum(each.num_env_steps for each in checked):,} steps")
        return 0
    root = user_directory() / Path(values.root_dir or Path("runs", "sweeps", path.stem)).expanduser()
    result = run_sweep(
        checked, root, values.address, values.max_parallel, values.cpus_per_run,
        values.gpus_per_run, values.retries, values.device,
    )  # fmt: skip
    print(sweep_table.summary(result.states))
    if result.interrupted_by is not None:
        print(f"Resume with:\n  {_resume_command(root, arguments)}", file=sys.stderr)
        return 128 + result.interrupted_by
    print(f"{root / sweep_table.FILE_NAME} lists the runs.")
    return 1 if result.failed else 0


def _resume_command(root: Path, arguments: Sequence[str]) -> str:
    """Returns the command that goes on with the sweep, to be typed in the directory of the first one."""
    directory = user_directory()
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if workspace:
        bazelw = os.path.relpath(os.path.join(workspace, "bazelw"), directory)
        start = [bazelw if os.sep in bazelw else f"./{bazelw}", "run", "//binaries:sweep", "--"]
    else:
        start = ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else [_PROGRAM]
    named = any(re.match(r"--?root_dir(=|$)", argument) for argument in arguments)
    shown = root.relative_to(directory) if root.is_relative_to(directory) else root
    return shlex.join([*start, *arguments, *([] if named else [f"--root_dir={shown}"])])
