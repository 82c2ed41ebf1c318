"""The figure of the KL ball."""

from __future__ import annotations

from typing import Any

from expol_tf.papers.cells import median_and_range
from expol_tf.papers.registry import Table, Work, figure

_COLUMNS = {
    "kl_source_samples": "KL, own samples",
    "kl_fresh_samples": "KL, fresh samples",
    "entropy": "H[π]",
    "covariance_trace": "trace of covariance",
    "radius_99": "99 % radius",
}


@figure("kl_ball", "spread of a Gaussian and a flow in a KL ball and at fixed entropies", 5, 5000)
def kl_ball_figure(work: Work) -> Table:
    """Descends to the ball and to each entropy with every family from every seed."""
    from expol_tf.papers.kl_ball import kl_ball
    from expol_tf.papers.kl_ball.drawings import ball_panels

    constraints = [f"KL = {kl_ball.KL_RADIUS:g}", *(f"H = {entropy:g}" for entropy in kl_ball.ENTROPIES)]
    results = work.collect(
        kl_ball.descend_all(work.num_seeds, work.seed, work.iterations),
        work.num_seeds * len(kl_ball.FAMILIES) * len(constraints),
        lambda r: f"{r[0].policy}, {r[0].constraint}, seed {r[0].seed}: {r[0].steps} steps",
    )
    work.write_csv([end._asdict() for end, _ in results])

    table = [["constraint", "family", "met", *_COLUMNS.values()]]
    titles: dict[tuple[str, str], str] = {}
    pictured: dict[str, dict[str, Any]] = {family: {} for family in kl_ball.FAMILIES}
    for constraint in constraints:
        for family in kl_ball.FAMILIES:
            group = [r for r in results if (r[0].constraint, r[0].policy) == (constraint, family)]
            cells = [median_and_range([getattr(end, name) for end, _ in group]) for name in _COLUMNS]
            met = f"{sum(end.reached for end, _ in group)} of {len(group)}"
            table.append([constraint, family, met, *cells])
            first, pictured[family][constraint] = group[0]
            titles[constraint, family] = (
                f"trace {first.covariance_trace:.3g}, 99 % within {first.radius_99:.2f}"
            )
    nodes, _ = kl_ball.picture_grid()
    samples = kl_ball.source_samples(work.seed).numpy()
    work.save(ball_panels(nodes, samples, pictured["Gaussian"], pictured["flow"], titles))
    return table
