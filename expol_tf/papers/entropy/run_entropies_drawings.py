"""The picture of the entropy that trained runs report."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from expol_tf.papers.drawings import small_texts
from expol_tf.papers.entropy.run_entropies import RunEntropy
from expol_tf.reports import panels


@small_texts
def run_entropies_picture(rows: Sequence[RunEntropy]) -> Figure:
    """Draws reported over true entropies, a colour for each experiment.

    Args:
      rows: The table.
    """
    figure, axes = panels(1, 1, (4.6, 3.6))
    panel = axes.flat[0]
    truths = [row.measured.truth for row in rows]
    panel.axline((truths[0], truths[0]), slope=1.0, color="#888888", linestyle=(0, (4, 2)), linewidth=1.2)
    for experiment in dict.fromkeys(row.run.experiment for row in rows):
        chosen = [row for row in rows if row.run.experiment == experiment]
        panel.scatter(
            [row.measured.truth for row in chosen], [row.reported for row in chosen], s=18, label=experiment
        )
    panel.set_xlabel("entropy of the actions, or its least bound, nats")
    panel.set_ylabel("reported, nats")
    panel.legend(loc="best")
    return figure
