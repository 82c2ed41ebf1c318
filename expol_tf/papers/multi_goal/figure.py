"""The figure of trained runs on the tasks with several goals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from expol_tf.papers.registry import Table, Work, figure

if TYPE_CHECKING:
    from expol_tf.papers.multi_goal.examination import Behaviour, Examined


@figure(
    "multigoal",
    "where trained runs go on the tasks with several goals, and the optimum",
    run_options=("temperature", "discount", "obstacle"),
)
def multigoal_figure(work: Work) -> Table:
    """Examines every run beside the optimum at its temperature and discount."""
    from expol_tf.papers.multi_goal import drawings, examination, table, trends
    from expol_tf.reports import find_runs

    runs = [examination.goal_run(run, *work.options) for run in find_runs(work.root_dirs).runs]

    def examine_all() -> Iterator[Examined]:
        best: dict[Any, Behaviour] = {}
        for run in runs:
            # Runs of the same world and temperature share their optimum.
            world = (
                run.run.task,
                run.run.record.values.get("train.make_kwargs"),
                run.temperature,
                run.discount,
            )
            if world not in best:
                best[world] = examination.best_of(run, work.seed)
            yield examination.examine(run, best[world], work.seed)

    def describe(result: Examined) -> str:
        numbers = result.learned.numbers
        return f"{result.run.name}: return {numbers.return_mean:.1f}, a goal in {numbers.any_goal:.0%}"

    examined = work.collect(examine_all(), len(runs), describe)
    work.write_csv(table.csv_rows(examined))
    if len(runs) > 1:
        work.save(drawings.overview(examined))
        if trends.comparable(examined):
            work.save(trends.trends(examined), "_trends")
    for number, result in enumerate(examined, 1):
        name = re.sub(r"[^0-9A-Za-z]+", "_", result.run.name)
        work.save(drawings.run_picture(result), f"_{number}_{name}" if len(runs) > 1 else "")
    return table.text_table(examined)
