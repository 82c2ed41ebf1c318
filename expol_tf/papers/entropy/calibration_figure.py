"""The figure of what Stein policies report as their entropy."""

from __future__ import annotations

from expol_tf.papers.registry import Table, Work, figure


@figure("calibration", "what a Stein policy reports as its entropy, beside what it is", 1, 3000)
def calibration_figure(work: Work) -> Table:
    """Compares every density with the nearest-neighbour entropy, for known targets and trained critics."""
    from expol_tf.papers.entropy import calibration, drawings

    rows = work.collect(
        calibration.calibrate_all(work.seed, work.iterations),
        calibration.num_calibrations(),
        lambda row: f"A {row.size}, {row.target}: {row.joint_trace:.2f}, true {row.truth:.2f}",
    )
    work.write_csv([row._asdict() | {"truth": row.truth} for row in rows])
    work.save(drawings.calibration_panels(rows))
    table = [["A", "M", "L", "target", "α", *calibration.DENSITIES, "nearest neighbour", "marginals", "A log 2"]]
    for row in rows:
        sizes = [str(row.size), str(row.num_particles), str(row.num_steps), row.target, f"{row.temperature:g}"]
        reported = [f"{getattr(row, density):.2f}" for density in calibration.DENSITIES]
        neighbours = f"{row.nearest_neighbour:.2f}" if row.counted else "not counted"
        table.append([*sizes, *reported, neighbours, f"{row.marginals:.2f}", f"{row.uniform:.2f}"])
    return table
