"""The figure of what Stein policies report as their entropy."""

from __future__ import annotations

from expol_tf.papers.registry import Table, Work, figure


@figure(
    "calibration", "what a Stein policy reports as its entropy, beside what it is", 1, 2000, one_seed=True
)
def calibration_figure(work: Work) -> Table:
    """Compares every density with the nearest-neighbour entropy, for known targets and trained critics."""
    from expol_tf.papers.entropy import calibration
    from expol_tf.papers.entropy.calibration_drawings import calibration_panels

    rows = work.collect(
        calibration.calibrate_all(work.seed, work.iterations),
        calibration.num_calibrations(),
        lambda row: f"A {row.size}, {row.target}: {row.joint_trace:.2f}, true {row.measured.truth:.2f}",
    )
    work.write_csv([row.cells() for row in rows])
    work.save(calibration_panels(rows))
    ends = ["true", "by", "marginals", "radial", "A log 2"]
    table = [["A", "M", "L", "target", "α", *calibration.DENSITIES, *ends]]
    for row in rows:
        sizes = (row.size, row.num_particles, row.num_steps)
        cells = [*map(str, sizes), row.target, f"{row.temperature:g}"]
        cells += [f"{getattr(row, density):.2f}" for density in calibration.DENSITIES]
        found = row.measured
        cells += [found.shown, found.counted_by or "–"]
        table.append([*cells, f"{found.marginals:.2f}", f"{found.radial:.2f}", f"{found.uniform:.2f}"])
    return table
