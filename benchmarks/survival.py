"""Kills a run with SIGKILL at random moments, some inside a checkpoint's writing, and resumes it each time.

    python benchmarks/survival.py --gin_file=gin/gaussian_trpo.gin --num_env_steps=200000 --kills=10
    python benchmarks/survival.py --gin_file=gin/sac.gin --num_env_steps=20000 --kills=6 \
        --gin_bindings="CHECKPOINT_INTERVAL = 2000" --gin_bindings="OffPolicyRunner.warm_up_steps = 3000" \
        --gin_bindings="OffPolicyRunner.updates_per_step = 0.1"

Then compares its `metrics.csv` (timings aside) and `evaluation.csv` with those of a run left alone, and says
how many steps it simulated twice.
"""

from __future__ import annotations

import csv
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from absl import app, flags

from expol_tf.cli.paths import user_path

_GIN_FILE = flags.DEFINE_multi_string("gin_file", ["gin/gaussian_trpo.gin"], "The experiment.")
_BINDINGS = flags.DEFINE_multi_string("gin_bindings", ["CHECKPOINT_INTERVAL = 10000"], "Its settings.")
_STEPS = flags.DEFINE_integer("num_env_steps", 200_000, "Length of the run.")
_KILLS = flags.DEFINE_integer("kills", 10, "How often to kill it; every second time inside a checkpoint.")
_ROOT = flags.DEFINE_string("root_dir", None, "Where the two runs are; a temporary directory by default.")
_SEED = flags.DEFINE_integer("kill_seed", 0, "Of the moments.")

_PROJECT = pathlib.Path(__file__).absolute().parents[1]
_TIMINGS = ("wall_time_s", "env_steps_per_s")


def start(root: pathlib.Path) -> subprocess.Popen:
    """Starts the training program on a directory."""
    command = [sys.executable, "binaries/train.py", f"--root_dir={root}", f"--num_env_steps={_STEPS.value}"]
    command += [f"--gin_file={name}" for name in _GIN_FILE.value]
    command += [f"--gin_bindings={binding}" for binding in _BINDINGS.value]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_PROJECT), *sys.path])}
    return subprocess.Popen(
        command, cwd=_PROJECT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Returns a table's rows without its timings."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [{key: row[key] for key in row if key not in _TIMINGS} for row in csv.DictReader(file)]


def env_step(root: pathlib.Path) -> int:
    """Returns the env step of the last whole row."""
    table = rows(root / "metrics.csv")
    return int(table[-1]["env_step"]) if table else 0


def wait_until_writing(root: pathlib.Path, process: subprocess.Popen) -> bool:
    """Returns as soon as a checkpoint is being written; False if the run ends before."""
    while process.poll() is None:
        if any((root / "checkpoints").glob(".temporary-*")):
            return True
        time.sleep(0.0005)
    return False


def main(argv: list[str]) -> None:
    if argv[1:]:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}: every option starts with --.")
    root = user_path(_ROOT.value or tempfile.mkdtemp(prefix="survival-"))
    process = start(root / "undisturbed")
    process.communicate()
    chance = random.Random(_SEED.value)
    killed, repeated = root / "killed", 0
    print(f"{'kill':>4} {'moment':<22} {'at env_step':>11} {'next start says':<28}")
    kills, inside = 0, 0
    process = start(killed)
    while kills < _KILLS.value:
        before = env_step(killed)
        # Far enough into the run that there is something to lose, but not beyond its end.
        share = (_STEPS.value - before) // (_KILLS.value - kills)
        target = before + chance.randrange(share // 4, share)
        while process.poll() is None and env_step(killed) < target:
            time.sleep(0.005)
        in_checkpoint = kills % 2 == 1 and wait_until_writing(killed, process)
        time.sleep(0 if in_checkpoint else chance.random() * 0.2)
        if process.poll() is not None:
            raise SystemExit(f"The run ended before kill {kills + 1}: lengthen it or kill less often.")
        process.kill()
        process.communicate()
        writing = any((killed / "checkpoints").glob(".temporary-*"))
        inside += writing
        reached = env_step(killed)
        process = start(killed)
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        resumed = int(said.rsplit(" ", 1)[1])
        repeated += reached - resumed
        kills += 1
        moment = "inside a checkpoint" if writing else "anywhere"
        print(f"{kills:>4} {moment:<22} {reached:>11} {said:<28}", flush=True)
    process.communicate()
    same = all(
        rows(root / "undisturbed" / name) == rows(killed / name) for name in ("metrics.csv", "evaluation.csv")
    )
    print(f"{inside} of {kills} kills were inside a checkpoint's writing")
    print(f"steps simulated twice, whole iterations: {repeated:,}, {repeated / kills:,.0f} a kill")
    print(f"metrics.csv ({len(rows(killed / 'metrics.csv'))} rows) and evaluation.csv identical: {same}")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    app.run(main)
