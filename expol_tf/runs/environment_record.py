"""The conditions under which a run gives its numbers: versions, threads, flags, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expol_tf.cli import RUN_PACKAGES, installed_versions

_VARIABLES = (
    "XLA_FLAGS",
    "TF_XLA_FLAGS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_DETERMINISTIC_OPS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
)
# The sections that can change numbers; the rest of the record is for the reader.
_COMPARED = ("versions", "threads", "variables", "machine", "device", "seed")


def describe_environment(seed: int | None = None, device: str | None = None) -> dict[str, Any]:
    """Returns, as JSON, the conditions under which a run reproduces its numbers.

    Args:
      seed: The run's seed.
      device: The device that the run was asked to use.
    """
    # Those who only read runs need no TensorFlow, which takes seconds.
    import tensorflow as tf

    return {
        "versions": installed_versions(RUN_PACKAGES),
        "threads": {
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
            "available": len(os.sched_getaffinity(0)),
        },
        "variables": {name: os.environ.get(name) for name in _VARIABLES},
        "machine": {"cpu": _cpu_model(), "architecture": platform.machine()},
        "device": device,
        "devices": [physical.name for physical in tf.config.list_physical_devices()],
        "seed": seed,
        "platform": platform.platform(),
        "host": platform.node(),
        "git": _git_state(Path(__file__).resolve().parent),
        "command": sys.argv,
        "working_directory": os.getcwd(),
    }


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Returns a line `name: recorded → current` for every difference that can change numbers."""
    lines = []
    for section in _COMPARED:
        old, new = _flatten(section, recorded.get(section)), _flatten(section, current.get(section))
        changed = [name for name in old | new if old.get(name) != new.get(name)]
        lines += [f"{name}: {old.get(name)} → {new.get(name)}" for name in changed]
    return lines


def _flatten(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {f"{name}.{key}": item for key, item in value.items()}
    return {name: value}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _git_state(directory: Path) -> dict[str, Any] | None:
    """Returns the revision of the checkout that the library runs from, None outside of one."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(directory), *arguments]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    # An installed package inside somebody else's checkout (a virtual environment, say) is not tracked there.
    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"revision": git("rev-parse", "HEAD"), "modified": bool(status)}
