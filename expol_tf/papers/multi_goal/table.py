"""The numbers of runs on the tasks with several goals, a row a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from expol_tf.diagnostics import EpisodeNumbers, episode_numbers
from expol_tf.papers.multi_goal.examination import Behaviour, Examined


def csv_rows(examined: Sequence[Examined]) -> tuple[list[str], list[list[Any]]]:
    """Returns the heading and a row for each run; what a run has no number for is empty."""
    rows = [_row(each) for each in examined]
    names: list[str] = []
    for row in rows:
        for name in row:
            if name not in names:
                # A task with more goals brings columns in the midst.
                before = [other for other in list(row)[: list(row).index(name)] if other in names]
                names.insert(names.index(before[-1]) + 1 if before else 0, name)
    cells = [[_cell(row.get(name, "")) for name in names] for row in rows]
    return names, cells


def text_table(examined: Sequence[Examined]) -> list[list[str]]:
    """Returns the table that is printed, its heading first: `learned (optimum)` in a cell."""
    table = [
        [
            "run",
            "α",
            "γ",
            "goals %",
            "any goal %",
            "return",
            "ratio",
            "greedy",
            "length",
            "M₁",
            "M₂",
            "Ĥ",
        ]
    ]
    if any(each.run.test.wall is not None for each in examined):
        table[0].append("success after a hit %")
    for each in examined:
        learned, best = each.learned.numbers, each.optimal.numbers
        greedy = episode_numbers(each.greedy, len(learned.goal_shares))
        row = [
            each.run.name,
            f"{each.run.temperature:g}",
            f"{each.run.discount:g}",
            f"{_shares(learned)} ({_shares(best)})",
            f"{100 * learned.any_goal:.0f} ({100 * best.any_goal:.0f})",
            f"{learned.return_mean:.1f} ({best.return_mean:.1f})",
            f"{learned.return_mean / best.return_mean:.2f}",
            f"{greedy.return_mean:.1f}, {_shares(greedy)}",
            f"{learned.length_mean:.1f} ({best.length_mean:.1f})",
            *(
                f"{_number(getattr(each.learned, name))} ({_number(getattr(each.optimal, name))})"
                for name in ("gradient", "curvature", "entropy")
            ),
        ]
        if len(table[0]) > len(row):
            row.append(f"{_percent(learned.success_after_hit)} ({_percent(best.success_after_hit)})")
        table.append(row)
    return table


def goal_distance(first: EpisodeNumbers, second: EpisodeNumbers) -> float:
    """Returns ½ Σ |p − q| of the two distributions over the goals and none: 0 alike, 1 disjoint."""
    p, q = ([*each.goal_shares, 1 - each.any_goal] for each in (first, second))
    return float(0.5 * np.abs(np.subtract(p, q)).sum())


def _row(each: Examined) -> dict[str, Any]:
    learned, best = each.learned.numbers, each.optimal.numbers
    greedy = episode_numbers(each.greedy, len(learned.goal_shares))
    run = each.run
    return {
        "experiment": run.run.experiment,
        "task": run.run.task,
        "seed": run.run.seed,
        "env_step": run.run.env_step,
        "obstacle": run.test.wall is not None,
        "discount": run.discount,
        "temperature": run.temperature,
        "episodes": len(each.learned.episodes.lengths),
        **_numbers("", learned, each.learned),
        **_numbers("greedy_", greedy),
        **_numbers("oracle_", best, each.optimal),
        "return_ratio": learned.return_mean / best.return_mean,
        "greedy_return_ratio": greedy.return_mean / best.return_mean,
        "length_ratio": learned.length_mean / best.length_mean,
        "goal_distance": goal_distance(learned, best),
    }


def _numbers(prefix: str, numbers: EpisodeNumbers, behaviour: Behaviour | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {f"goal_{i}": float(share) for i, share in enumerate(numbers.goal_shares)}
    found |= {name: value for name, value in numbers._asdict().items() if name != "goal_shares"}
    if behaviour is not None:
        found |= {"m1": behaviour.gradient, "m2": behaviour.curvature, "entropy": behaviour.entropy}
    return {f"{prefix}{name}": value for name, value in found.items()}


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and np.isnan(value) else value


def _shares(numbers: EpisodeNumbers) -> str:
    return "/".join(f"{100 * share:.0f}" for share in numbers.goal_shares)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3g}"


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.0f}"
