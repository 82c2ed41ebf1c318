"""Runs trials in processes that are forked from this one, which has imported TensorFlow but not used it."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.hostile.trial import Ended, Trial

# Memory that a trial may take: a billion environments must not take the machine's.
_MEMORY_BYTES = 6 << 30
_POLL_S = 0.01
_OUTPUT = "output.txt"
_SHOWN_OUTPUT = 200_000


def slowdown() -> float:
    """Returns how many times as long things take as on an idle machine, as others use this one too."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Running:
    """A trial's process; its working directory is `directory`, which is made."""

    def __init__(self, trial: Trial, directory: Path) -> None:
        self.trial = trial
        self.directory = directory
        self._here = directory / "here"
        self._here.mkdir(parents=True)
        (directory / "tmp").mkdir()
        self._start = time.monotonic()
        self._slowdown = slowdown()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            _be_child(trial.act, self._here, directory)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._start

    def poll(self) -> Ended | None:
        """Returns how it ended, None while it is running."""
        pid, state = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            return self._ended(os.waitstatus_to_exitcode(state))
        self._slowdown = max(self._slowdown, slowdown())
        if self.seconds > self.trial.limit_s * self._slowdown:
            self._kill_group()
            os.waitpid(self._pid, 0)
            return self._ended(None)
        return None

    def _ended(self, status: int | None) -> Ended:
        self._kill_group()
        output = (self.directory / _OUTPUT).read_text(encoding="utf-8", errors="replace")
        return Ended(status, output[-_SHOWN_OUTPUT:], self._here)

    def _kill_group(self) -> None:
        """Ends whatever the trial has left running."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def remove(self) -> None:
        """Removes its directory, whatever it did to it."""
        for path, directories, _ in os.walk(self.directory):
            for name in directories:
                with contextlib.suppress(OSError):
                    if not (Path(path) / name).is_symlink():
                        os.chmod(Path(path) / name, 0o700)
        shutil.rmtree(self.directory, ignore_errors=True)


def _be_child(act: Callable[[], int | None], here: Path, directory: Path) -> None:
    """Runs `act` as the main program of this process; does not return."""
    status = 1
    try:
        os.setsid()
        _limit_memory()
        descriptor = os.open(directory / _OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        os.environ["TMPDIR"] = str(directory / "tmp")
        os.environ["HOME"] = str(directory)
        os.environ.pop("BUILD_WORKING_DIRECTORY", None)
        import tempfile

        tempfile.tempdir = None
        os.chdir(here)
        subprocess.run = _run_python_in_a_fork(subprocess.run)  # type: ignore[assignment]
        status = main_status(act)
        for thread in threading.enumerate():
            # As the interpreter does at its end: a thread that never ends is a hang.
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def main_status(act: Callable[[], int | None]) -> int:
    """Returns the exit status that the interpreter has when `act` is all that a program does."""
    try:
        return int(act() or 0)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return int(stop.code or 0) & 0xFF
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        # As the interpreter would: the frames of this file are not the library's.
        kind, error, trace = sys.exc_info()
        traceback.print_exception(kind, error, trace)
        return 1


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY_BYTES, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run_python_in_a_fork(run: Any) -> Any:
    """Returns `subprocess.run` for programs, with Python's own `-c` run by a fork that has all imported."""

    def forked(command: Any, *arguments: Any, **options: Any) -> Any:
        ours = list(command[:2]) == [sys.executable, "-c"] and "expol_tf" in command[2]
        if arguments or not options.get("capture_output") or not ours:
            return run(command, *arguments, **options)
        place = Path(os.environ["TMPDIR"]) / f"python-{os.getpid()}-{time.monotonic_ns()}"
        place.mkdir()
        streams = [place / name for name in ("in", "out", "err")]
        streams[0].write_text(options.get("input") or "", encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for number, (path, mode) in enumerate(zip(streams, "rww", strict=True)):
                    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
                    stream = open(number, mode, encoding="utf-8", closefd=False)
                    setattr(sys, ("stdin", "stdout", "stderr")[number], stream)
                os.environ.update(options.get("env") or {})
                sys.argv = ["-c", *command[3:]]
                code = compile(command[2], "<string>", "exec")
                status = main_status(lambda: exec(code, {"__name__": "__main__"}))
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        _, state = os.waitpid(pid, 0)
        done = subprocess.CompletedProcess(
            command,
            os.waitstatus_to_exitcode(state),
            streams[1].read_text(encoding="utf-8", errors="replace"),
            streams[2].read_text(encoding="utf-8", errors="replace"),
        )
        if options.get("check"):
            done.check_returncode()
        return done

    return forked


class Fork:
    """A process that a trial forks for one of several programs; its output goes where the trial's does."""

    def __init__(self, act: Callable[[], int | None]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                status = main_status(act)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def poll(self) -> int | None:
        """Returns the exit status, minus the number of the signal that ended it; None while it runs."""
        if self._status is None:
            pid, state = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(state)
        return self._status

    def wait(self, limit_s: float, scaled: bool = True) -> int | None:
        """Returns the exit status; None if it is still running after `limit_s` seconds.

        They are those of an idle machine if `scaled`.
        """
        end = time.monotonic() + limit_s * (slowdown() if scaled else 1.0)
        while self.poll() is None and time.monotonic() < end:
            time.sleep(_POLL_S)
        return self._status

    def send(self, number: int) -> None:
        """Sends a signal, if there is still somebody to get it."""
        if self.poll() is None:
            os.kill(self.pid, number)


def run_all(
    trials: Iterator[tuple[str, Trial]], directory: Path, parallel: int
) -> Iterator[tuple[str, Trial, Ended, float, Running]]:
    """Yields every trial as it ends: its name, itself, how it ended, and the seconds that it took."""
    running: dict[str, Running] = {}
    try:
        while True:
            while len(running) < parallel:
                following = next(trials, None)
                if following is None:
                    break
                name, trial = following
                running[name] = Running(trial, directory / name.replace("/", "-"))
            if not running:
                return
            for name, process in list(running.items()):
                ended = process.poll()
                if ended is not None:
                    del running[name]
                    yield name, process.trial, ended, process.seconds, process
            time.sleep(_POLL_S)
    finally:
        for process in running.values():
            process._kill_group()
