"""The directory of one run: one process at a time, one experiment for ever."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import socket
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from absl import logging

from expol_tf.errors import RunDirectoryError
from expol_tf.runs import atomic_files, environment_record

_LOCK = ".lock"
_CONFIG = "config.gin"
_ENVIRONMENT = "environment.json"
_FINGERPRINT = "fingerprint.json"
# What a run killed inside its first `prepare` may have left.
_BEGUN = {_LOCK, _CONFIG, _ENVIRONMENT} | {f".{name}.tmp" for name in (_CONFIG, _ENVIRONMENT, _FINGERPRINT)}


class RunDirectory:
    """The files of a run under `root_dir`, locked while the context is open.

    The lock is the kernel's (`flock`), so it goes with its owner however that ends; the lock file's content
    only tells others who holds it, and is never believed.

    Args:
      root_dir: The run's directory; made, with its parents, when the context opens.
    """

    def __init__(self, root_dir: str | os.PathLike[str]):
        self._root = Path(root_dir).absolute()
        self._lock: int | None = None

    @property
    def root(self) -> Path:
        """The run's directory, absolute."""
        return self._root

    @property
    def config(self) -> Path:
        """The configuration that, trained again, reproduces the run."""
        return self._root / _CONFIG

    @property
    def environment(self) -> Path:
        """Versions, threads and flags under which the run began."""
        return self._root / _ENVIRONMENT

    @property
    def metrics_csv(self) -> Path:
        """A row per iteration."""
        return self._root / "metrics.csv"

    @property
    def evaluation_csv(self) -> Path:
        """A row per evaluation."""
        return self._root / "evaluation.csv"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self._root / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """The directory of the `CheckpointStore`."""
        return self._root / "checkpoints"

    @property
    def policy(self) -> Path:
        """The exported SavedModel."""
        return self._root / "policy"

    @property
    def critic(self) -> Path:
        """The exported critics, of an off-policy run."""
        return self._root / "critic"

    @property
    def learning_curve(self) -> Path:
        """A plot of the returns."""
        return self._root / "learning_curve.png"

    @property
    def exists(self) -> bool:
        """Whether a run was prepared here."""
        return (self._root / _FINGERPRINT).exists()

    def __enter__(self) -> RunDirectory:
        """Makes the directory and takes its lock.

        Raises:
          RunDirectoryError: It holds something that is not a run, another process uses it, or it cannot be
            written.
        """
        try:
            self._refuse_foreign_content()
            self._root.mkdir(parents=True, exist_ok=True)
            self._acquire()
        except OSError as error:
            raise self._cannot_write(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Gives the lock back. The lock file stays: removing it would let two processes lock two files."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def prepare(
        self, config_text: str, fingerprint: Mapping[str, str], environment: Mapping[str, Any]
    ) -> bool:
        """Records a new run's configuration, or checks that an existing one is this experiment.

        Args:
          config_text: The content of `config.gin`; an existing run keeps its own (see `write_config`).
          fingerprint: The settings, by name, that make this experiment this one.
          environment: What `describe_environment` returns. A difference to the recorded one that can change
            numbers is warned of.

        Returns:
          True if the run existed.

        Raises:
          RunDirectoryError: The directory holds a run with another fingerprint, or cannot be written.
        """
        if self._lock is None:
            raise RuntimeError("prepare must be called inside `with RunDirectory(...)`, which locks it.")
        if self.exists:
            self._compare_fingerprint(dict(fingerprint))
            self._compare_environment(environment)
            return True
        try:
            atomic_files.write_atomically(self.config, config_text)
            environment_text = json.dumps(environment, indent=1, default=str) + "\n"
            atomic_files.write_atomically(self.environment, environment_text)
            # Last, because its presence says that the others are there.
            fingerprint_text = json.dumps(dict(fingerprint), indent=1, sort_keys=True) + "\n"
            atomic_files.write_atomically(self._root / _FINGERPRINT, fingerprint_text)
        except OSError as error:
            raise self._cannot_write(error) from error
        return False

    def write_config(self, config_text: str) -> None:
        """Replaces `config.gin`, when a run is extended and the old text no longer reproduces it."""
        try:
            if self.config.exists() and self.config.read_text() == config_text:
                return
            atomic_files.write_atomically(self.config, config_text)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _refuse_foreign_content(self) -> None:
        if not self._root.exists():
            return
        if not self._root.is_dir():
            raise RunDirectoryError(
                f"root_dir must be a directory; {self._root} is a file. Give another root_dir."
            )
        if self.exists:
            return
        foreign = sorted(path.name for path in self._root.iterdir() if path.name not in _BEGUN)
        if foreign:
            shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
            raise RunDirectoryError(
                f"root_dir must be new, empty or hold a run; {self._root} holds other files ({shown}). "
                "Give another root_dir."
            )

    def _acquire(self) -> None:
        if self._lock is not None:
            return
        descriptor = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _describe_owner(os.pread(descriptor, 4096, 0))
            os.close(descriptor)
            raise RunDirectoryError(
                f"root_dir {self._root} is in use by {owner}. Wait until it ends, stop it, "
                "or give another root_dir."
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor
        _OPEN.add(self)
        started = datetime.datetime.now().isoformat(timespec="seconds")
        owner_record = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(owner_record).encode(), 0)
        except OSError:
            self.release()
            raise

    def _compare_fingerprint(self, ours: dict[str, str]) -> None:
        try:
            theirs = json.loads((self._root / _FINGERPRINT).read_text())
        except (OSError, ValueError) as error:
            raise RunDirectoryError(
                f"cannot read {self._root / _FINGERPRINT} ({atomic_files.reason(error)}), which says what "
                "experiment the directory holds. Restore it or give another root_dir."
            ) from error
        names = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        if names:
            unset = "(default)"
            lines = [f"  {name}: {theirs.get(name, unset)} → {ours.get(name, unset)}" for name in names]
            raise RunDirectoryError(
                f"root_dir {self._root} holds a run with another configuration; its settings → yours:\n"
                + "\n".join(lines)
                + f"\nGive another root_dir, or resume with the run's own configuration ({self.config})."
            )

    def _compare_environment(self, ours: Mapping[str, Any]) -> None:
        try:
            theirs = json.loads(self.environment.read_text())
        except (OSError, ValueError) as error:
            logging.warning("cannot read %s: %s", self.environment, atomic_files.reason(error))
            return
        differences = environment_record.differences(theirs, json.loads(json.dumps(ours, default=str)))
        if differences:
            logging.warning(
                "%s began under other conditions, so its numbers may differ from an uninterrupted run's "
                "(recorded → now): %s",
                self._root,
                "; ".join(differences),
            )

    def _cannot_write(self, error: OSError) -> RunDirectoryError:
        return RunDirectoryError(
            f"cannot write in root_dir {self._root}: {atomic_files.reason(error)}. What is there is kept; "
            "free space, make the directory writable, or give another root_dir."
        )


def _describe_owner(content: bytes) -> str:
    try:
        owner = json.loads(content)
        return f"process {owner['pid']} on {owner['host']}, since {owner['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


# A forked child (an environment worker, say) inherits the descriptor, and with it the lock, and may outlive a
# killed owner. Closing the child's copy leaves the owner's lock in place.
_OPEN: weakref.WeakSet[RunDirectory] = weakref.WeakSet()


def _release_in_child() -> None:
    for run_directory in list(_OPEN):
        run_directory.release()


os.register_at_fork(after_in_child=_release_in_child)
