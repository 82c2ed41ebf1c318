"""The figure of the optima of the tasks with several goals."""

from __future__ import annotations

from expol_tf.papers.registry import Table, Work, figure

_COLUMNS = {
    "any_goal": "any goal",
    "return_mean": "return",
    "length_mean": "length",
    "m1": "M₁",
    "m2": "M₂",
    "entropy": "H",
    "hit_share": "hit the wall",
    "success_after_hit": "success after a hit",
}


@figure("multigoal_optima", "where the optimum goes at the papers' temperatures; 4000 episodes each", 1, 4000)
def optima_figure(work: Work) -> Table:
    """Runs the optimum of every task at every temperature."""
    from expol_tf.papers.multi_goal import optima
    from expol_tf.papers.multi_goal.drawings import optima_picture

    results = work.collect(
        optima.optima(work.num_seeds, work.seed, work.iterations),
        work.num_seeds * sum(len(world.temperatures) for world in optima.WORLDS),
        lambda r: f"{r[0].name}, α = {r[1].row['temperature']:g}: a goal in {r[1].row['any_goal']:.0%}",
    )
    work.write_csv([optimal.row for _, optimal in results])
    work.save(optima_picture([result for result in results if result[1].row["seed"] == work.seed]))
    table = [["task", "α", "goals %", *_COLUMNS.values()]]
    for world, optimal in results:
        row = optimal.row
        shares = "/".join(f"{100 * row[f'goal_{i}']:.1f}" for i in range(len(world.task.goals)))
        cells = [f"{row[column]:.3g}" for column in _COLUMNS]
        table.append([world.name, f"{row['temperature']:g}", shares, *cells])
    return table
