"""One attempt at one run: a process of `expol-train`, watched until it ends."""

from __future__ import annotations

import datetime
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from expol_tf.cli import USAGE_ERROR
from expol_tf.sweeps.leftovers import OF_A_RUN, OF_RAY

# The program's entry point, as pip's console script has it: Bazel's runfiles and a cluster's nodes need not
# have that script.
TRAIN = (
    "import sys; from expol_tf.cli.commands.train import train_main; "
    "sys.argv[0] = 'expol-train'; sys.exit(train_main())"
)
_POLL_INTERVAL_S = 0.2
_TAIL_BYTES = 8192
# What a run's numbers and its imports may depend on; the rest of its environment is the worker's.
_VARIABLES = re.compile(
    r"(TF|XLA|OMP|MKL|KMP|OPENBLAS|MUJOCO|BUILD_WORK(ING|SPACE))_.*|PYTHONPATH|PYOPENGL_PLATFORM"
)


class Attempt(NamedTuple):
    """What a worker needs to make an attempt.

    Attributes:
      arguments: The arguments of `expol-train`.
      log: The file to which the process's output is appended.
      stop_file: When this appears, the process is asked to save and end.
      directory: The process's working directory.
      variables: The environment variables on which a run's numbers and imports depend.
      title: The first line in the log.
    """

    arguments: tuple[str, ...]
    log: Path
    stop_file: Path
    directory: str
    variables: Mapping[str, str]
    title: str


class AttemptResult(NamedTuple):
    """How an attempt ended.

    Attributes:
      returncode: The process's exit status; minus the signal's number if a signal ended it.
      message: Why it failed; empty if it did not.
      retry: Whether another attempt may succeed.
      stopped: Whether it was asked to end.
    """

    returncode: int
    message: str
    retry: bool
    stopped: bool


def inherited_variables() -> dict[str, str]:
    """Returns the environment variables that the runs take from the sweep's own process."""
    variables = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}
    # Whatever this process imports from, the runs do too: a checkout, Bazel's runfiles.
    variables["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path or ".") for path in sys.path)
    return variables


def python(*arguments: str) -> list[str]:
    """Returns the command of a Python process that imports nothing from the directory where it is started.

    A file there that is called like a module of the standard library would stand in for it.
    """
    return [sys.executable, "-P", *arguments]


def _not_through_a_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def make_attempt(attempt: Attempt) -> AttemptResult:
    """Runs `expol-train` in a process of its own; asks it to end when the stop file appears."""
    environment = {name: value for name, value in os.environ.items() if not _VARIABLES.fullmatch(name)}
    environment = {name: value for name, value in environment.items() if not name.startswith("RAY_")}
    environment |= {**attempt.variables, "PYTHONUNBUFFERED": "1"}
    if ray_directory := environment.pop(OF_RAY, None):
        environment[OF_A_RUN] = ray_directory
    command = python("-m", "expol_tf.sweeps.launch", str(os.getpid()), *python("-c", TRAIN))
    command += attempt.arguments
    attempt.log.parent.mkdir(parents=True, exist_ok=True)
    with open(attempt.log, "ab", opener=_not_through_a_link) as log:
        now = datetime.datetime.now().isoformat(sep=" ", timespec="seconds")
        shown = shlex.join(["expol-train", *attempt.arguments])
        log.write(f"--- {attempt.title}, {now}, {os.uname().nodename}\n{shown}\n".encode())
        log.flush()
        start = log.tell()
        # A session of its own: a Ctrl-C in the sweep's terminal is the sweep's to handle.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env=environment, cwd=attempt.directory, start_new_session=True,
        )  # fmt: skip
        stopped = False
        while process.poll() is None:
            # One signal: a second one would end the run before it has saved.
            if not stopped and attempt.stop_file.exists():
                process.terminate()
                stopped = True
            time.sleep(_POLL_INTERVAL_S)
    message = "" if process.returncode == 0 else failure(process.returncode, _tail(attempt.log, start))
    # The lock of a process that was just killed may not be open yet.
    retry = process.returncode != USAGE_ERROR or "is in use by" in message
    return AttemptResult(process.returncode, message, retry, stopped)


def failure(returncode: int, output: str) -> str:
    """Returns in one line why a process failed: the signal, or the last thing that it said."""
    if returncode < 0:
        known = {number.value: number.name for number in signal.Signals}
        name = known.get(-returncode, f"signal {-returncode}")  # Most real-time signals have no name.
        return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
    lines = [line.strip() for line in re.split(r"[\r\n]+", output) if line.strip()]
    errors = [line for line in lines if line.startswith("expol-train: error: ")]
    last = (errors or lines or ["no output"])[-1].removeprefix("expol-train: error: ")
    return f"exit status {returncode}: {last}"[:300]


def _tail(path: Path, start: int) -> str:
    """Returns the end of what was written after `start`."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _TAIL_BYTES))
        return file.read().decode(errors="replace")
