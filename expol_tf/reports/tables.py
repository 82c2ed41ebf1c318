"""Tables of a report: Markdown for reading, CSV for further work."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from expol_tf.cli import shown
from expol_tf.reports.aggregate import Estimate
from expol_tf.reports.comparison import Aggregates, Final
from expol_tf.reports.curve_plots import Band, Key
from expol_tf.reports.output import escaped, markdown
from expol_tf.reports.study import Study

Ends = Mapping[Key, Sequence[Final]]


def final_table(study: Study, ends: Ends) -> str:
    """Returns a row per task and experiment: returns and evaluations, mean ± std over runs, and each."""
    heading = [
        "task", "experiment", "runs", "env steps", "final return", "final greedy evaluation",
        "final return by seed",
    ]  # fmt: skip
    rows = []
    for (task, experiment), group in study.groups.items():
        returns = [end.training for end in ends[task, experiment]]
        evaluations = [end.evaluation for end in ends[task, experiment]]
        by_seed = ", ".join(f"{m.run.seed}: {number(e)}" for m, e in zip(group, returns, strict=True))
        if len(group) > 10:  # Draws, whose quantiles tell more than thirty numbers would.
            by_seed = f"{number(min(returns))} to {number(max(returns))}"
        lengths = sorted({member.run.progress.env_step for member in group})
        steps = " – ".join(f"{length:,}" for length in dict.fromkeys([lengths[0], lengths[-1]]))
        rows.append(
            [
                escaped(task),
                escaped(experiment),
                str(len(group)),
                steps,
                mean_std(returns),
                mean_std(evaluations),
                by_seed,
            ]  # fmt: skip
        )
    return markdown(heading, rows)


def metric_table(aggregates: Aggregates) -> str:
    """Returns a row per experiment: rliable's metrics with their intervals."""
    heading = ["experiment", "runs a task", *aggregates.metrics]
    rows = [
        [escaped(name), str(runs), *(interval(estimates[name]) for estimates in aggregates.metrics.values())]
        for name, runs in aggregates.runs.items()
    ]
    return markdown(heading, rows)


def improvement_table(aggregates: Aggregates) -> str:
    """Returns a row per pair of experiments."""
    rows = [
        [escaped(x), escaped(y), interval(estimate)] for (x, y), estimate in aggregates.improvements.items()
    ]
    return markdown(["X", "Y", "P(X > Y)"], rows)


def normalization_table(aggregates: Aggregates) -> str:
    """Returns a row per task: the returns with the scores 0 and 1."""
    rows = [
        [escaped(task), number(scale.zero), number(scale.one), scale.source]
        for task, scale in aggregates.normalizations.items()
    ]
    return markdown(["task", "a (score 0)", "b (score 1)", "what they are"], rows)


def number(value: float, scale: float | None = None) -> str:
    """Returns the value with the digits that one of size `scale` (by default its own) needs: 3239, 17.7."""
    if not np.isfinite(value):
        return "–"
    size = abs(value) if scale is None else scale
    return f"{value:.{0 if size >= 99.95 else 1 if size >= 9.995 else 2}f}"


def mean_std(values: Sequence[float]) -> str:
    """Returns "mean ± std" over the finite values, std of the population; "–" if there are none."""
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return "–"
    mean, std = float(np.mean(finite)), float(np.std(finite))
    if len(finite) == 1:
        return number(mean)
    scale = max(abs(mean), std)
    return f"{number(mean, scale)} ± {number(std, scale)}"


def interval(estimate: Estimate) -> str:
    """Returns "value [low, high]"."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def results_csv(study: Study, ends: Ends) -> str:
    """Returns a row per run."""
    parameters = list(
        dict.fromkeys(n for group in study.groups.values() for m in group for n in m.parameters)
    )
    heading = [
        "task", "experiment", "seed", *parameters, "outcome", "env_step", "num_env_steps", "compared_at",
        "final_return", "final_return_episodes", "final_evaluation", "wall_time_s", "directory", "failure",
    ]  # fmt: skip
    rows = []
    for (task, experiment), group in study.groups.items():
        for member, end in zip(group, ends[task, experiment], strict=True):
            run, done = member.run, member.run.progress
            rows.append(
                [
                    task, experiment, run.seed, *(member.parameters.get(name, "") for name in parameters),
                    done.outcome, done.env_step, done.target_env_steps, study.compared_at[task], end.training,
                    end.episodes, end.evaluation, done.wall_time_s, shown(run.directory), done.failure,
                ]
            )  # fmt: skip
    return _csv(heading, rows)


def curves_csv(study: Study, bands: Mapping[str, Mapping[Key, Band]]) -> str:
    """Returns a row per point of every run's curve; `bands` are by kind, "training" and "evaluation"."""
    rows = [
        [kind, task, experiment, member.run.seed, run, step, value]
        for kind, of_kind in bands.items()
        for (task, experiment), band in of_kind.items()
        for run, (member, curve) in enumerate(zip(study.groups[task, experiment], band.curves, strict=True))
        for step, value in zip(band.env_step, curve, strict=True)
    ]
    return _csv(["curve", "task", "experiment", "seed", "run", "env_step", "return"], rows)


def bands_csv(bands: Mapping[str, Mapping[Key, Band]]) -> str:
    """Returns a row per point of the means over runs, with their confidence band."""
    rows = [
        [kind, task, experiment, len(band.curves), *point]
        for kind, of_kind in bands.items()
        for (task, experiment), band in of_kind.items()
        for point in zip(band.env_step, band.mean, band.low, band.high, strict=True)
    ]
    return _csv(["curve", "task", "experiment", "runs", "env_step", "mean", "low", "high"], rows)


def aggregates_csv(aggregates: Aggregates) -> str:
    """Returns a row per number; `other` is the second experiment of a pair, `at` the step or threshold."""
    rows: list[list[Any]] = []
    for metric, estimates in aggregates.metrics.items():
        rows += [[metric, name, "", "", *estimate] for name, estimate in estimates.items()]
    for (x, y), estimate in aggregates.improvements.items():
        rows.append(["probability of improvement", x, y, "", *estimate])
    for quantity, curves in (
        ("performance profile", aggregates.profiles),
        ("sample efficiency", aggregates.efficiency),
    ):
        for name, estimate in curves.estimates.items():
            rows += [[quantity, name, "", *point] for point in zip(curves.x, *estimate, strict=True)]
    return _csv(["quantity", "experiment", "other", "at", "value", "low", "high"], rows)


def _csv(heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    """Six digits are more than a curve has; what is missing is empty."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        exact = float(value)
        if not np.isfinite(exact):
            return ""
        return int(exact) if exact.is_integer() and abs(exact) < 1e15 else float(f"{exact:.6g}")
    return value
