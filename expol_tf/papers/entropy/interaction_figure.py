"""The figure of what makes the particles of Stein policies act on each other."""

from __future__ import annotations

from expol_tf.papers.registry import Table, Work, figure


@figure("interaction", "what makes the particles of a Stein policy act on each other", 1, 2000, one_seed=True)
def interaction_figure(work: Work) -> Table:
    """Compares kernels, numbers of particles and lengths of steps in six dimensions."""
    from expol_tf.papers.entropy import interaction
    from expol_tf.papers.entropy.interaction_drawings import interaction_panels

    rows = work.collect(
        interaction.interact_all(work.seed, work.iterations),
        interaction.num_interactions(),
        lambda row: f"{row.variant}, {row.calibration.target}: neighbours {row.neighbours:.2f}",
    )
    work.write_csv(
        [
            {"variant": row.variant, "displacement": row.displacement, "neighbours": row.neighbours}
            | row.calibration.cells()
            for row in rows
        ]
    )
    work.save(interaction_panels(rows))
    table = [["target", "α", "variant", "neighbours", "moved", "joint_trace", "printed", "true"]]
    for row in rows:
        found = row.calibration
        cells = [found.target, f"{found.temperature:g}", row.variant, f"{row.neighbours:.2f}"]
        cells += [f"{row.displacement:.2f}", f"{found.joint_trace:.2f}", f"{found.printed:.2f}"]
        table.append([*cells, found.measured.shown])
    return table
