"""The page of a report."""

from __future__ import annotations

from collections.abc import Sequence

from expol_tf.cli import REPORT_PACKAGES, installed_versions, shown
from expol_tf.reports import tables
from expol_tf.reports.comparison import Aggregates
from expol_tf.reports.curves import WINDOW
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
    """Returns `report.md`.

    Args:
      study: The runs.
      aggregates: rliable's numbers.
      table: The table of final returns.
      notes: Remarks, a sentence each.
      pictures: Names of the files that were drawn.
      repetitions: Bootstrap resamples.
      command: What the user typed, if it is known.
    """
    runs = [member.run for group in study.groups.values() for member in group]
    parts = [
        "# Report",
        f"{len(runs)} runs of {len(study.experiments)} experiments on {len(study.tasks)} tasks.",
    ]
    if command:
        parts.append(f"```\n{command}\n```")
    parts += ["## Final returns", table]
    parts.append(
        f"Final return: mean of a run's last {WINDOW} training episodes (sampled actions), then mean ± "
        "standard deviation (of the population) over the runs; beside it the last evaluation of the policy. "
        "Every run is in [results.csv](results.csv)."
    )
    if notes:
        parts += ["Remarks:", "\n".join(f"* {note}" for note in notes)]
    parts.append("## Learning curves")
    parts.append(
        f"Training returns, smoothed as the mean of the last {WINDOW} episodes, over the steps that all runs "
        "of an experiment have; thin lines are runs, bands are 95 % bootstrap intervals of the mean over "
        f"runs ({repetitions:,} resamples of whole runs). Data: [curves.csv](curves.csv), "
        "[bands.csv](bands.csv)."
    )
    parts.append("![Learning curves](learning_curves.png)")
    if "evaluation_curves.png" in pictures:
        parts += ["Evaluations in environments of their own:", "![Evaluations](evaluation_curves.png)"]
    parts.append("## Aggregates over tasks")
    parts.append(
        f"rliable's estimates from final returns on {', '.join(aggregates.tasks)}, with 95 % intervals from "
        f"{repetitions:,} stratified bootstrap resamples (runs are redrawn within each task). Data: "
        "[aggregates.csv](aggregates.csv)."
    )
    parts += [tables.metric_table(aggregates), "![Aggregate metrics](aggregates.png)"]
    parts += ["Returns are normalized task by task, score = (return − a) / (b − a):"]
    parts.append(
        tables.normalization_table(aggregates)
        .replace("score 0", "a (score 0)")
        .replace("score 1", "b (score 1)")
    )
    if "improvement.png" in pictures:
        parts += ["### Probability of improvement", tables.improvement_table(aggregates)]
        parts.append("![Probability of improvement](improvement.png)")
    parts += ["### Performance profiles", "![Performance profiles](profiles.png)"]
    if "sample_efficiency.png" in pictures:
        parts += ["### Sample efficiency", "![Sample efficiency](sample_efficiency.png)"]
    parts += [
        "## Sensitivity",
        "All runs' final returns, sorted, against their quantile:",
        "![Quantiles](quantiles.png)",
    ]
    if "sensitivity.png" in pictures:
        parts += [
            "Against the parameters in which the runs differ:",
            "![Returns by parameter](sensitivity.png)",
        ]
    parts += ["## Versions", _versions(runs)]
    return "\n\n".join(parts) + "\n"


def _versions(runs: Sequence[Run]) -> str:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        text = ", ".join(f"{name} {version}" for name, version in run.versions.items()) or "not recorded"
        groups.setdefault(text, []).append(run)
    if len(groups) == 1:
        lines = [f"Runs: {next(iter(groups))}."]
    else:
        lines = [
            f"{len(group)} of {len(runs)} runs (such as {shown(group[0].directory)}): {text}."
            for text, group in groups.items()
        ]
    versions = installed_versions(REPORT_PACKAGES)
    own = ", ".join(f"{package} {version}" for package, version in versions.items())
    return "\n\n".join([*lines, f"Report: {own}."])
