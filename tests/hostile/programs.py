"""The library's programs and Python calls, as what a trial's process does."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# What makes runs of the library's experiments tiny: seconds, most of them for making the agent.
_COMMON = ("EVAL_EPISODES = 1", "NUM_ENVS = 2", "NUM_ENV_STEPS = 96")
_OFF_POLICY = (
    "OffPolicyRunner.iteration_steps = 32",
    "OffPolicyRunner.warm_up_steps = 32",
    "OffPolicyRunner.batch_size = 8",
    "OffPolicyRunner.updates_per_step = 0.1",
    "OffPolicyRunner.replay_capacity = 64",
    "CriticNetwork.hidden_units = (4,)",
)
TINY = {
    "ddpg": (*_COMMON, *_OFF_POLICY, "DeterministicActorNetwork.hidden_units = (4,)"),
    "sac": (*_COMMON, *_OFF_POLICY, "GaussianActorNetwork.hidden_units = (4,)"),
    "gaussian_ppo": (
        *_COMMON,
        "OnPolicyRunner.iteration_steps = 32",
        "Acting.jit_compile = False",
        "MinibatchAdam.epochs = 1",
        "MinibatchRegression.epochs = 1",
        "ValueNetwork.hidden_units = (4,)",
        "GaussianActorNetwork.hidden_units = (4,)",
    ),
}
TASK = "gin/tasks/multi_goal.gin"
# Where the runs are that trials damage or look at; see `make_bases`.
bases = Path()


def import_all() -> None:
    """Imports every module of the library, so that no trial has to."""
    import expol_tf

    for module in pkgutil.walk_packages(expol_tf.__path__, "expol_tf."):
        importlib.import_module(module.name)
    for package in ("matplotlib.pyplot", "imageio", "rliable.metrics"):
        importlib.import_module(package)


def program(name: str, *arguments: str) -> Callable[[], int]:
    """Returns what runs the program `expol-<name>`."""

    def act() -> int:
        sys.argv = [f"expol-{name}", *arguments]
        main = getattr(importlib.import_module(f"expol_tf.cli.commands.{name}"), f"{name}_main")
        return main(list(sys.argv))

    return act


def shown(name: str, *arguments: str) -> str:
    """Returns the command line for whoever reads it, long arguments cut."""
    cut = [text if len(text) < 200 else f"{text[:120]}…({len(text)} characters)" for text in arguments]
    return " ".join([f"expol-{name}", *map(repr, cut)])


def experiment(name: str, *bindings: str, task: str = TASK, root: str = "run") -> list[str]:
    """Returns the flags of a tiny run of one of the library's experiments."""
    files = [f"--gin_file=gin/{name}.gin", *([f"--gin_file={task}"] if task else [])]
    return [*files, f"--root_dir={root}", *(f"--gin_bindings={text}" for text in (*TINY[name], *bindings))]


def calling(function: Callable[[], Any], *also: type[BaseException]) -> Callable[[], int]:
    """Returns what calls Python code: an error of the library's (or one of `also`) is its answer."""

    def act() -> int:
        from expol_tf.errors import ExpolError

        try:
            function()
        except (ExpolError, *also) as error:
            print(f"{type(error).__name__}: {error}")
            return 2
        return 0

    return act


def in_sequence(*acts: Callable[[], int | None]) -> Callable[[], int]:
    """Returns what does one after the other; its status is that of the last."""

    def act() -> int:
        status = 0
        for each in acts:
            status = each() or 0
        return status

    return act


def with_copies(names: Sequence[str], prepare: Callable[[], Any], act: Callable[[], int | None]) -> Any:
    """Returns `act` after the named base runs were copied here and `prepare` has done what it does."""

    def copied() -> int | None:
        for name in names:
            shutil.copytree(bases / name, name, symlinks=True)
        prepare()
        return act()

    return copied


def write(path: str, text: str | bytes) -> None:
    """Writes a file in the trial's directory."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))


def after_writing(files: dict[str, str | bytes], act: Callable[[], int | None]) -> Callable[[], int | None]:
    """Returns `act` after the files were written."""

    def written() -> int | None:
        for path, text in files.items():
            write(path, text)
        sys.path_importer_cache.pop(os.getcwd(), None)
        return act()

    return written


def make_bases() -> dict[str, Callable[[], int]]:
    """Returns what makes each base run, in the directory in which the bases are to lie."""
    from tests.hostile.environments import GOOD_MODULE

    own = ("import my_task", "train.task = @my_task.make", "GAMMA = 0.9")
    return {
        "ddpg": program("train", *experiment("ddpg", "CHECKPOINT_INTERVAL = 32", root="ddpg")),
        "gaussian_ppo": program(
            "train", *experiment("gaussian_ppo", "CHECKPOINT_INTERVAL = 32", root="gaussian_ppo")
        ),
        "own": after_writing(  # type: ignore[dict-item]
            {"my_task.py": GOOD_MODULE}, program("train", *experiment("ddpg", *own, task="", root="own"))
        ),
    }
