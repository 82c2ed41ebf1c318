"""Runs every experiment of gin/ for a moment and compares its numbers, bit for bit, with those kept before.

    python tools/reference_runs.py --record           # writes tools/reference/
    python tools/reference_runs.py                    # compares; exits with 1 where anything differs
    python tools/reference_runs.py --quick            # ten of them
    python tools/reference_runs.py --only='sac*' --checkout=../before

It is there for the time of a rebuilding that is to move no number, and goes with it. It knows the library by
its command line alone, as modules move. What it keeps holds for one kind of processor and one TensorFlow.

Each run has one thread, seed 0 and small networks; those of `OWN` are run once more with their own networks
and XLA settings. Kept are `metrics.csv` without timings, `evaluation.csv`, and what the exported policy and
critic say of a fixed batch of observations: greedy actions, sampled ones, and Q of the greedy ones.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import dataclasses
import fnmatch
import importlib.metadata
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]

# Bindings by experiment: (patterns of names, gin statements). Later ones override earlier ones.
ON_POLICY = "*_trpo *_ppo *_acktr"
OFF_POLICY = "ddpg* nbp* parpi* s2ac* sac* sql*"
WARM_UP_STEPS = 256
UPDATES_PER_STEP = 0.5
NUM_ENV_STEPS = 2048
LENGTHS = [
    ("*", "SEED = 0"),
    # One greedy episode, at the end; one checkpoint, there as well.
    ("*", "EVAL_INTERVAL = 1000000"),
    ("*", "EVAL_EPISODES = 1"),
    ("*", "CHECKPOINT_INTERVAL = 1000000"),
    ("*", "configure_devices.intra_op_threads = 1"),
    ("*", "configure_devices.inter_op_threads = 1"),
    (ON_POLICY, "OnPolicyRunner.iteration_steps = 512"),
    (OFF_POLICY, "OffPolicyRunner.iteration_steps = 512"),
    (OFF_POLICY, f"OffPolicyRunner.warm_up_steps = {WARM_UP_STEPS}"),
    (OFF_POLICY, f"OffPolicyRunner.updates_per_step = {UPDATES_PER_STEP}"),
    (OFF_POLICY, "OffPolicyRunner.replay_capacity = 4096"),
    (OFF_POLICY, "OffPolicyRunner.batch_size = 32"),
    # So that the target is copied a few times.
    ("sql* parpi_*_sql parpi_*_multi_goal", "TargetUpdate.period = 100"),
]
SIZES = [
    (ON_POLICY, "ValueNetwork.hidden_units = (16, 12)"),
    (OFF_POLICY, "CriticNetwork.hidden_units = (16, 12)"),
    ("ddpg*", "DeterministicActorNetwork.hidden_units = (16, 12)"),
    ("nbp*", "NoisyActorNetwork.hidden_units = (16, 12)"),
    ("gmm_* sac_gmm*", "MixtureActorNetwork.hidden_units = (16, 12)"),
    ("nfp_* sac_nf*", "FlowActorNetwork.hidden_units = (16, 12)"),
    ("nfp_* sac_nf*", "AffineConditioner.units = (3, 3)"),
    ("sql* parpi_*_multi_goal s2ac_amortized*", "SamplingActorNetwork.hidden_units = (16, 12)"),
    (
        "gaussian_* sac sac_multi_goal parpi_*_sac parpi_*_sql s2ac s2ac_multi_goal s2ac_amortized*",
        "GaussianActorNetwork.hidden_units = (16, 12)",
    ),
    ("parpi* nbp*", "DiscriminatorNetwork.hidden_units = (16, 12)"),
    # Each transformation and each step of a particle is a graph to trace anew.
    ("nfp_*", "FlowActorNetwork.num_transformations = 2"),
    ("s2ac*", "SteinSampler.num_sampler_steps = 2"),
    ("s2ac*", "SteinSampler.num_particles = 5"),
]
WITHOUT_XLA = [
    ("*_trpo", "TrpoAgent.jit_compile = False"),
    ("*_ppo", "PpoAgent.jit_compile = False"),
    ("*_acktr", "AcktrAgent.jit_compile = False"),
    ("*_acktr", "policy/Kfac.jit_compile = False"),
    ("*_acktr", "value/Kfac.jit_compile = False"),
    ("sac*", "SacAgent.jit_compile = False"),
]
# Name of a binding above → its name in the tree that is run; None leaves it out.
RENAMED: dict[str, str | None] = {
    "TrpoAgent.jit_compile": "Acting.jit_compile",
    "PpoAgent.jit_compile": "Acting.jit_compile",
    "AcktrAgent.jit_compile": "Acting.jit_compile",
    "SacAgent.jit_compile": "Acting.jit_compile",
}

# Run a second time, as "<name>_own", with their own networks and XLA settings.
OWN = ("nfp_trpo", "s2ac", "sac_nf", "gaussian_acktr")
OWN_SUFFIX = "_own"
QUICK = (
    "nfp_trpo", "gaussian_ppo", "gaussian_acktr", "gmm_trpo",
    "sac", "sql", "s2ac", "parpi_jsd_sac", "nbp", "ddpg",
)  # fmt: skip

TIMINGS = ("wall_time_s", "env_steps_per_s")
TABLES = ("metrics.csv", "evaluation.csv", "actions.csv")
MACHINE = "machine.json"
NUM_OBSERVATIONS = 16
MIN_UPDATES = 500
TIME_LIMIT_S = 1800

Table = tuple[list[str], list[list[str]]]


class RunError(Exception):
    """An experiment did not run as it must; the text says which and why."""


@dataclasses.dataclass
class Difference:
    """The largest differences between numbers of two tables, and where the relative one is."""

    absolute: float = 0.0
    relative: float = 0.0
    place: str = ""
    cells: int = 0

    def add(self, kept: str, new: str, place: str) -> None:
        """Counts a cell whose texts differ; a number differs infinitely from what is none."""
        try:
            a, b = float(kept), float(new)
        except ValueError:
            a, b = math.nan, math.nan
        absolute = math.inf if math.isnan(a - b) else abs(a - b)
        scale = max(abs(a), abs(b))
        relative = absolute / scale if 0 < scale < math.inf else absolute
        if not self.cells or relative > self.relative:
            self.relative, self.place = relative, f"{place}: {kept or 'empty'} -> {new or 'empty'}"
        self.absolute = max(self.absolute, absolute)
        self.cells += 1


def main(argv: Sequence[str] | None = None) -> int:
    """Records or compares; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, default=ROOT, help="tree that is run (default: this one)")
    kept = ROOT / "tools" / "reference"
    parser.add_argument("--kept", type=Path, default=kept, help="what is compared with")
    parser.add_argument("--record", action="store_true", help="write what is kept")
    parser.add_argument("--only", default="*", metavar="GLOB", help="experiments, such as 'sac*'")
    parser.add_argument("--parallel", type=int, default=2, metavar="N", help="runs side by side (default: 2)")
    parser.add_argument("--quick", action="store_true", help="ten experiments, small networks only")
    parser.add_argument("--actions", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.actions:
        write_actions(*options.actions)
        return 0
    options.checkout = options.checkout.absolute()
    names = experiments(options.checkout, options.quick, options.only)
    if not names:
        parser.error(f"no experiment in {options.checkout / 'gin'} matches {options.only!r}")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="reference_runs_") as directory:
        runs, results = Path(directory, "runs"), Path(directory, "results")
        errors = run_all(names, options.checkout, runs, options.parallel)
        good = [name for name in names if name not in errors]
        read_actions(good, runs, results)
        for name in good:
            for table in TABLES[:-1]:
                write_table(results / name / table, without_timings(read_table(runs / name / table)))
        for message in errors.values():
            print(f"FAILED {message}", file=sys.stderr)
        if options.record:
            for name in good:
                shutil.rmtree(options.kept / name, ignore_errors=True)
                shutil.copytree(results / name, options.kept / name)
            if good:
                (options.kept / MACHINE).write_text(json.dumps(machine(), indent=1) + "\n")
            print(f"kept {len(good)} experiments in {options.kept}")
            same = True
        else:
            kept_names = kept_experiments(options.kept, options.quick, options.only)
            same = compare(sorted({*good, *kept_names} - set(errors)), options.kept, results)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_minutes = (usage.ru_utime + usage.ru_stime) / 60
    print(f"{(time.monotonic() - start) / 60:.1f} minutes, {processor_minutes:.1f} of one processor")
    return 0 if same and not errors else 1


def experiments(checkout: Path, quick: bool, only: str) -> list[str]:
    """Returns the names of the runs, those that take longest first."""
    files = sorted(path.stem for path in (checkout / "gin").glob("*.gin"))
    if quick:
        names = [name for name in files if name in QUICK]
    else:
        names = [name + OWN_SUFFIX for name in OWN if name in files] + files
    return [name for name in names if fnmatch.fnmatchcase(name, only)]


def kept_experiments(kept: Path, quick: bool, only: str) -> list[str]:
    """Returns the runs that are kept and asked for, whether or not the checkout still has them."""
    names = [path.parent.name for path in kept.glob("*/metrics.csv")]
    return [name for name in names if fnmatch.fnmatchcase(name, only) and (name in QUICK or not quick)]


def matches(experiment: str, patterns: str) -> bool:
    """Returns whether one of the patterns, which blanks separate, is the experiment's."""
    return any(fnmatch.fnmatchcase(experiment, pattern) for pattern in patterns.split())


def bindings(name: str) -> list[str]:
    """Returns the gin statements of a run."""
    own, experiment = name.endswith(OWN_SUFFIX), name.removesuffix(OWN_SUFFIX)
    statements: dict[str, str] = {}
    for patterns, statement in LENGTHS + ([] if own else SIZES + WITHOUT_XLA):
        if matches(experiment, patterns):
            binding, _, value = statement.partition(" = ")
            renamed = RENAMED.get(binding, binding)
            if renamed is not None:
                statements[renamed] = value
    return [f"{binding} = {value}" for binding, value in statements.items()]


def run_all(names: Sequence[str], checkout: Path, runs: Path, parallel: int) -> dict[str, str]:
    """Runs all, some side by side; returns what went wrong, by name."""
    errors = {}
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        futures = {pool.submit(run, name, checkout, runs / name): name for name in names}
        for done, future in enumerate(concurrent.futures.as_completed(futures), start=1):
            name = futures[future]
            try:
                outcome = f"{future.result():5.0f} s"
            except RunError as error:
                errors[name], outcome = str(error), "failed"
            print(f"{done:3}/{len(names)} {name:32} {outcome}", flush=True)
    return errors


def run(name: str, checkout: Path, directory: Path) -> float:
    """Runs an experiment into `directory`; returns the seconds that it took."""
    command = [
        sys.executable, str(checkout / "binaries" / "train.py"),
        f"--gin_file=gin/{name.removesuffix(OWN_SUFFIX)}.gin",
        *(f"--gin_bindings={statement}" for statement in bindings(name)),
        f"--num_env_steps={NUM_ENV_STEPS}", "--device=cpu", f"--root_dir={directory}",
    ]  # fmt: skip
    start = time.monotonic()
    try:
        finished = subprocess.run(
            command, cwd=checkout, env=environment(checkout), capture_output=True, text=True,
            check=False, timeout=TIME_LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunError(f"{name}: took more than {TIME_LIMIT_S} s.") from None
    if finished.returncode:
        output = "\n".join((finished.stdout + finished.stderr).splitlines()[-15:])
        raise RunError(f"{name}: exit status {finished.returncode}:\n{output}")
    if not matches(name.removesuffix(OWN_SUFFIX), ON_POLICY):
        check_critic_loss(name, read_table(directory / "metrics.csv"))
    return time.monotonic() - start


def environment(checkout: Path) -> dict[str, str]:
    """Returns the variables of a run: one thread, no GPU, the checkout's library."""
    threads = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(threads, "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "MPLBACKEND": "agg",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(checkout),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def check_critic_loss(name: str, table: Table) -> None:
    """Raises an error where a row of metrics lacks the critic's loss, or too few updates were made."""
    columns, rows = table
    if "critic_loss" not in columns:
        raise RunError(f"{name}: metrics.csv must have the column critic_loss; it has {', '.join(columns)}.")
    values = [row[columns.index("critic_loss")] for row in rows]
    if not values or not all(value and math.isfinite(float(value)) for value in values):
        raise RunError(f"{name}: critic_loss must be a number in every row of metrics.csv; got {values}.")
    updates = (int(rows[-1][columns.index("env_step")]) - WARM_UP_STEPS) * UPDATES_PER_STEP
    if updates < MIN_UPDATES:
        raise RunError(f"{name}: {MIN_UPDATES} updates at least must be made; got about {updates:.0f}.")


def read_actions(names: Sequence[str], runs: Path, results: Path) -> None:
    """Has another process write the actions of all runs, so that this one needs no TensorFlow."""
    for name in names:
        (results / name).mkdir(parents=True)
    if not names:
        return
    start = time.monotonic()
    # Without the library: a policy acts alone.
    command = [sys.executable, __file__, "--actions", str(runs), str(results)]
    finished = subprocess.run(
        command, env={**environment(ROOT), "PYTHONPATH": ""}, stderr=subprocess.PIPE, text=True, check=False
    )
    if finished.returncode:
        raise SystemExit(f"a policy or critic could not be loaded or called:\n{finished.stderr}")
    print(f"        {'actions of all':32} {time.monotonic() - start:5.0f} s", flush=True)


def write_actions(runs: Path, results: Path) -> None:
    """Writes, for each run, a table of what its policy and critic say of a fixed batch of observations."""
    import numpy as np
    import tensorflow as tf

    for directory in sorted(results.iterdir()):
        run_directory = runs / directory.name
        model = tf.saved_model.load(str(run_directory / "policy"))
        deterministic = model.signatures["deterministic"]
        size = deterministic.structured_input_signature[1]["observation"].shape[-1]
        generator = np.random.default_rng(0)
        observation = tf.constant(generator.standard_normal([NUM_OBSERVATIONS, size]), tf.float32)
        greedy = deterministic(observation=observation)["action"]
        # Exports hold a generator with the same seed: the first samples of equal policies are equal.
        sampled = model.signatures["sample"](observation=observation)["action"]
        columns = {"deterministic": greedy.numpy(), "sampled": sampled.numpy()}
        if (run_directory / "critic").is_dir():
            critic = tf.saved_model.load(str(run_directory / "critic"))
            values = critic.signatures["q"](observation=observation, action=greedy)["q"]
            columns["q"] = values.numpy()[:, np.newaxis]
        header = [f"{name}_{i}" for name, values in columns.items() for i in range(values.shape[1])]
        # The shortest text that reads back as the same float32.
        rows = [[str(value) for value in row] for row in np.concatenate(list(columns.values()), axis=1)]
        write_table(directory / "actions.csv", (header, rows))


def compare(names: Sequence[str], kept: Path, results: Path) -> bool:
    """Prints a line for each experiment and the largest difference of all; returns whether there is none."""
    if (kept / MACHINE).exists() and json.loads((kept / MACHINE).read_text()) != machine():
        print("note: what is kept is of another processor or TensorFlow; last digits may differ.")
    largest, different = Difference(), []
    for name in names:
        remarks = []
        for table in TABLES:
            old, new = kept / name / table, results / name / table
            if not (old.exists() and new.exists()):
                remarks.append(f"{table}: {'not made' if old.exists() else 'not kept'}")
                continue
            difference, form = compare_tables(read_table(old), read_table(new))
            remarks += [f"{table}: {remark}" for remark in form]
            if difference.cells:
                remarks.append(
                    f"{table}: {difference.cells} cells, absolute {difference.absolute:.3g}, relative "
                    f"{difference.relative:.3g} ({difference.place})"
                )
                if not largest.cells or difference.relative > largest.relative:
                    place = f"{name}, {table}, {difference.place}"
                    largest = dataclasses.replace(difference, place=place)
        print(f"{name:32} {'; '.join(remarks) or 'identical'}")
        if remarks:
            different.append(name)
    if not different:
        print(f"identical: all {len(names)}")
    else:
        print(f"different: {len(different)} of {len(names)}: {', '.join(different)}")
        if largest.cells:
            print(f"largest: relative {largest.relative:.3g} at {largest.place}")
    return not different


def compare_tables(old: Table, new: Table) -> tuple[Difference, list[str]]:
    """Returns the largest difference of cells that both have, and what columns or rows only one has."""
    (old_columns, old_rows), (new_columns, new_rows) = old, new
    missing = [column for column in old_columns if column not in new_columns]
    added = [column for column in new_columns if column not in old_columns]
    remarks = [f"missing columns {', '.join(missing)}"] if missing else []
    remarks += [f"new columns {', '.join(added)}"] if added else []
    if not remarks and old_columns != new_columns:
        remarks.append("columns in another order")
    if len(old_rows) != len(new_rows):
        remarks.append(f"{len(old_rows)} -> {len(new_rows)} rows")
    difference = Difference()
    for i, (old_row, new_row) in enumerate(zip(old_rows, new_rows, strict=False)):
        values = dict(zip(new_columns, new_row, strict=True))
        for column, cell in zip(old_columns, old_row, strict=True):
            if column in values and values[column] != cell:
                difference.add(cell, values[column], f"{column}, row {i}")
    return difference, remarks


def without_timings(table: Table) -> Table:
    """Returns the table without its columns of TIMINGS."""
    columns, rows = table
    kept = [i for i, column in enumerate(columns) if column not in TIMINGS]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def read_table(path: Path) -> Table:
    """Returns the header and the rows of a CSV file, as text."""
    with open(path, newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    return columns, rows


def write_table(path: Path, table: Table) -> None:
    """Writes a CSV file."""
    columns, rows = table
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def machine() -> dict[str, str]:
    """Returns what last digits depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"processor": (models or ["unknown"])[0], "tensorflow": importlib.metadata.version("tensorflow")}


if __name__ == "__main__":
    sys.exit(main())
