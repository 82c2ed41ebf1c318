"""Checkpoints of a whole experiment that survive a kill at any moment.

A checkpoint is a directory `checkpoint-<env_step>` that holds

* `variables.*`: the TensorFlow objects, as `tf.train.Checkpoint` writes them;
* `arrays.npz`: NumPy arrays without pickle (simulator states, replay, rollout cursors);
* `manifest.json`: the format version, the env step, JSON values, the arrays' names, and size and SHA-256 of
  the other files.

It is written under a temporary name and renamed when every byte is on the disk, so a directory of that name
is whole unless something damaged it afterwards; the manifest finds that out. TensorFlow's objects are written
while the caller waits, arrays and checksums in a thread, if the caller wants to go on meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.configurable import configurable
from expol_tf.errors import CheckpointError, ConfigurationError, ExpolError, TaskError
from expol_tf.memory import memory_errors
from expol_tf.number_types import Count, WholeSteps
from expol_tf.runs import atomic_files, reading
from expol_tf.training import checkpoint_files
from expol_tf.training.checkpoint_files import ARRAYS, FORMAT_VERSION, MANIFEST, Damaged

_VARIABLES = "variables"
_NAME = re.compile(r"checkpoint-(\d{12})(?:-(\d+))?")
_TEMPORARY_PREFIX = ".temporary-"


class Restored(NamedTuple):
    """What a checkpoint holds besides the TensorFlow objects, which were restored in place."""

    env_step: int
    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


@configurable
class CheckpointStore:
    """The last `max_to_keep` checkpoints of one run, newest restored first, damaged ones set aside.

    One process at a time may save or restore (a `RunDirectory` sees to that); any number may restore with
    `read_only=True` beside it.

    Args:
      directory: The directory of the checkpoints; made by the first save.
      max_to_keep: How many checkpoints are kept, at least 1; 2 or more survive a damaged one.
    """

    def __init__(self, directory: str | os.PathLike[str], max_to_keep: Count = 3):
        self._directory = home_path(directory)
        self._max_to_keep = max_to_keep
        self._writer: threading.Thread | None = None
        self._failure: Exception | None = None

    @property
    def directory(self) -> Path:
        """The directory that holds the checkpoints."""
        return self._directory

    def paths(self) -> list[Path]:
        """Returns the checkpoints' directories, oldest first, unverified."""
        return [path for _, _, path in self._list()]

    @property
    def latest_env_step(self) -> int:
        """The env step of the newest checkpoint, unverified; 0 if there is none."""
        return max((step for step, _, _ in self._list()), default=0)

    @property
    def damaged(self) -> list[Path]:
        """The checkpoints that were set aside."""
        return sorted(self._directory.glob("*.damaged*"))

    @checked
    def save(
        self,
        env_step: WholeSteps,
        trackables: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        values: Mapping[str, Any] | None = None,
        wait: bool = True,
    ) -> Path:
        """Writes a checkpoint, then removes those beyond the last `max_to_keep`.

        Waits for the last one to be written first, if that is still going on.

        Args:
          env_step: The environment step that the state belongs to.
          trackables: TensorFlow objects (modules, variables, optimizers, generators) by name.
          arrays: NumPy arrays by name, of any dtype but object, not to be changed until they are written.
          values: JSON values by name. Floats come back bit for bit, integers of any size too.
          wait: Whether to return only when all is on the disk. Otherwise arrays are written and checksums
            made in a thread; call `wait` before the program ends, `check` or `wait` to learn of a failure.

        Returns:
          The checkpoint's directory.

        Raises:
          CheckpointError: It cannot be written (full disk, read-only directory), or the one before could not;
            earlier ones are untouched.
          OutOfMemoryError: There is too little memory for writing it.
          ConfigurationError: An argument, or an object in `trackables`, is of another type.
          TypeError: An array has the dtype object, or a value is not JSON.
        """
        written = {name: np.asarray(array) for name, array in (arrays or {}).items()}
        for name, array in written.items():
            if array.dtype.hasobject:
                raise TypeError(f"arrays[{name!r}] must not hold Python objects; got dtype {array.dtype}.")
        values_json = json.dumps(dict(values or {}), default=_plain_value)
        self.wait()
        temporary = self._directory / f"{_TEMPORARY_PREFIX}{env_step:012d}"
        with self._writing(env_step, temporary):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            temporary.mkdir()
            _checkpoint(trackables).write(str(temporary / _VARIABLES))
            path = self._next_path(env_step)

        def complete() -> None:
            try:
                self._complete(env_step, temporary, path, written, values_json)
            # What a thread raises is lost: the run would go on as if it had the checkpoint.
            except Exception as error:
                self._failure = error

        self._writer = threading.Thread(target=complete, name="checkpoint")
        self._writer.start()
        if wait:
            self.wait()
        return path

    def wait(self) -> None:
        """Waits until nothing is being written.

        Raises:
          CheckpointError: What was being written could not be.
        """
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        self.check()

    def check(self) -> None:
        """Raises the error of a checkpoint that could not be written, once, without waiting."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _complete(
        self, env_step: int, temporary: Path, path: Path, arrays: Mapping[str, np.ndarray], values_json: str
    ) -> None:
        """Writes what is not TensorFlow's, and gives the checkpoint its name."""
        with self._writing(env_step, temporary):
            checkpoint_files.write_arrays(temporary / ARRAYS, arrays)
            files = {path.name: checkpoint_files.describe_file(path) for path in sorted(temporary.iterdir())}
            manifest = {"format_version": FORMAT_VERSION, "env_step": env_step, "files": files}
            manifest["values"] = json.loads(values_json)
            manifest["arrays"] = {name: checkpoint_files.array_kind(array) for name, array in arrays.items()}
            manifest["sha256"] = checkpoint_files.manifest_digest(manifest)
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1))
            for file in temporary.iterdir():
                atomic_files.sync_path(file)
            atomic_files.sync_path(temporary)
            os.rename(temporary, path)
            atomic_files.sync_path(self._directory)
            self._prune(path)

    @contextlib.contextmanager
    def _writing(self, env_step: int, temporary: Path) -> Iterator[None]:
        """Turns what goes wrong in the block into one message, and leaves nothing half written."""
        try:
            with memory_errors():
                yield
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if isinstance(error, OSError | tf.errors.OpError):
                raise CheckpointError(self._cannot_write(env_step, error)) from error
            raise

    @checked
    def restore(
        self,
        trackables: Mapping[str, Any],
        read_only: bool = False,
        check: Callable[[Restored], str | None] | None = None,
        rest: Callable[[Restored], None] | None = None,
    ) -> Restored | None:
        """Restores the newest good checkpoint into `trackables`; damaged newer ones are set aside.

        Nothing of a damaged one is restored. A checkpoint whose files are whole, but whose content is refused
        (by `check`, by the shapes of `trackables` or by `rest`), counts as damaged if an older one is taken.
        If none is, it may be that of another configuration: it stays where it is, and the refusal is raised.

        Args:
          trackables: The objects given to `save`, by the same names. Every variable of theirs must be in the
            checkpoint with its shape, and every variable of the checkpoint in them.
          read_only: Leave damaged checkpoints and the leftovers of killed writers where they are, because
            another process may be training in this directory.
          check: Says what is wrong with values or arrays, such as an entry that is not there; None if
            nothing is. Called before anything of the checkpoint is restored.
          rest: Restores what is not in `trackables`, all of it, and raises a `CheckpointError` or a
            `TaskError` for what only its owner can refuse. An older checkpoint is then restored over it.

        Returns:
          What else the checkpoint holds, or None when there is no good checkpoint.

        Raises:
          CheckpointError: The newest checkpoint has the format of another version or cannot be read, or it is
            refused and no older one is taken.
        """
        self.wait()
        restored = self._restore_newest(trackables, read_only, check, rest)
        if not read_only:
            # Not before: the checkpoints of another version are left as they are.
            try:
                self._remove_leftovers()
            except OSError as error:
                raise CheckpointError(
                    f"cannot tidy the checkpoint directory {self._directory}: {atomic_files.reason(error)}. "
                    "Make it writable."
                ) from error
        return restored

    def arrays(self) -> dict[str, np.ndarray] | None:
        """Returns the arrays of the newest good checkpoint, or None without one; nothing is changed.

        Raises:
          CheckpointError: The newest checkpoint has the format of another version, or cannot be read.
        """
        self.wait()
        newest = next(self._good(read_only=True), None)
        return None if newest is None else newest[1].arrays

    def _restore_newest(
        self,
        trackables: Mapping[str, Any],
        read_only: bool,
        check: Callable[[Restored], str | None] | None,
        rest: Callable[[Restored], None] | None,
    ) -> Restored | None:
        refused: list[tuple[Path, str, ExpolError]] = []
        for path, restored in self._good(read_only):
            try:
                if check is not None and (problem := check(restored)):
                    refused.append((path, problem, CheckpointError(_refusal(path, problem))))
                    continue
                _restore_variables(path, trackables)
                if rest is not None:
                    rest(restored)
            except Damaged as damage:
                self._set_aside(path, str(damage), read_only)
            except (CheckpointError, TaskError) as error:
                refused.append((path, str(error), error))
            else:
                for newer, problem, _ in refused:
                    self._set_aside(newer, problem, read_only)
                return restored
        if refused:
            # The newest one's: it is the one that the user expects to go on from.
            raise refused[0][2]
        return None

    def _good(self, read_only: bool) -> Iterator[tuple[Path, Restored]]:
        """Yields the checkpoints that are whole, newest first, with what they hold besides variables."""
        for path in reversed(self.paths()):
            try:
                manifest = checkpoint_files.read_manifest(path)
                checkpoint_files.verify_files(path, manifest)
                restored = Restored(
                    manifest["env_step"], checkpoint_files.read_arrays(path, manifest), manifest["values"]
                )
                if restored.env_step != int(_step(path)):
                    raise Damaged(f"{MANIFEST} is that of env step {restored.env_step}")
            except Damaged as damage:
                self._set_aside(path, str(damage), read_only)
                continue
            yield path, restored

    def _set_aside(self, path: Path, damage: str, read_only: bool) -> None:
        """Takes a damaged checkpoint out of the list, keeping its files for whoever wants to look."""
        if read_only:
            logging.warning("checkpoint %s is damaged (%s); using the one before it", path, damage)
            return
        try:
            target = atomic_files.set_aside(path)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {path} is damaged ({damage}) and cannot be set aside: "
                f"{atomic_files.reason(error)}. Make the directory writable or remove the checkpoint."
            ) from error
        logging.warning("checkpoint %s is damaged (%s); set aside as %s", path, damage, target.name)

    def _remove_leftovers(self) -> None:
        if self._directory.is_dir():
            for path in self._directory.glob(f"{_TEMPORARY_PREFIX}*"):
                atomic_files.remove(path)

    def _prune(self, newest: Path) -> None:
        # The one just written is kept whatever its step: an older checkpoint may have been restored by hand.
        others = [path for path in self.paths() if path != newest]
        for path in others[: max(0, len(others) + 1 - self._max_to_keep)]:
            # A kill in the middle of the removal must not leave half a checkpoint under a checkpoint's name.
            atomic_files.remove_directory(path, f"{_TEMPORARY_PREFIX}removed-{path.name}")

    def _next_path(self, env_step: int) -> Path:
        """Returns the step's path, numbered above all of the same step (saved twice at a run's end, say)."""
        name = f"checkpoint-{env_step:012d}"
        numbers = [number for step, number, _ in self._list() if step == env_step]
        return self._directory / (f"{name}-{max(numbers) + 1}" if numbers else name)

    def _list(self) -> list[tuple[int, int, Path]]:
        """Returns (env step, number among those of the same step, directory), oldest first."""
        if not reading.is_there(self._directory):
            return []
        try:
            names = list(self._directory.iterdir())
        except OSError as error:
            raise CheckpointError(
                f"checkpoints must lie in a directory that can be read; {self._directory}: "
                f"{atomic_files.reason(error)}. Restore it from a copy, or give another root_dir."
            ) from error
        matches = [(_NAME.fullmatch(path.name), path) for path in names]
        return sorted((int(match[1]), int(match[2] or 1), path) for match, path in matches if match)

    def _cannot_write(self, env_step: int, error: Exception) -> str:
        kept = self.paths()
        state = f"the last one, {kept[-1].name}, is untouched" if kept else "there is no earlier one"
        return (
            f"cannot write the checkpoint of env step {env_step} in {self._directory}: "
            f"{atomic_files.reason(error)}; {state}. Free space or make the directory writable, "
            "then start the same command again."
        )


def _refusal(path: Path, problem: str) -> str:
    return (
        f"checkpoint {path} does not hold what this run saves ({problem}), and there is no older one that "
        "does. Resume with the configuration, the task and the packages that wrote it, restore it from a "
        "copy, or start anew in another root_dir."
    )


def _step(path: Path) -> str:
    """Returns the env step in a checkpoint's name."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return match[1]


def _plain_value(value: Any) -> Any:
    """Turns NumPy scalars into Python ones for `json`."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"values must be JSON (numbers, strings, lists, dicts); got {type(value).__name__}.")


def _checkpoint(trackables: Mapping[str, Any]) -> tf.train.Checkpoint:
    try:
        return tf.train.Checkpoint(**trackables)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"trackables must be TensorFlow objects by name: modules, variables, optimizers, generators; "
            f"{str(error).splitlines()[0].rstrip('.')}. Numbers go into values, NumPy's arrays into arrays."
        ) from error


def _restore_variables(path: Path, trackables: Mapping[str, Any]) -> None:
    """Restores strictly: a variable missing on either side, or of another shape, is an error."""
    status = None
    checkpoint = _checkpoint(trackables)
    try:
        with memory_errors():
            # Checksums of bytes say nothing about what somebody else wrote in their place.
            tf.train.load_checkpoint(str(path / _VARIABLES))
    except (ValueError, tf.errors.OpError) as error:
        raise Damaged(f"{_VARIABLES}: {atomic_files.reason(error)}") from error
    try:
        with memory_errors():
            status = checkpoint.read(str(path / _VARIABLES))
        # Unmatched values would be restored when their variables appear, from files that may be gone by then.
        status.assert_consumed()
    except tf.errors.DataLossError as error:
        raise Damaged(f"{_VARIABLES}: {atomic_files.reason(error)}") from error
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        if status is not None:
            status.expect_partial()  # silences warnings that would follow the error
        raise CheckpointError(
            f"checkpoint {path} does not fit this experiment's networks and optimizers "
            f"({atomic_files.reason(error)}). Resume with the configuration that wrote it, or train in "
            "another root directory."
        ) from error
