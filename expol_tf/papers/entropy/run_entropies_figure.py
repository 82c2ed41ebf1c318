"""The figure of the entropy that trained runs report."""

from __future__ import annotations

from expol_tf.papers.cells import known
from expol_tf.papers.registry import Table, Work, figure


@figure("run_entropy", "the entropy that trained runs report, beside the one of their actions")
def run_entropy_figure(work: Work) -> Table:
    """Measures the policy of every run."""
    from expol_tf.papers.entropy import run_entropies
    from expol_tf.papers.entropy.run_entropies_drawings import run_entropies_picture
    from expol_tf.reports import find_runs

    runs = find_runs(work.root_dirs).runs
    rows = work.collect(
        (run_entropies.run_entropy(run, work.seed) for run in runs),
        len(runs),
        lambda row: (
            f"{row.run.experiment}, seed {row.run.seed}: {known(row.reported, '.2f', '–')}, "
            f"true {row.measured.truth:.2f}"
        ),
    )
    work.write_csv(
        [
            {
                "experiment": row.run.experiment,
                "task": row.run.task,
                "seed": row.run.seed,
                "env_step": row.run.progress.env_step,
                "temperature": known(row.temperature),
                "reported": known(row.reported),
                **row.measured.cells(),
                "states": "replay" if row.from_replay else "episode",
                "at_the_edge": row.at_the_edge,
            }
            for row in rows
        ]
    )
    work.save(run_entropies_picture(rows))
    table = [["run", "task", "α", "reported", "measured", "marginals", "±", "A log 2", "at the edge %"]]
    for row in rows:
        found = row.measured
        cells = [
            f"{row.run.experiment}, seed {row.run.seed}",
            row.run.task,
            known(row.temperature, ".3g", "–"),
        ]
        cells += [
            known(row.reported, ".2f", "–"),
            f"{found.nearest_neighbour:.2f}" if found.counted else "not counted",
        ]
        cells += [
            f"{found.marginals:.2f}",
            f"{found.standard_error:.2f}",
            f"{found.uniform:.2f}",
            f"{100 * row.at_the_edge:.1f}",
        ]
        table.append(cells)
    return table
