"""The files of a run: their names, and what the record says. Reading them needs no lock."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from expol_tf import __version__
from expol_tf.cli import require_path
from expol_tf.errors import RunDirectoryError
from expol_tf.runs import reading
from expol_tf.runs.lock import DirectoryLock
from expol_tf.runs.reading import entries, is_count, is_object, is_text, mapping, optional
from expol_tf.runs.tables import last_row

# The file by which a process has a run for itself.
LOCK = ".lock"
# The table of a sweep, above the directories of its runs.
SWEEP_TABLE = "sweep.csv"

# The checkpoints of earlier versions hold other variables.
_OLDEST_RESUMED = (0, 2)

# What is used of the record; more may be in it.
_ENVIRONMENT = entries(
    versions=optional(mapping(optional(is_text))),
    seed=optional(is_count),
    threads=optional(is_object),
    variables=optional(is_object),
    machine=optional(is_object),
    device=optional(is_text),
)
_FINGERPRINT = mapping(is_text)

_WRITTEN_ANEW = (
    "Restore it from a copy, or start the run's own command again, with its gin files, flags or arguments: "
    "it is written anew."
)


class RunFiles:
    """Where the files of a run lie. They are read as they are, also while the run is still writing them.

    Args:
      root_dir: The run's directory.

    Attributes:
      root: The run's directory, absolute.
      config: `config.gin`, the configuration that, trained again, reproduces the run.
      configuration: `configuration.json`, the same configuration as values by name; not in runs of 0.1.
      fingerprint: `fingerprint.json`, the settings that make this experiment the one that it is.
      environment: `environment.json`, the seed, versions, threads and flags under which the run began.
      metrics_csv: A row for each iteration that was logged.
      evaluation_csv: A row for each evaluation.
      tensorboard: The directory of TensorBoard's event files.
      checkpoints: The directory of the `CheckpointStore`.
      policy: The exported policy, a SavedModel.
      critic: The exported critics of an off-policy run, a SavedModel.
      learning_curve: A picture of the returns.
    """

    def __init__(self, root_dir: str | os.PathLike[str]) -> None:
        self.root = require_path("root_dir", root_dir).absolute()
        self.config = self.root / "config.gin"
        self.configuration = self.root / "configuration.json"
        self.fingerprint = self.root / "fingerprint.json"
        self.environment = self.root / "environment.json"
        self.metrics_csv = self.root / "metrics.csv"
        self.evaluation_csv = self.root / "evaluation.csv"
        self.tensorboard = self.root / "tensorboard"
        self.checkpoints = self.root / "checkpoints"
        self.policy = self.root / "policy"
        self.critic = self.root / "critic"
        self.learning_curve = self.root / "learning_curve.png"

    @property
    def exists(self) -> bool:
        """Whether a run was prepared here: its fingerprint is written after the rest of the record."""
        return reading.is_there(self.fingerprint)

    @property
    def is_run(self) -> bool:
        """Whether there is something to report: a configuration, and a fingerprint or rows."""
        others = (self.metrics_csv, self.fingerprint)
        return reading.is_there(self.config) and any(map(reading.is_there, others))

    @property
    def is_complete(self) -> bool:
        """Whether what a run writes last is there: its policy and its learning curve."""
        return self.learning_curve.is_file() and self.has_policy

    @property
    def has_policy(self) -> bool:
        """Whether the run has exported its policy."""
        return (self.policy / "saved_model.pb").is_file()

    def when_exported(self) -> str:
        """Returns a sentence that says when a run without a policy will have exported one."""
        step, length = last_row(self.metrics_csv).get("env_step"), None
        with contextlib.suppress(RunDirectoryError):
            length = self.read_values().get("train.num_env_steps")
        at = f" at env_step {step:,}" if isinstance(step, int) else " before its first row"
        at += f" of {length:,}" if isinstance(length, int) and isinstance(step, int) else ""
        holder = DirectoryLock(self.root / LOCK).holder()
        if holder is not None:
            return (
                f"It is training{at} ({holder}) and exports its policy when it ends, or when Ctrl-C or SIGTERM "
                "stops it."
            )
        return f"It ended{at} without exporting one. Resume it: it exports its policy when it ends or is stopped."

    def read_config(self) -> str:
        """Returns the text of `config.gin`.

        Raises:
          RunDirectoryError: It cannot be read, or it ends before what `configuration.json` has besides.
        """
        text = reading.read_text(self.config, _WRITTEN_ANEW)
        if not text.endswith("\n"):
            problem = "it is cut off" if text else "it is empty"
            raise reading.unreadable(self.config, problem, _WRITTEN_ANEW)
        # Cut at the end of a line it would be another, shorter configuration.
        lost = [name for name in self.read_values() if name.rpartition("/")[2] not in text]
        if lost:
            problem = f"it has no {lost[0]}, which {self.configuration.name} has"
            raise reading.unreadable(self.config, problem, _WRITTEN_ANEW)
        return text

    def read_values(self) -> dict[str, Any]:
        """Returns the configuration, `Configurable.parameter` → value; what JSON cannot say is gin's text.

        This and the other parts of the record are empty where a run has none.

        Raises:
          RunDirectoryError: The file cannot be read, or holds something else; so do the next two.
        """
        return _read(self.configuration, is_object, _WRITTEN_ANEW)

    def read_fingerprint(self) -> dict[str, str]:
        """Returns the settings that make the experiment, by name, as text; no defaults, seed or length."""
        return _read(self.fingerprint, _FINGERPRINT)

    def read_environment(self) -> dict[str, Any]:
        """Returns what `describe_environment` gave when the run began."""
        return _read(self.environment, _ENVIRONMENT)

    def read_seed(self) -> int:
        """Returns the seed that the run began with.

        Raises:
          RunDirectoryError: The record cannot be read, or has none.
        """
        seed = self.read_environment().get("seed")
        if seed is None:
            raise reading.unreadable(self.environment, "it has no 'seed'")
        return seed

    @property
    def version(self) -> str:
        """The version of expol_tf that began the run, as the record has it; "" where it has none."""
        return (self.read_environment().get("versions") or {}).get("expol_tf") or ""

    def require_resumable(self) -> None:
        """Raises a `RunDirectoryError` if the run was begun by a version whose checkpoints may not fit.

        A run that does not say its version, or has no `configuration.json`, counts as older.
        """
        if not self.exists:
            return
        version = self.version
        number, own = _minor_version(version), _minor_version(__version__)
        assert own is not None
        fits = number is not None and _OLDEST_RESUMED <= number <= own
        if fits and reading.is_there(self.configuration):
            return
        if fits:
            run = f"a run without {self.configuration.name}, as versions before 0.2 left them"
            remedy = f"restore {self.configuration.name}"
        elif version:
            run, remedy = f"a run of expol_tf {version}", f"resume it with expol_tf {version}"
        else:
            run = f"a run of an unknown version of expol_tf (none is in {self.environment.name})"
            remedy = "resume it with the version that began it"
        raise RunDirectoryError(
            f"root_dir {self.root} holds {run}, which expol_tf {__version__} cannot resume: give another "
            f"root_dir, or {remedy}."
        )


def _minor_version(version: str) -> tuple[int, int] | None:
    """Returns (0, 2) for "0.2.1"; None where the text is no version."""
    number = re.match(r"(\d+)\.(\d+)", version)
    return (int(number[1]), int(number[2])) if number else None


def _read(path: Path, check: reading.Check, remedy: str = reading.REMEDY) -> dict[str, Any]:
    """Returns the file's object; an empty one if there is no file."""
    return reading.read_json(path, check, remedy) if reading.is_there(path) else {}
