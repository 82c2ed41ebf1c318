"""Learning curves of other libraries, recorded once as a table of training episodes."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np

from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.errors import RunDirectoryError
from expol_tf.reports.runs import Run, RunProgress, RunRecord
from expol_tf.runs import Episodes, Evaluations, reading

COLUMNS = ("peer", "task", "seed", "env_step", "episode_return")


@checked
def read_peer_curves(path: str | os.PathLike[str]) -> tuple[Run, ...]:
    """Returns a run for each peer, task and seed of a CSV file with a row a training episode.

    Columns: `peer`, the name of its experiment; `task`; `seed`; `env_step`, at the episode's end;
    `episode_return`. Others are of no importance.

    Raises:
      RunDirectoryError: If the file is missing, lacks a column or holds something that is not a number.
    """
    path = home_path(path)
    try:
        text = reading.decoded(reading.read_bytes(path))
        reader = csv.DictReader(io.StringIO(text, newline=""))
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        rows = list(reader)
    except (reading.Damage, csv.Error) as error:
        raise RunDirectoryError(
            f"--peer_csv: {path} cannot be read: {error}. Restore it, or leave it out."
        ) from error
    if missing or not rows:
        raise RunDirectoryError(
            f"--peer_csv: {path} must have a row an episode and the columns {', '.join(COLUMNS)}; got "
            f"{len(rows)} rows{' without ' + missing[0] if missing else ''}."
        )
    episodes: dict[tuple[str, str, int], list[tuple[int, float]]] = {}
    for number, row in enumerate(rows, 2):
        try:
            key = row["peer"], row["task"], int(row["seed"])
            episodes.setdefault(key, []).append((int(row["env_step"]), float(row["episode_return"])))
        except (TypeError, ValueError) as error:
            raise RunDirectoryError(f"--peer_csv: line {number} of {path} is not whole: {error}.") from error
    return tuple(_run(path, *key, sorted(ended)) for key, ended in episodes.items())


def _run(path: Path, peer: str, task: str, seed: int, ended: list[tuple[int, float]]) -> Run:
    steps = np.array([step for step, _ in ended])
    nothing = np.zeros(0)
    return Run(
        directory=path,
        experiment=peer,
        task=task,
        seed=seed,
        record=RunRecord(settings={}, drawn={}, values={}, versions={}),
        progress=RunProgress(int(steps[-1]), int(steps[-1]), float("nan"), failure=None),
        episodes=Episodes(steps, np.array([value for _, value in ended]), np.ones(len(steps))),
        evaluations=Evaluations(nothing, nothing),
    )
