"""Measures a peer: env steps/s of its whole training after the second iteration, as JSON.

Not a program: `trpo_sb3.py`, `ppo_sb3.py` and `ppo_sbx.py` name their algorithm and call `main`, so that
flags and clock are the same for all. They run in an environment of their own, see make_env.sh, and import
nothing of expol_tf.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

_VEC_ENVS = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}
_PACKAGES = ("stable-baselines3", "torch", "gymnasium", "mujoco", "numpy")
# Compilation, first touches of memory: what a run pays once is not its speed.
_WARM_UP_ITERATIONS = 2


@dataclass(frozen=True)
class Peer:
    """An algorithm with Stable-Baselines3's interface, whose defaults are measured.

    Attributes:
      title: For tables.
      algorithm: Its class.
      settings: Attributes of the algorithm to record, all of them its defaults.
      policy_settings: Attributes of its policy to record.
      packages: Distributions that it needs beyond those of all peers.
      compile_seconds: Time that compiling has taken so far, for a peer that compiles what it first uses.
      more_settings: Others to record.
    """

    title: str
    algorithm: type[OnPolicyAlgorithm]
    settings: tuple[str, ...]
    policy_settings: tuple[str, ...] = ("net_arch",)
    packages: tuple[str, ...] = ()
    compile_seconds: Callable[[], float] = float
    more_settings: dict[str, Any] = field(default_factory=dict)


class Clock(BaseCallback):
    """Notes time and env step where each iteration's collection starts and ends, and where training ends.

    Time spent compiling is left out.
    """

    def __init__(self, compile_seconds: Callable[[], float]) -> None:
        super().__init__()
        self._compile_seconds = compile_seconds
        self.starts: list[tuple[int, float]] = []
        self.collected: list[float] = []

    def _now(self) -> float:
        return time.perf_counter() - self._compile_seconds()

    def _on_rollout_start(self) -> None:
        self.starts.append((self.num_timesteps, self._now()))

    def _on_rollout_end(self) -> None:
        self.collected.append(self._now())

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.starts.append((self.num_timesteps, self._now()))


def measure(
    peer: Peer, task: str, num_env_steps: int, num_envs: int, num_steps: int, vec_env: str, seed: int
) -> dict[str, Any]:
    """Trains, and returns the speed after the second iteration with all that it depends on."""
    env = make_vec_env(task, n_envs=num_envs, seed=seed, vec_env_cls=_VEC_ENVS[vec_env])
    # All that is not named is the peer's default; it writes no log, checkpoint or evaluation.
    model = peer.algorithm("MlpPolicy", env, n_steps=num_steps, seed=seed, device="cpu")  # type: ignore[call-arg]
    clock = Clock(peer.compile_seconds)
    model.learn(num_env_steps, callback=clock)
    env.close()
    if len(clock.starts) < _WARM_UP_ITERATIONS + 2:
        least = (_WARM_UP_ITERATIONS + 1) * num_envs * num_steps
        sys.exit(f"--num_env_steps must be three iterations ({least}) or more; got {num_env_steps}.")
    measured = clock.starts[_WARM_UP_ITERATIONS:]
    (first_step, first_time), (last_step, last_time) = measured[0], measured[-1]
    rollouts = zip(measured[:-1], clock.collected[_WARM_UP_ITERATIONS:], strict=True)
    collecting = sum(end - start for (_, start), end in rollouts)
    return {
        "title": peer.title,
        "task": task,
        "env_steps_per_s": (last_step - first_step) / (last_time - first_time),
        "collection_env_steps_per_s": (last_step - first_step) / collecting,
        "measured_env_steps": last_step - first_step,
        "iteration_steps": num_envs * num_steps,
        "settings": {
            "policy": model.policy_class.__name__,
            "n_envs": num_envs,
            "n_steps": num_steps,
            **{setting: getattr(model, setting) for setting in peer.settings},
            **{setting: getattr(model.policy, setting) for setting in peer.policy_settings},
            **peer.more_settings,
            "vec_env": _VEC_ENVS[vec_env].__name__,
            "device": "cpu",
            "logs": "none",
            "seed": seed,
        },
        "torch_threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in (*peer.packages, *_PACKAGES)},
        },
    }


def main(peer: Peer, description: str) -> None:
    """Measures the peer as the command line asks, and prints the result in one line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
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
        peer,
        values.task,
        values.num_env_steps,
        values.num_envs,
        values.num_steps,
        values.vec_env,
        values.seed,
    )
    print(json.dumps(result))
