"""The numbers of runs on the tasks with several goals, a row a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from expol_tf.diagnostics import EpisodeNumbers
from expol_tf.papers.cells import known
from expol_tf.papers.multi_goal.examination import Behaviour, Examined


def csv_rows(examined: Sequence[Examined]) -> list[dict[str, Any]]:
    """Returns a row for each run, column → cell; what a run has no number for is empty."""
    rows = []
    for result in examined:
        run, greedy = result.run, result.greedy_numbers
        learned, best = result.learned.numbers, result.optimal.numbers
        row = {
            "experiment": run.run.experiment,
            "task": run.run.task,
            "seed": run.run.seed,
            "env_step": run.run.progress.env_step,
            "obstacle": run.test.wall is not None,
            "discount": run.discount,
            "temperature": run.temperature,
            "episodes": len(result.learned.episodes.lengths),
            **_numbers("", learned, result.learned),
            **_numbers("greedy_", greedy),
            **_numbers("oracle_", best, result.optimal),
            "return_ratio": learned.return_mean / best.return_mean,
            "greedy_return_ratio": greedy.return_mean / best.return_mean,
            "length_ratio": learned.length_mean / best.length_mean,
            "goal_distance": goal_distance(learned, best),
            "reported_entropy": run.reported_entropy,
        }
        # NaN alone is not equal to itself.
        rows.append({name: value if value == value else "" for name, value in row.items()})
    return rows


def text_table(examined: Sequence[Examined]) -> list[list[str]]:
    """Returns the table that is printed, its heading first: `learned (optimum)` in a cell."""
    walled = any(result.run.test.wall is not None for result in examined)
    heading: list[str] = []
    table = []
    for result, row in zip(examined, csv_rows(examined), strict=True):
        learned, best = result.learned.numbers, result.optimal.numbers
        cells = {
            "run": result.run.name,
            "α": f"{result.run.temperature:g}",
            "γ": f"{result.run.discount:g}",
            "goals %": f"{_shares(learned)} ({_shares(best)})",
            "any goal %": _both(row, "any_goal", ".0f", 100),
            "return": _both(row, "return_mean", ".1f"),
            "ratio": f"{row['return_ratio']:.2f}",
            "greedy": f"{row['greedy_return_mean']:.1f}, {_shares(result.greedy_numbers)}",
            "length": _both(row, "length_mean", ".1f"),
            "M₁": _both(row, "m1", ".3g"),
            "M₂": _both(row, "m2", ".3g"),
            "Ĥ": _both(row, "entropy", ".3g"),
            "reported": known(result.run.reported_entropy, ".3g", "–"),
        }
        if walled:
            cells["success after a hit %"] = _both(row, "success_after_hit", ".0f", 100)
        heading = list(cells)
        table.append(list(cells.values()))
    return [heading, *table]


def goal_distance(first: EpisodeNumbers, second: EpisodeNumbers) -> float:
    """Returns ½ Σ |p − q| of the two distributions over the goals and none: 0 alike, 1 disjoint."""
    p, q = ([*numbers.goal_shares, 1 - numbers.any_goal] for numbers in (first, second))
    return float(0.5 * np.abs(np.subtract(p, q)).sum())


def _numbers(prefix: str, numbers: EpisodeNumbers, behaviour: Behaviour | None = None) -> dict[str, Any]:
    columns: dict[str, Any] = {f"goal_{i}": float(share) for i, share in enumerate(numbers.goal_shares)}
    columns |= {name: value for name, value in numbers._asdict().items() if name != "goal_shares"}
    if behaviour is not None:
        columns |= {"m1": behaviour.gradient, "m2": behaviour.curvature, "entropy": behaviour.entropy}
    return {f"{prefix}{name}": value for name, value in columns.items()}


def _shares(numbers: EpisodeNumbers) -> str:
    return "/".join(f"{100 * share:.0f}" for share in numbers.goal_shares)


def _both(row: Mapping[str, Any], column: str, digits: str, unit: int = 1) -> str:
    """The run's number and, in brackets, the optimum's."""
    learned, best = (
        "–" if row[name] == "" else f"{unit * row[name]:{digits}}" for name in (column, f"oracle_{column}")
    )
    return f"{learned} ({best})"
