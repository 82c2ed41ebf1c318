"""The directory of a run while it is trained: one process at a time, one experiment for ever."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from expol_tf import fingerprints
from expol_tf.errors import RunDirectoryError
from expol_tf.runs import atomic_files, environment_record, reading
from expol_tf.runs.lock import DirectoryLock
from expol_tf.runs.run_files import LOCK, RunFiles


class RunDirectory(RunFiles):
    """The files of a run under `root_dir`, locked while the context is open.

    Args:
      root_dir: The run's directory; made, with its parents, when the context opens.
    """

    def __init__(self, root_dir: str | os.PathLike[str]):
        super().__init__(root_dir)
        self._lock = DirectoryLock(self.root / LOCK)

    def __enter__(self) -> RunDirectory:
        """Makes the directory and takes its lock.

        Raises:
          RunDirectoryError: It holds something that is not a run, a run of a version that cannot be resumed,
            or one whose record is damaged; another process uses it; or it cannot be written.
        """
        try:
            self._refuse_foreign_content()
            # Before the lock is taken, which would write into the directory.
            self.require_resumable()
            self._read_record()
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise self._cannot_write(error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def prepare(
        self,
        config_text: str,
        values: Mapping[str, Any],
        fingerprint: Mapping[str, str],
        environment: Mapping[str, Any],
    ) -> bool:
        """Records a new run's configuration, or checks that an existing one is this experiment.

        Args:
          config_text: The content of `config.gin`; an existing run keeps its own (see `write_config`).
          values: The content of `configuration.json`: the same configuration as values by name.
          fingerprint: The settings, by name, that make this experiment this one.
          environment: What `describe_environment` returns. A difference to the recorded one that can change
            numbers is warned of.

        Returns:
          True if the run existed.

        Raises:
          RunDirectoryError: The directory holds a run with another fingerprint, or cannot be written.
        """
        if not self._lock.is_held:
            raise RuntimeError("prepare must be called inside `with RunDirectory(...)`, which locks it.")
        if self.exists:
            self._compare_fingerprint(fingerprint)
            self._compare_environment(environment)
            return True
        self.write_config(config_text, values)
        self._write(self.environment, _json_text(environment))
        # Last, because its presence says that the others are there.
        self._write(self.fingerprint, _json_text(fingerprint, sort_keys=True))
        return False

    def write_config(self, config_text: str, values: Mapping[str, Any]) -> None:
        """Writes the configuration: of a new run, or of one that is extended beyond what the old text says.

        What is written in place of a damaged file is said.
        """
        if self.exists:
            try:
                self.read_config()
            except RunDirectoryError as error:
                print(f"note: {str(error).partition('. ')[0]}. It is written anew.")
        self._write(self.config, config_text)
        self._write(self.configuration, _json_text(values))

    def write_trained(self, trained: bool) -> None:
        """Writes into `environment.json` whether the run has made an update."""
        environment = self.read_environment()
        if environment.get("trained") is not trained:
            self._write(self.environment, _json_text({**environment, "trained": trained}))

    def _write(self, path: Path, text: str) -> None:
        try:
            if reading.read_bytes(path) == text.encode():
                return
        except reading.Damage:
            pass
        try:
            atomic_files.write_atomically(path, text)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _read_record(self) -> None:
        """Raises a `RunDirectoryError` if what cannot be made again of an existing run's record is damaged."""
        if self.exists:
            self.read_seed()
            self.read_fingerprint()

    def _refuse_foreign_content(self) -> None:
        if not self.root.exists() or self.exists:
            return
        if not self.root.is_dir():
            raise RunDirectoryError(
                f"root_dir must be a directory; {self.root} is a file. Give another root_dir."
            )
        # A run killed inside its first `prepare` may have left these.
        begun = {path.name for path in (self.config, self.configuration, self.environment)}
        begun |= {f".{name}.tmp" for name in (*begun, self.fingerprint.name)} | {LOCK}
        foreign = sorted(path.name for path in self.root.iterdir() if path.name not in begun)
        if self.checkpoints.name in foreign and reading.is_there(self.config):
            raise RunDirectoryError(
                f"root_dir {self.root} holds a run that has lost its {self.fingerprint.name}, so that nobody "
                "can tell whether it is this one. Restore the file from a copy, or give another root_dir."
            )
        if foreign:
            listed = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
            raise RunDirectoryError(
                f"root_dir must be new, empty or hold a run; {self.root} holds other files ({listed}). "
                "Give another root_dir."
            )

    def _compare_fingerprint(self, ours: Mapping[str, str]) -> None:
        differences, leftover, unknown = fingerprints.compare(self.read_fingerprint(), ours)
        if differences:
            raise RunDirectoryError(
                f"root_dir {self.root} holds a run with another configuration; its settings → yours:\n"
                + "\n".join(f"  {line}" for line in differences)
                + f"\nGive another root_dir, or resume with the run's own configuration ({self.config})."
            )
        if leftover:
            raise RunDirectoryError(
                f"root_dir {self.root} holds a run that cannot be resumed, as nobody can tell whether its "
                "configuration is yours: these settings hold something that has no value to compare:\n"
                + "\n".join(f"  {line}" for line in leftover)
                + "\nGive another root_dir. A run can be resumed if it gets a function or class that makes such "
                "a thing, in place of the thing itself."
            )
        for name in unknown:
            logging.warning(
                "%s: %s holds a function whose code cannot be compared: the run recorded it under another "
                "version of Python without its source, or with an earlier version of expol_tf. See to it "
                "that the function is the run's.",
                self.root,
                name,
            )

    def _compare_environment(self, ours: Mapping[str, Any]) -> None:
        theirs = self.read_environment()
        differences = environment_record.differences(theirs, json.loads(_json_text(ours)))
        if differences:
            logging.warning(
                "%s began under other conditions, so its numbers may differ from an uninterrupted run's "
                "(recorded → now): %s",
                self.root,
                "; ".join(differences),
            )

    def _cannot_write(self, error: OSError) -> RunDirectoryError:
        return RunDirectoryError(
            f"cannot write in root_dir {self.root}: {atomic_files.reason(error)}. What is there is kept; "
            "free space, make the directory writable, or give another root_dir."
        )


def _json_text(content: Mapping[str, Any], sort_keys: bool = False) -> str:
    return json.dumps(dict(content), indent=1, sort_keys=sort_keys, default=str) + "\n"
