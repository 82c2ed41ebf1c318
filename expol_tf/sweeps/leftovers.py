"""The directory of a sweep's own Ray, and what a sweep that was killed has left of one.

Ray's servers end with the process that started them, but its agents stay, with the directory. Every process
of such a Ray inherits the directory's name in a variable, by which it is found, and whoever started it holds
a lock in the directory, which the kernel opens when that process ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from expol_tf.errors import RunDirectoryError
from expol_tf.runs import DirectoryLock

# Processes of Ray have the first, runs the second: they save when their worker ends, and are waited for.
OF_RAY, OF_A_RUN = "EXPOL_SWEEP_RAY", "EXPOL_SWEEP_RUN"

_PREFIX = "expol-"
_LOCK = "owner.lock"
_TERMINATE_S, _SAVE_S, _POLL_S = 5.0, 60.0, 0.1


class RayDirectory:
    """A directory for Ray's sockets and logs, made by the context and removed with it."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_short_directory()))
        self._lock = DirectoryLock(self._path / _LOCK)
        self._lock.acquire()
        os.environ[OF_RAY] = str(self._path)
        return self._path

    def __exit__(self, *exception: object) -> None:
        os.environ.pop(OF_RAY, None)
        _end(self._path)
        shutil.rmtree(self._path, ignore_errors=True)
        self._lock.release()


def clean() -> list[Path]:
    """Ends what killed sweeps of this user have left on this machine; returns the removed directories."""
    removed = []
    for path in sorted(Path(_short_directory() or tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        if not _is_ours(path):
            continue
        lock = DirectoryLock(path / _LOCK)
        # Whose owner lives, or whom another sweep is cleaning up after, is left alone.
        with contextlib.suppress(RunDirectoryError, OSError), lock:
            _end(path)
            _wait_for(path, OF_A_RUN, _SAVE_S)
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return removed


@contextlib.contextmanager
def hangup_is_an_exit() -> Iterator[None]:
    """Lets SIGHUP raise a SystemExit, so that what was started is ended. An ignored one stays ignored."""
    former = signal.getsignal(signal.SIGHUP)
    if former == signal.SIG_IGN:
        yield
        return

    def leave(number: int, frame: object) -> None:
        del frame
        raise SystemExit(128 + number)

    try:
        signal.signal(signal.SIGHUP, leave)
    except ValueError:  # Python delivers no signals outside of the main thread.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, former)


def _is_ours(path: Path) -> bool:
    """Whether a directory is one of this user's with a lock; others can make names too."""
    try:
        kinds = [os.lstat(path), os.lstat(path / _LOCK)]
    except OSError:
        return False
    mine = all(kind.st_uid == os.geteuid() for kind in kinds)
    return mine and stat.S_ISDIR(kinds[0].st_mode) and stat.S_ISREG(kinds[1].st_mode)


def _end(path: Path) -> None:
    """Ends the processes of the Ray in a directory, gently first."""
    for number, patience in ((signal.SIGTERM, _TERMINATE_S), (signal.SIGKILL, _TERMINATE_S)):
        processes = _processes(OF_RAY, path)
        for process in processes:
            with contextlib.suppress(OSError):
                os.kill(process, number)
        if not processes or _wait_for(path, OF_RAY, patience):
            return


def _wait_for(path: Path, variable: str, seconds: float) -> bool:
    """Returns whether all processes with the variable have ended before the time was over."""
    deadline = time.monotonic() + seconds
    while _processes(variable, path):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _processes(variable: str, path: Path) -> list[int]:
    """Returns the living processes of this user, but for this one, whose `variable` is `path`."""
    entry = f"{variable}={path}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Of others' processes nothing can be read, and those that have ended have no variables.
        with contextlib.suppress(OSError):
            if process.name != str(os.getpid()) and entry in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def _short_directory() -> str | None:
    """Returns /tmp where it can be written: a TMPDIR may leave too little of a socket's 107 characters."""
    return "/tmp" if os.access("/tmp", os.W_OK) else None
