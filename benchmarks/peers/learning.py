"""Records how SBX's SAC learns: the returns of all its training episodes, seed after seed, as CSV.

It is about returns, not speed. Whatever SAC's paper names is set to the paper's value and written, together
with versions, command and wall times, to a JSON file beside the table. Runs in an environment of its own,
see make_env.sh; imports nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/learning.py --task=HalfCheetah-v4 \\
        --num_env_steps=100000 --seed=0 --seed=1 --seed=2 --csv_path=sbx_sac_half_cheetah_v4.csv
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import jax
import jax_compilation
import numpy as np
import torch
from sbx import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

_PEER = "sbx_sac"
_COLUMNS = ("peer", "task", "seed", "env_step", "episode_return", "episode_length")
_PACKAGES = (*jax_compilation.PACKAGES, "stable-baselines3", "torch", "gymnasium", "mujoco", "numpy")
# One update an env step; the first `learning_starts` steps are uniformly random actions without updates.
_SETTINGS: dict[str, Any] = {
    "learning_rate": 3e-4,
    "qf_learning_rate": 3e-4,
    "buffer_size": 1_000_000,
    "learning_starts": 10_000,
    "batch_size": 256,
    "tau": 0.005,
    "gamma": 0.99,
    "train_freq": 1,
    "gradient_steps": 1,
    "policy_delay": 1,
    "n_steps": 1,
    "ent_coef": "auto",  # Learned, from 1 on; Adam with `learning_rate`.
    "target_entropy": "auto",  # Minus the number of action dimensions.
}
_POLICY_SETTINGS: dict[str, Any] = {
    "net_arch": [256, 256],
    "n_critics": 2,
    "layer_norm": False,
    "dropout_rate": 0.0,
}


class Episodes(BaseCallback):
    """Writes a row at the end of each training episode."""

    def __init__(self, file: TextIO, task: str, seed: int) -> None:
        super().__init__()
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._of_all = (_PEER, task, seed)

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                episode = info["episode"]
                row = (*self._of_all, self.num_timesteps, f"{episode['r']:.6g}", int(episode["l"]))
                self._writer.writerow(row)
                self._file.flush()
        return True


def learn(task: str, num_env_steps: int, seed: int, file: TextIO) -> dict[str, Any]:
    """Trains once, writes its episodes' rows, and returns what only a model tells of its settings."""
    start = time.perf_counter()
    env = make_vec_env(task, n_envs=1, seed=seed)
    model = SAC("MlpPolicy", env, seed=seed, policy_kwargs=dict(_POLICY_SETTINGS), **_SETTINGS)
    model.learn(num_env_steps, callback=Episodes(file, task, seed))
    env.close()
    policy = model.policy
    return {
        "target_entropy": float(model.target_entropy),
        "parameters_of_actor": _size(policy.actor_state.params),
        "parameters_of_critics": _size(policy.qf_state.params),
        "activation": policy.activation_fn.__name__,
        "log_std_range": [policy.actor.log_std_min, policy.actor.log_std_max],
        "optimizer": policy.optimizer_class.__name__,
        "updates": int(model._n_updates),
        "wall_time_s": round(time.perf_counter() - start, 1),
    }


def _size(parameters: Any) -> int:
    return sum(int(np.size(leaf)) for leaf in jax.tree_util.tree_leaves(parameters))


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--task", default="HalfCheetah-v4", help="Gymnasium id")
    parser.add_argument("--num_env_steps", type=int, default=100_000, help="of each seed")
    parser.add_argument("--seed", type=int, action="append", help="repeatable; 0 by default")
    parser.add_argument("--csv_path", type=Path, required=True, help="the table; its .json stands beside it")
    values = parser.parse_args()
    values.seed = values.seed or [0]
    return values


def main() -> None:
    values = _arguments()
    torch.set_num_threads(1)  # It only keeps the replay buffer here.
    record: dict[str, Any] = {
        "peer": _PEER,
        "task": values.task,
        "num_env_steps": values.num_env_steps,
        "num_envs": 1,
        "settings": {**_SETTINGS, **_POLICY_SETTINGS},
        "command": shlex.join(["python", "benchmarks/peers/learning.py", *sys.argv[1:]]),
        **jax_compilation.settings(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
        "seeds": {},
    }
    with values.csv_path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(_COLUMNS)
        for seed in values.seed:
            record["seeds"][str(seed)] = learn(values.task, values.num_env_steps, seed, file)
            values.csv_path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
