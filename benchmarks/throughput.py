"""Measures how fast training runs, where its time goes, and how peers do on the same machine beside it.

    python benchmarks/throughput.py --gin_file=gin/gaussian_ppo.gin --task=HalfCheetah-v5 \\
        --peer=ppo_sbx --peer=ppo_sb3
    python benchmarks/throughput.py --gin_file=gin/sac.gin --task=HalfCheetah-v5 \\
        --peer=sac_sbx --peer=sac_sb3

Whole trainings are real ones, by the program `train` with logging and checkpoints; every repeat measures each
experiment and then each peer, so that what else the machine does hits all of them. What learns from a replay
buffer begins with as many random actions on both sides, which are not measured.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import report
from interference import Interference
from measuring import (
    DEFAULT_RANDOM_STEPS,
    PEERS,
    PROJECT,
    Experiment,
    MeasurementError,
    check_peer,
    measure_parts,
    measure_peer,
    measure_training,
)

from expol_tf.errors import ExpolError  # Found by `measuring`.

# Enough for the first two iterations that learn, which are not measured.
_WARM_UP_STEPS = {"on-policy": 16_384, "off-policy": 2_000}
# An off-policy algorithm makes an update every env step.
_MEASURED_STEPS = {"on-policy": 300_000, "off-policy": 20_000}


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--gin_file", action="append", help="experiment; repeatable, each is measured on its own")
    add("--backend", action="append", choices=("sync", "envpool"), help="repeatable; sync by default")
    add("--gin_bindings", action="append", default=[], help='such as "NUM_ENVS = 64", for all; repeatable')
    add("--task", default="HalfCheetah-v5", help="Gymnasium id")
    add(
        "--num_env_steps",
        type=int,
        help=f"of each training, warming up not counted; {_MEASURED_STEPS['on-policy']:,} by default, "
        f"{_MEASURED_STEPS['off-policy']:,} off-policy",
    )
    add(
        "--warm_up_steps",
        type=int,
        help="random actions before off-policy updates; the gin file's by default",
    )
    add("--repeats", type=int, default=3)
    add("--seed", type=int, default=0, help="of the first repeat; the others count on")
    add("--evaluate", action="store_true", help="with the gin file's evaluations; peers make none")
    add("--no_parts", action="store_true", help="only whole trainings")
    add("--peer", action="append", default=[], choices=PEERS, help="measured beside; repeatable")
    add("--peer_env", type=Path, help="what peers/make_env.sh made; benchmarks/peers/.venv by default")
    add("--peer_options", default="", help='flags of peers/peer.py for all, such as "--vec_env=subproc"')
    add("--json_path", type=Path, help="write everything measured")
    add("--csv_path", type=Path, help="write a row a measurement")
    return parser.parse_args()


def _steps(values: argparse.Namespace, off_policy: bool, random_steps: int) -> int:
    """Returns the env steps of a training, warming up included."""
    kind = "off-policy" if off_policy else "on-policy"
    return (values.num_env_steps or _MEASURED_STEPS[kind]) + _WARM_UP_STEPS[kind] + random_steps


def _users_path(path: Path | None, default: Path) -> Path:
    """Returns the path, seen from where the user is: `bazel run` starts programs elsewhere."""
    if path is None:
        return default
    return Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / path.expanduser()


def _measure(values: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns the measurements in their order in time."""
    experiments = [
        Experiment(
            file, values.task, backend, tuple(values.gin_bindings), values.evaluate, values.warm_up_steps
        )
        for file in values.gin_file or ["gin/nfp_trpo.gin"]
        for backend in values.backend or ["sync"]
    ]
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", PROJECT))
    python = _users_path(values.peer_env, workspace / "benchmarks" / "peers" / ".venv") / "bin" / "python"
    peers = list(dict.fromkeys(values.peer))
    if peers:
        check_peer(python)
    # As many on both sides.
    random_steps = max((experiment.random_steps for experiment in experiments), default=0)
    random_steps = random_steps or values.warm_up_steps or DEFAULT_RANDOM_STEPS
    measurements: list[dict[str, Any]] = []

    def add(repeat: int, name: str, kind: str, function: Any, *arguments: Any) -> None:
        before = {"repeat": repeat, "name": name, "kind": kind, "load_average": os.getloadavg()[0]}
        before["date"] = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        interference = Interference()
        measured = function(*arguments)
        measurements.append({**measured, **before, "others_cores": interference.cores()})
        print(report.progress_line(measurements[-1]), file=sys.stderr, flush=True)

    for repeat in range(values.repeats):
        seed = values.seed + repeat
        # Peers stand between trainings of ours, not after the whole of them.
        for experiment in experiments:
            steps = _steps(values, experiment.off_policy, experiment.random_steps)
            add(repeat, experiment.name, "training", measure_training, experiment, steps, seed)
            if not values.no_parts:
                add(repeat, experiment.name, "parts", measure_parts, experiment)
        for peer in peers:
            options = [f"--learning_starts={random_steps}"] if PEERS[peer] else []
            options += shlex.split(values.peer_options)
            steps = _steps(values, PEERS[peer], random_steps if PEERS[peer] else 0)
            add(repeat, peer, "peer", measure_peer, python, peer, values.task, steps, seed, options)
    return measurements


def main() -> int:
    values = _arguments()
    try:
        measurements = _measure(values)
    except (MeasurementError, ExpolError) as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 1
    print(report.text(measurements, values.task, values.evaluate))
    if values.json_path:
        report.write_json(_users_path(values.json_path, Path()), measurements, shlex.join(sys.argv))
    if values.csv_path:
        report.write_csv(_users_path(values.csv_path, Path()), measurements)
    return 0


if __name__ == "__main__":
    sys.exit(main())
