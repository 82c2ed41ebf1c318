"""The returns that a run recorded, as arrays."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from expol_tf.checked import checked
from expol_tf.errors import RunDirectoryError
from expol_tf.runs.tables import read_columns


@checked
def read_metrics(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the columns of `metrics.csv` that say how far a run came, [R]; without rows if it is missing.

    These are `env_step`, `episode_return_mean`, `episodes` (cumulative) and `wall_time_s`.

    Raises:
      RunDirectoryError: It cannot be read, or is not the table of a run.
    """
    columns = read_columns(path, ("env_step", "episode_return_mean", "episodes"), ("wall_time_s",))
    episodes = columns["episodes"]
    if not (np.isfinite(episodes).all() and (np.diff(episodes, prepend=0.0) >= 0).all()):
        raise RunDirectoryError(
            f"{path} is not the table of a run (episodes must be whole numbers that do not fall from row to "
            "row). Restore it, or move the run out of --root_dir."
        )
    return columns


@dataclasses.dataclass(frozen=True, eq=False)
class Episodes:
    """The rows of `metrics.csv` in which episodes ended.

    Attributes:
      env_step: [R] environment steps at the row's end.
      return_mean: [R] mean return of the episodes that ended in the row.
      count: [R] how many they were.
    """

    env_step: np.ndarray
    return_mean: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, metrics: dict[str, np.ndarray]) -> Episodes:
        """Returns the rows with episodes among the columns [N] of `metrics.csv`, whose `episodes` add up."""
        count = np.diff(metrics["episodes"], prepend=0.0)
        ended = (count > 0) & np.isfinite(metrics["episode_return_mean"])
        return cls(metrics["env_step"][ended], metrics["episode_return_mean"][ended], count[ended])


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluations:
    """The rows of `evaluation.csv`: [E] environment steps and [E] mean returns of the policy then."""

    env_step: np.ndarray
    return_mean: np.ndarray

    @classmethod
    def read(cls, evaluation_csv: str | os.PathLike[str]) -> Evaluations:
        """Returns the rows of the file whose return is finite; none if it is missing."""
        columns = read_columns(evaluation_csv, ("env_step", "return_mean"))
        finite = np.isfinite(columns["return_mean"])
        return cls(columns["env_step"][finite], columns["return_mean"][finite])
