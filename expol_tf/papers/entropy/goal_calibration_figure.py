"""The figure of what densities report on the task with two goals on the left and one on the right."""

from __future__ import annotations

from expol_tf.papers.registry import Table, Work, figure


@figure(
    "goal_calibration",
    "densities of a Stein policy on a task with three goals, beside the truth",
    1,
    5000,
    one_seed=True,
)
def goal_calibration_figure(work: Work) -> Table:
    """Compares every density with the nearest-neighbour entropy, for a trained critic at each temperature."""
    from expol_tf.papers.entropy import goal_calibration
    from expol_tf.papers.entropy.calibration import DENSITIES
    from expol_tf.papers.entropy.calibration_drawings import reported_bars

    rows = work.collect(
        goal_calibration.calibrate_goals(work.seed, work.iterations),
        len(goal_calibration.TEMPERATURES),
        lambda row: f"α {row.temperature:g}: printed {row.printed:.2f}, true {row.measured.truth:.2f}",
    )
    work.write_csv([row.cells() for row in rows])
    work.save(reported_bars(rows))
    table = [["α", *DENSITIES, "true", "limited %"]]
    for row in rows:
        cells = [f"{getattr(row, density):.2f}" for density in DENSITIES]
        end = [row.measured.shown, f"{100 * row.limited_share:.0f}"]
        table.append([f"{row.temperature:g}", *cells, *end])
    return table
