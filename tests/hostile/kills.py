"""Every experiment of `gin/`, killed at random moments and resumed, beside one that was not."""

from __future__ import annotations

import csv
import functools
import random
import signal
import time
from pathlib import Path
from typing import Any

from tests.hostile import programs
from tests.hostile.processes import Fork
from tests.hostile.trial import LATE, PROBLEM, Meant, Trial

_TIMINGS = ("wall_time_s", "env_steps_per_s")
_LIMIT_S = 300.0
_ITERATIONS = 8
_ON_POLICY = (
    "NUM_ENVS = 4",
    "OnPolicyRunner.iteration_steps = 64",
    "ValueNetwork.hidden_units = (8,)",
    f"NUM_ENV_STEPS = {64 * _ITERATIONS}",
)
_OFF_POLICY = (
    "NUM_ENVS = 2",
    "OffPolicyRunner.iteration_steps = 48",
    "OffPolicyRunner.warm_up_steps = 96",
    "OffPolicyRunner.batch_size = 8",
    "OffPolicyRunner.updates_per_step = 0.25",
    # Full before the end, so that it has wrapped around.
    "OffPolicyRunner.replay_capacity = 250",
    "CriticNetwork.hidden_units = (8,)",
    f"NUM_ENV_STEPS = {48 * _ITERATIONS}",
)
_ALL = ("EVAL_INTERVAL = 150", "EVAL_EPISODES = 2", "CHECKPOINT_INTERVAL = 100")
# What makes networks and algorithms small, where an experiment has it.
_SMALL = {
    "GaussianActorNetwork.hidden_units": "(8,)",
    "DeterministicActorNetwork.hidden_units": "(8,)",
    "MixtureActorNetwork.hidden_units": "(8,)",
    "SamplingActorNetwork.hidden_units": "(8,)",
    "NoisyActorNetwork.hidden_units": "(8,)",
    "FlowActorNetwork.hidden_units": "(8,)",
    "FlowActorNetwork.num_transformations": "2",
    "DiscriminatorNetwork.hidden_units": "(8,)",
    "MinibatchAdam.epochs": "2",
    "MinibatchRegression.epochs": "2",
    "KfacRegression.updates": "3",
    "SvgdImprovement.num_particles": "3",
    "LogSumExpValue.num_samples": "4",
    "SteinSampler.num_particles": "3",
    "SteinSampler.num_steps": "2",
    "Acting.jit_compile": "False",
}


def experiments() -> list[str]:
    """Returns the names of all experiments that come along."""
    from expol_tf.configuration import resources

    return sorted(path.stem for path in resources.gin_root().glob("*.gin"))


def _arguments(name: str) -> list[str]:
    from expol_tf.configuration import Binding, read_files

    statements = [item for item in read_files([f"gin/{name}.gin"]) if isinstance(item, Binding)]
    bound = {item.name for item in statements}
    off_policy = "train.critic_network" in bound
    settings = [*_ALL, *(_OFF_POLICY if off_policy else _ON_POLICY)]
    settings += [f"{key} = {value}" for key, value in _SMALL.items() if key in bound]
    task = [] if name.endswith("multi_goal") else ["--gin_file=gin/tasks/inverted_pendulum.gin"]
    return [f"--gin_file=gin/{name}.gin", *task, *(f"--gin_bindings={text}" for text in settings)]


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [
            {key: cell for key, cell in row.items() if key not in _TIMINGS} for row in csv.DictReader(file)
        ]


def _variables(root: Path) -> dict[str, Any]:
    import tensorflow as tf

    newest = sorted((root / "checkpoints").glob("checkpoint-????????????*"))[-1]
    reader = tf.train.load_checkpoint(str(newest / "variables"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def _compare(whole: Path, killed: Path) -> int:
    import numpy as np

    problems = [
        name for name in ("metrics.csv", "evaluation.csv") if _table(whole / name) != _table(killed / name)
    ]
    ours, theirs = _variables(whole), _variables(killed)
    if ours.keys() != theirs.keys():
        problems.append("the names of variables")
    for name in ours.keys() & theirs.keys():
        mine, other = np.asarray(ours[name]), np.asarray(theirs[name])
        # TensorFlow counts the saves of a process in the checkpoint; that is no part of the run.
        if "save_counter" not in name and mine.tobytes() != other.tobytes():
            problems.append(name)
    if problems:
        print(f"{PROBLEM}differ: {problems[:6]}")
    return 3 if problems else 0


def _scenario(name: str, seed: str, num_kills: int) -> int:
    rng = random.Random(seed)
    arguments = _arguments(name)
    start = time.monotonic()
    whole = Fork(programs.program("train", *arguments, "--root_dir=whole"))
    status = whole.wait(_LIMIT_S)
    seconds = time.monotonic() - start
    if status != 0:
        print(f"{PROBLEM}{LATE if status is None else f'exit status {status}'}: the run that is not killed")
        return 3
    kills = 0
    command = programs.program("train", *arguments, "--root_dir=killed")
    while True:
        process = Fork(command)
        if kills < num_kills:
            status = process.wait(rng.uniform(0.1, 0.45) * seconds, scaled=False)
            if status is None:
                process.send(signal.SIGKILL)
                process.wait(10.0)
                kills += 1
                written = Path("killed/metrics.csv")
                print(f"killed, {len(_table(written)) if written.exists() else 0} rows")
                continue
        else:
            status = process.wait(_LIMIT_S)
        break
    if status != 0:
        ended = LATE if status is None else f"exit status {status}"
        print(f"{PROBLEM}{ended}: the run that was killed {kills} times")
        return 3
    comparison = Fork(functools.partial(_compare, Path("whole"), Path("killed")))
    return comparison.wait(60.0) or 0


def trial(name: str, seed: str, num_kills: int = 4) -> Trial:
    """Returns the trial of one experiment: killed `num_kills` times, then ended."""
    act = functools.partial(_scenario, name, f"{seed}/{name}", num_kills)
    return Trial(f"{name}, killed {num_kills} times", act, Meant.VALID, limit_s=1500.0)
