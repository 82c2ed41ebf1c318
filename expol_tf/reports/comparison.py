"""The numbers of a report: curves on common steps, final returns, and rliable's aggregates of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from expol_tf.reports import aggregate, curves
from expol_tf.reports.aggregate import Curves, Estimate
from expol_tf.reports.curve_plots import Band, Key
from expol_tf.reports.normalization import Normalization, normalization
from expol_tf.reports.runs import Run
from expol_tf.reports.study import SAME_LENGTH, Member, Study

_EFFICIENCY_POINTS = 101


@dataclasses.dataclass(frozen=True)
class Final:
    """The end of one run, as far as its task's runs are compared.

    Attributes:
      training: Mean return of the last 100 training episodes.
      episodes: How many they were, if fewer had ended.
      evaluation: Mean return of the last evaluation; NaN if there was none.
    """

    training: float
    episodes: int
    evaluation: float


@dataclasses.dataclass(frozen=True)
class Aggregates:
    """rliable's numbers over the tasks that every experiment has.

    Attributes:
      tasks: Those tasks.
      runs: Experiment → how many runs of each task count.
      normalizations: Task → how returns became scores.
      metrics: Metric → experiment → estimate.
      improvements: (x, y) → probability that x is better.
      profiles: The share of runs above thresholds of the score.
      efficiency: The interquartile mean over environment steps.
      notes: What a reader must know, a sentence each.
    """

    tasks: tuple[str, ...]
    runs: Mapping[str, int]
    normalizations: Mapping[str, Normalization]
    metrics: Mapping[str, Mapping[str, Estimate]]
    improvements: Mapping[tuple[str, str], Estimate]
    profiles: Curves
    efficiency: Curves
    notes: tuple[str, ...]


def finals(study: Study) -> dict[Key, list[Final]]:
    """Returns (task, experiment) → the ends of its runs, by seed."""
    return {
        key: [_final(member, study.compared_at[key[0]]) for member in group]
        for key, group in study.groups.items()
    }


def training_bands(study: Study, repetitions: int, rng: np.random.Generator) -> dict[Key, Band]:
    """Returns (task, experiment) → curves of the return of the last 100 episodes, with their mean's band."""
    bands = {}
    for key, group in study.groups.items():
        runs = [member.run for member in group]
        grid = curves.common_grid(
            [run.episodes.env_step[0] for run in runs], [run.progress.env_step for run in runs]
        )
        values = [_smoothed_on(run, grid) for run in runs]
        bands[key] = _band(grid, np.stack(values), repetitions, rng)
    return bands


def evaluation_bands(study: Study, repetitions: int, rng: np.random.Generator) -> dict[Key, Band]:
    """Returns (task, experiment) → evaluation curves, of the groups whose runs all were evaluated."""
    bands = {}
    for key, group in study.groups.items():
        evaluations = [member.run.evaluations for member in group]
        steps = [evaluation.env_step for evaluation in evaluations]
        if not all(map(len, steps)):
            continue
        grid = steps[0]
        if not all(np.array_equal(other, grid) for other in steps):
            points = max(2, min(map(len, steps)))
            grid = curves.common_grid([s[0] for s in steps], [s[-1] for s in steps], points)
        values = [np.interp(grid, e.env_step, e.return_mean) for e in evaluations]
        bands[key] = _band(grid, np.stack(values), repetitions, rng)
    return bands


def aggregates(study: Study, ends: Mapping[Key, list[Final]], repetitions: int, seed: int) -> Aggregates:
    """Returns rliable's aggregates of the final returns `ends`, and of the returns over steps."""
    tasks, experiments, notes = study.common_tasks, study.experiments, []
    if left_out := [task for task in study.tasks if task not in tasks]:
        notes.append(
            f"The aggregates are over {', '.join(tasks)}; not over {', '.join(left_out)}, which some "
            "experiments do not have."
        )
    groups = {key: [m.run for m in group] for key, group in study.groups.items() if key[0] in tasks}
    normalizations = {}
    for task in tasks:
        of_task = [run for key, group in groups.items() if key[0] == task for run in group]
        every = np.concatenate([curves.smoothed_returns(run.episodes) for run in of_task])
        normalizations[task] = normalization(task, every)
    final = {
        (task, name): [normalizations[task](np.array(end.training)) for end in ends[task, name]]
        for task, name in groups
    }
    scores, numbers = aggregate.score_matrices(final, tasks, experiments)
    for name, number in numbers.items():
        more = [f"{len(ends[task, name])} on {task}" for task in tasks if len(ends[task, name]) > number]
        if more:
            notes.append(
                f"{name} has {', '.join(more)}, elsewhere {number} runs: the aggregates take the {number} "
                "with the lowest seeds of each task."
            )
    grid = curves.common_grid(
        [run.episodes.env_step[0] for group in groups.values() for run in group],
        [float(study.compared_at[task]) for task in tasks],
        _EFFICIENCY_POINTS,
    )
    longest = max(study.compared_at[task] for task in tasks)
    if longest > grid[-1] * (1 + SAME_LENGTH):
        notes.append(
            f"The sample efficiency ends at {grid[-1]:,.0f} env steps, where the shortest task does."
        )
    along = {
        key: [normalizations[key[0]](_smoothed_on(run, grid)) for run in group]
        for key, group in groups.items()
    }
    over_steps, _ = aggregate.score_matrices(along, tasks, experiments)
    thresholds = aggregate.thresholds_between(scores)
    return Aggregates(
        tasks=tasks,
        runs=numbers,
        normalizations=normalizations,
        metrics=aggregate.aggregate_metrics(scores, repetitions, seed),
        improvements=aggregate.improvement_probabilities(scores, repetitions, seed),
        profiles=Curves(thresholds, aggregate.performance_profiles(scores, thresholds, repetitions, seed)),
        efficiency=Curves(grid, aggregate.sample_efficiency(over_steps, repetitions, seed)),
        notes=tuple(notes),
    )


def _final(member: Member, limit: int) -> Final:
    run = member.run
    # A first episode may end after the length of a shorter run of another experiment.
    limit = max(limit, int(run.episodes.env_step[0]))
    ended = run.episodes.count[run.episodes.env_step <= limit].sum()
    return Final(
        training=curves.value_at(run.episodes.env_step, curves.smoothed_returns(run.episodes), limit),
        episodes=int(min(ended, curves.WINDOW)),
        evaluation=curves.value_at(run.evaluations.env_step, run.evaluations.return_mean, limit),
    )


def _smoothed_on(run: Run, grid: np.ndarray) -> np.ndarray:
    """The run's smoothed returns at the steps `grid` [P]: linear between rows, the last value after them."""
    return np.interp(grid, run.episodes.env_step, curves.smoothed_returns(run.episodes))


def _band(grid: np.ndarray, values: np.ndarray, repetitions: int, rng: np.random.Generator) -> Band:
    if len(values) < 2:
        nothing = np.full(len(grid), np.nan)
        return Band(grid, values, nothing, nothing)
    return Band(grid, values, *curves.bootstrap_band(values, repetitions, rng))
