"""Measures a peer: env steps/s of its whole training after warming up, as JSON.

Not a program: `trpo_sb3.py`, `sac_sbx.py` and the others name their algorithm and call `main`, so that flags
and clock are the same for all. They run in an environment of their own, see make_env.sh, and import nothing
of expol_tf. Not measured are the first two iterations of an on-policy algorithm, and the random actions
before learning starts and the first updates of an off-policy one.
"""

from __future__ import annotations

import argparse
import enum
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

_VEC_ENVS = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}
_PACKAGES = ("stable-baselines3", "torch", "gymnasium", "mujoco", "numpy")
# Compilation, first touches of memory: what a run pays once is not its speed.
_WARM_UP_ITERATIONS = 2
# Of an off-policy algorithm, after learning has started.
_WARM_UP_STEPS = 500


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
      torch_threads: As many as are fastest on an idle machine of two cores; 0: torch's own choice. Torch's
        choice, one a core, is no faster with small networks on few rows, and some thirty times slower when
        other processes need the cores: its threads wait for each other after every small operation.
    """

    title: str
    algorithm: type[BaseAlgorithm]
    settings: tuple[str, ...]
    policy_settings: tuple[str, ...] = ("net_arch",)
    packages: tuple[str, ...] = ()
    compile_seconds: Callable[[], float] = float
    more_settings: dict[str, Any] = field(default_factory=dict)
    torch_threads: int = 1

    @property
    def off_policy(self) -> bool:
        """Whether it learns from a replay buffer."""
        return issubclass(self.algorithm, OffPolicyAlgorithm)


class Clock(BaseCallback):
    """Notes time and env step where each iteration's collection starts and ends, and where training ends.

    Time spent compiling is left out, though not of processor time.
    """

    def __init__(self, compile_seconds: Callable[[], float]) -> None:
        super().__init__()
        self._compile_seconds = compile_seconds
        self.starts: list[tuple[int, float]] = []
        self.cpu_seconds: list[float] = []
        self.collected: list[float] = []

    def _now(self) -> float:
        return time.perf_counter() - self._compile_seconds()

    def _on_rollout_start(self) -> None:
        self._start()

    def _start(self) -> None:
        self.starts.append((self.num_timesteps, self._now()))
        self.cpu_seconds.append(time.process_time())

    def _on_rollout_end(self) -> None:
        self.collected.append(self._now())

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._start()


def measure(peer: Peer, values: argparse.Namespace) -> dict[str, Any]:
    """Trains, and returns the speed after warming up with all that it depends on."""
    env = make_vec_env(
        values.task, n_envs=values.num_envs, seed=values.seed, vec_env_cls=_VEC_ENVS[values.vec_env]
    )
    if peer.off_policy:
        given = {"learning_starts": values.learning_starts, "gradient_steps": values.gradient_steps}
    else:
        given = {"n_steps": values.num_steps}
    # All that is not named is the peer's default; it writes no log, checkpoint or evaluation.
    model = peer.algorithm("MlpPolicy", env, seed=values.seed, device="cpu", **given)
    clock = Clock(peer.compile_seconds)
    model.learn(values.num_env_steps, callback=clock)
    env.close()
    warm_up = _warm_up(peer, clock, values)
    measured = clock.starts[warm_up:]
    (first_step, first_time), (last_step, last_time) = measured[0], measured[-1]
    rollouts = zip(measured[:-1], clock.collected[warm_up:], strict=True)
    collecting = sum(end - start for (_, start), end in rollouts)
    return {
        "title": peer.title,
        "task": values.task,
        "off_policy": peer.off_policy,
        "env_steps_per_s": (last_step - first_step) / (last_time - first_time),
        "collection_env_steps_per_s": (last_step - first_step) / collecting,
        "cpu_ms_per_env_step": 1e3
        * (clock.cpu_seconds[-1] - clock.cpu_seconds[warm_up])
        / (last_step - first_step),
        "measured_env_steps": last_step - first_step,
        "iteration_steps": measured[1][0] - first_step,
        "settings": {
            "policy": model.policy_class.__name__,
            "n_envs": values.num_envs,
            **given,
            **{setting: getattr(model, setting) for setting in peer.settings},
            **{setting: getattr(model.policy, setting) for setting in peer.policy_settings},
            **peer.more_settings,
            "vec_env": _VEC_ENVS[values.vec_env].__name__,
            "device": "cpu",
            "logs": "none",
            "seed": values.seed,
        },
        "torch_threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in (*peer.packages, *_PACKAGES)},
        },
    }


def _warm_up(peer: Peer, clock: Clock, values: argparse.Namespace) -> int:
    """Returns the number of iterations that are not measured."""
    if peer.off_policy:
        least = values.learning_starts + _WARM_UP_STEPS
        warm_up = sum(step < least for step, _ in clock.starts)
    else:
        least = _WARM_UP_ITERATIONS * values.num_envs * values.num_steps
        warm_up = _WARM_UP_ITERATIONS
    if len(clock.starts) < warm_up + 2:
        sys.exit(
            f"--num_env_steps must be more than those of warming up, {least}; got {values.num_env_steps}."
        )
    return warm_up


def _plain(value: Any) -> Any:
    """Returns a setting as JSON has it: enumerators by their values, NumPy's scalars as numbers."""
    if isinstance(value, enum.Enum):
        return value.value
    return value.item() if hasattr(value, "item") else str(value)


def _arguments(peer: Peer, description: str) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    add = parser.add_argument
    add("--task", default="HalfCheetah-v5", help="Gymnasium id")
    if peer.off_policy:
        add("--num_env_steps", type=int, default=30_000, help="env steps in all")
        add("--num_envs", type=int, default=1)
        add("--learning_starts", type=int, default=10_000, help="steps of random actions before any update")
        add(
            "--gradient_steps", type=int, default=-1, help="after a step of each environment; -1: one of each"
        )
    else:
        add("--num_env_steps", type=int, default=300_000, help="env steps in all")
        add("--num_envs", type=int, default=8)
        add("--num_steps", type=int, default=256, help="steps of each environment an iteration")
    add("--vec_env", choices=sorted(_VEC_ENVS), default="dummy")
    add("--torch_threads", type=int, default=peer.torch_threads, help="0: torch's own choice")
    add("--seed", type=int, default=0)
    return parser.parse_args()


def main(peer: Peer, description: str) -> None:
    """Measures the peer as the command line asks, and prints the result in one line."""
    values = _arguments(peer, description)
    if values.torch_threads:
        torch.set_num_threads(values.torch_threads)
    print(json.dumps(measure(peer, values), default=_plain))
