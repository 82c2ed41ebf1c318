"""Measures sb3-contrib's TRPO: env steps/s of its whole training, after the second iteration, as JSON.

Runs in an environment of its own, see make_env.sh; imports nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/trpo_sb3.py --task=HalfCheetah-v5
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
import time
from typing import Any

import torch
from sb3_contrib import TRPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

_VEC_ENVS = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}
_PACKAGES = ("sb3-contrib", "stable-baselines3", "torch", "gymnasium", "mujoco", "numpy")


class Clock(BaseCallback):
    """Notes time and env step where each iteration's collection starts and ends, and where training ends."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[tuple[int, float]] = []
        self.collected: list[float] = []

    def _on_rollout_start(self) -> None:
        self.starts.append((self.num_timesteps, time.perf_counter()))

    def _on_rollout_end(self) -> None:
        self.collected.append(time.perf_counter())

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.starts.append((self.num_timesteps, time.perf_counter()))


def measure(
    task: str, num_env_steps: int, num_envs: int, num_steps: int, vec_env: str, seed: int
) -> dict[str, Any]:
    """Trains, and returns the speed after the second iteration with all that it depends on."""
    env = make_vec_env(task, n_envs=num_envs, seed=seed, vec_env_cls=_VEC_ENVS[vec_env])
    # All that is not named is sb3-contrib's default; it writes no log, checkpoint or evaluation.
    model = TRPO("MlpPolicy", env, n_steps=num_steps, seed=seed, device="cpu")
    clock = Clock()
    model.learn(num_env_steps, callback=clock)
    env.close()
    if len(clock.starts) < 4:
        least = 3 * num_envs * num_steps
        sys.exit(f"--num_env_steps must be three iterations ({least}) or more; got {num_env_steps}.")
    (first_step, first_time), (last_step, last_time) = clock.starts[2], clock.starts[-1]
    rollouts = zip(clock.starts[2:-1], clock.collected[2:], strict=True)
    collecting = sum(end - start for (_, start), end in rollouts)
    return {
        "name": "sb3-contrib TRPO",
        "task": task,
        "env_steps_per_s": (last_step - first_step) / (last_time - first_time),
        "collection_env_steps_per_s": (last_step - first_step) / collecting,
        "measured_env_steps": last_step - first_step,
        "settings": {
            "policy": str(model.policy_class.__name__),
            "n_envs": num_envs,
            "n_steps": num_steps,
            "batch_size": model.batch_size,
            "n_critic_updates": model.n_critic_updates,
            "cg_max_steps": model.cg_max_steps,
            "sub_sampling_factor": model.sub_sampling_factor,
            "vec_env": _VEC_ENVS[vec_env].__name__,
            "device": "cpu",
            "logs": "none",
            "seed": seed,
        },
        "torch_threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
    }


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--task", default="HalfCheetah-v5", help="Gymnasium id")
    parser.add_argument("--num_env_steps", type=int, default=300_000, help="env steps in all")
    parser.add_argument("--num_envs", type=int, default=8)
    parser.add_argument("--num_steps", type=int, default=256, help="steps of each environment an iteration")
    parser.add_argument("--vec_env", choices=sorted(_VEC_ENVS), default="dummy")
    # Torch's own choice, one a core, is no faster with this network, and some thirty times slower when other
    # processes need the cores: its threads wait for each other after every small operation.
    parser.add_argument("--torch_threads", type=int, default=1, help="0: torch's own choice")
    parser.add_argument("--seed", type=int, default=0)
    values = parser.parse_args()
    if values.torch_threads:
        torch.set_num_threads(values.torch_threads)
    result = measure(
        values.task, values.num_env_steps, values.num_envs, values.num_steps, values.vec_env, values.seed
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
