"""The page of a report."""

from __future__ import annotations

import re
from collections.abc import Sequence

from expol_tf.cli import REPORT_PACKAGES, installed_versions, shown
from expol_tf.reports import tables
from expol_tf.reports.comparison import Aggregates
from expol_tf.reports.curves import WINDOW
from expol_tf.reports.output import escaped, printable
from expol_tf.reports.runs import Run
from expol_tf.reports.study import Study


def page_text(
    study: Study,
    aggregates: Aggregates,
    table: str,
    notes: Sequence[str],
    pictures: set[str],
    repetitions: int,
    command: str,
) -> str:
    """Returns `report.md`, which shows the `pictures` that were drawn and the command, if it is known."""

    def picture(title: str, name: str, *above: str) -> list[str]:
        return [*above, f"![{title}]({name}.png)"] if f"{name}.png" in pictures else []

    runs = [member.run for group in study.groups.values() for member in group]
    sections = [
        "# Report",
        f"{len(runs)} runs of {len(study.experiments)} experiments on {len(study.tasks)} tasks.",
        *([_code(command)] if command else []),
        "## Final returns",
        table,
        f"Final return: mean of a run's last {WINDOW} training episodes (sampled actions), then mean ± "
        "standard deviation (of the population) over the runs; beside it the last evaluation of the policy. "
        "Every run is in [results.csv](results.csv).",
        *(["Remarks:", "\n".join(f"* {escaped(note)}" for note in notes)] if notes else []),
        "## Learning curves",
        f"Training returns, smoothed as the mean of the last {WINDOW} episodes, over the steps that all runs "
        "of an experiment have; thin lines are runs, bands are 95 % bootstrap intervals of the mean over "
        f"runs ({repetitions:,} resamples of whole runs). Data: [curves.csv](curves.csv), "
        "[bands.csv](bands.csv).",
        *picture("Learning curves", "learning_curves"),
        *picture("Evaluations", "evaluation_curves", "Evaluations in environments of their own:"),
        "## Aggregates over tasks",
        f"rliable's estimates from final returns on {', '.join(map(escaped, aggregates.tasks))}, with 95 % "
        f"intervals from {repetitions:,} stratified bootstrap resamples (runs are redrawn within each task). "
        "Data: [aggregates.csv](aggregates.csv).",
        tables.metric_table(aggregates),
        *picture("Aggregate metrics", "aggregates"),
        "Returns are normalized task by task, score = (return − a) / (b − a):",
        tables.normalization_table(aggregates),
        *picture(
            "Probability of improvement", "improvement",
            "### Probability of improvement", tables.improvement_table(aggregates),
        ),
        *picture("Performance profiles", "profiles", "### Performance profiles"),
        *picture("Sample efficiency", "sample_efficiency", "### Sample efficiency"),
        "## Sensitivity",
        *picture("Quantiles", "quantiles", "All runs' final returns, sorted, against their quantile:"),
        *picture(
            "Returns by parameter", "sensitivity", "Against the parameters in which the runs differ:"
        ),
        "## Versions",
        _versions(runs),
    ]  # fmt: skip
    return "\n\n".join(sections) + "\n"


def _code(command: str) -> str:
    """Returns the command as a block of code, which it cannot end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}\n{printable(command)}\n{fence}"


def _versions(runs: Sequence[Run]) -> str:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        text = (
            ", ".join(f"{name} {version}" for name, version in run.record.versions.items()) or "not recorded"
        )
        groups.setdefault(escaped(text), []).append(run)
    if len(groups) == 1:
        lines = [f"Runs: {next(iter(groups))}."]
    else:
        lines = [
            f"{len(group)} of {len(runs)} runs (such as {escaped(shown(group[0].directory))}): {text}."
            for text, group in groups.items()
        ]
    versions = installed_versions(REPORT_PACKAGES)
    own = ", ".join(f"{package} {version}" for package, version in versions.items())
    return "\n\n".join([*lines, f"Report: {own}."])
