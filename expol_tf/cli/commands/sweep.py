"""The program `expol-sweep`: flags → plan → check → runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from expol_tf.cli import require_path, resume_command, run_program, user_path
from expol_tf.errors import ConfigurationError
from expol_tf.runs import SWEEP_TABLE
from expol_tf.sweeps import check_runs, find_file, import_ray, plan_sweep, read_sweep, require_pool, run_sweep
from expol_tf.sweeps import table as sweep_table

_PROGRAM = "expol-sweep"


def sweep_main(argv: Sequence[str] | None = None) -> int:
    """Runs the sweep that the flags describe; returns the exit status.

    0: every run is finished. 1: a run failed. 2: a mistake of the user's, nothing was started.
    130 or 143: interrupted, to be resumed by the same command.
    """
    return run_program(_PROGRAM, _define_flags, _sweep, argv, interrupted="the same command goes on.")


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


def _sweep(values: flags.FlagValues, arguments: list[str]) -> int:
    if not values.sweep_file:
        raise ConfigurationError(
            "--sweep_file must name a sweep, such as gin/sweeps/on_policy.gin; got none."
        )
    require_pool(values.max_parallel, values.cpus_per_run, values.gpus_per_run, values.retries)
    path = find_file(values.sweep_file, "--sweep_file")
    runs = plan_sweep(read_sweep(path), path.parent)
    if not values.dry_run:
        # Before seconds go into checking what cannot be run.
        import_ray(local=values.address is None)
    checked = check_runs(runs, values.device)
    if values.dry_run:
        for item in checked:
            print(f"{item.run.name}: {item.num_env_steps:,} steps")
        print(f"{len(checked)} runs, {sum(item.num_env_steps for item in checked):,} steps")
        return 0
    root = Path("runs", "sweeps", path.stem)
    if values.root_dir is not None:
        root = require_path("--root_dir", values.root_dir)
    root = user_path(root)
    result = run_sweep(
        checked, root, values.address, values.max_parallel, values.cpus_per_run,
        values.gpus_per_run, values.retries, values.device,
    )  # fmt: skip
    print(sweep_table.summary(result.states))
    if result.interrupted_by is not None:
        print("Resume with:\n ", resume_command(_PROGRAM, root, arguments), file=sys.stderr)
        return 128 + result.interrupted_by
    print(f"{root / SWEEP_TABLE} lists the runs.")
    return 1 if result.failed else 0
