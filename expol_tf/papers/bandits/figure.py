"""The figures of the bandits: each policy's density beside the optimum's."""

from __future__ import annotations

import numpy as np

from expol_tf.papers.cells import mean_and_range, rounded
from expol_tf.papers.registry import Table, Work, figure

_COLUMNS = {
    "correlation": "correlation",
    "std_1": "std a₁",
    "std_2": "std a₂",
    "left_mass": "mass a₁ < 0",
    "kl_to_target": "KL[π ‖ π*]",
    "kl_from_target": "KL[π* ‖ π]",
    "expected_reward": "E[r]",
    "entropy": "H[π]",
}


@figure("gaussian_bandit", "which policies learn that the optimal actions are correlated", 5, 200)
@figure("bimodal_bandit", "which policies learn that there are two optimal actions", 5, 200)
def bandit_figure(work: Work) -> Table:
    """Trains every policy from every seed and compares its density with the optimal one."""
    from expol_tf.papers.bandits import bandits
    from expol_tf.papers.bandits.drawings import density_panels

    bandit = bandits.BANDITS[work.name]
    trained = work.collect(
        bandits.train_all(bandit, work.num_seeds, work.seed, work.iterations),
        work.num_seeds * len(bandits.POLICIES),
        lambda t: f"{t.policy}, seed {t.seed}: KL to the optimum {t.numbers.kl_to_target:.3f}",
    )
    best = bandits.optimum(bandit)
    rows = [{"policy": t.policy, "seed": t.seed, **t.numbers._asdict()} for t in trained]
    work.write_csv([{"policy": "optimum", "seed": "", **best._asdict()}, *rows])

    table = [
        ["", *_COLUMNS.values()],
        ["optimum", *(f"{getattr(best, column):.3f}" for column in _COLUMNS)],
    ]
    titles, densities = {}, {}
    for policy in bandits.POLICIES:
        group = [one for one in trained if one.policy == policy]
        numbers = {column: [getattr(one.numbers, column) for one in group] for column in _COLUMNS}
        table.append([policy, *map(mean_and_range, numbers.values())])
        about = f"left half {np.mean(numbers['left_mass']):.0%}"
        if work.name == "gaussian_bandit":
            about = f"correlation {rounded(numbers['correlation'], 2)}"
        titles[policy] = f"{about}, KL {np.mean(numbers['kl_to_target']):.3f}"
        densities[policy] = group[0].log_prob
    nodes, grid = bandits.picture_grid()
    seeds = "1 seed" if work.num_seeds == 1 else f"{work.num_seeds} seeds"
    note = (
        f"shaded: the density of seed {work.seed}; lines: regions of the optimum that hold 25, 50, 75 and "
        f"95 %; numbers: means over {seeds}, KL to the optimum"
    )
    work.save(density_panels(densities, titles, nodes, bandit.target_log_prob(grid), note))
    return table
