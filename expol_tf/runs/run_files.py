"""The files of a run: their names, and what the record says. Reading them needs no lock."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from expol_tf import __version__
from expol_tf.cli import require_path
from expol_tf.errors import RunDirectoryError

# The table of a sweep, above the directories of its runs.
SWEEP_TABLE = "sweep.csv"

# The checkpoints of earlier versions hold other variables.
_OLDEST_RESUMED = (0, 2)


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
        return self.fingerprint.exists()

    @property
    def is_run(self) -> bool:
        """Whether there is something to report: a configuration, and a fingerprint or rows."""
        return self.config.is_file() and (self.metrics_csv.is_file() or self.fingerprint.is_file())

    @property
    def is_complete(self) -> bool:
        """Whether what a run writes last is there: its policy and its learning curve."""
        return self.learning_curve.exists() and (self.policy / "saved_model.pb").exists()

    def read_values(self) -> dict[str, Any]:
        """Returns the configuration, `Configurable.parameter` → value; what JSON cannot say is gin's text."""
        return _read_json(self.configuration)

    def read_fingerprint(self) -> dict[str, str]:
        """Returns the settings that make the experiment, by name, as text; no defaults, seed or length."""
        return _read_json(self.fingerprint)

    def read_environment(self) -> dict[str, Any]:
        """Returns what `describe_environment` gave when the run began."""
        return _read_json(self.environment)

    @property
    def version(self) -> str:
        """The version of expol_tf that began the run, as the record has it; "" where it has none."""
        versions = self.read_environment().get("versions")
        version = versions.get("expol_tf") if isinstance(versions, dict) else None
        return version if isinstance(version, str) else ""

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
        if fits and self.configuration.is_file():
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


def _read_json(path: Path) -> dict[str, Any]:
    """Returns the file's object; an empty one if it is missing."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(
            f"{path} is damaged ({error}). Restore it, or use another root_dir."
        ) from error
    return content if isinstance(content, dict) else {}
