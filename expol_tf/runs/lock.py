"""A directory for one process at a time."""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import os
import socket
import weakref
from pathlib import Path

from expol_tf.errors import RunDirectoryError


class DirectoryLock:
    """Keeps other processes out of a directory while the context is open.

    The lock is the kernel's (`flock`), so it goes with its owner however that ends. The lock file only tells
    others who holds it; what it says is never believed.

    Args:
      path: The lock file, in the directory.
      holder: The beginning of what the message calls the holder, such as "another sweep, ".
    """

    def __init__(self, path: str | os.PathLike[str], holder: str = "") -> None:
        self._path = Path(path)
        self._holder = holder
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def __enter__(self) -> DirectoryLock:
        self.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Takes the lock, if it is not held already, and writes down who did.

        Raises:
          RunDirectoryError: Another process, or another object of this one, holds it.
          OSError: The lock file cannot be written, or is a link.
        """
        if self.is_held:
            return
        # What a link leads to is somebody else's, and would be overwritten.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path, flags, 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise RunDirectoryError(
                f"{self._path} must be a lock file; it is a symbolic link, which is not followed. Remove it."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = self._holder + _describe_owner(os.pread(descriptor, 4096, 0))
            os.close(descriptor)
            raise RunDirectoryError(
                f"root_dir {self._path.parent} is in use by {owner}. Wait until it ends, stop it, "
                "or give another root_dir."
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _HELD.add(self)
        started = datetime.datetime.now().isoformat(timespec="seconds")
        owner_record = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(owner_record).encode(), 0)
        except OSError:
            self.release()
            raise

    def holder(self) -> str | None:
        """Returns who holds the lock, as far as the lock file says; None if nobody does."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            # Shared, so that several may ask; given back at once.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._holder + _describe_owner(os.pread(descriptor, 4096, 0))
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return None

    def release(self) -> None:
        """Gives the lock back. The lock file stays: removing it would let two processes lock two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _describe_owner(content: bytes) -> str:
    try:
        owner = json.loads(content)
        return f"process {owner['pid']} on {owner['host']}, since {owner['started']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another process"


# A forked child (an environment worker, say) inherits the descriptor, and with it the lock, and may outlive a
# killed owner. Closing the child's copy leaves the owner's lock in place.
_HELD: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


def _release_in_child() -> None:
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
