"""The figure of the samplers' entropies."""

from __future__ import annotations

from expol_tf.papers.registry import Table, Work, figure


@figure("entropy", "how well SVGD, Langevin dynamics and HMC know the entropy of what they sample", 10, 200)
def entropy_figure(work: Work) -> Table:
    """Compares every sampler's estimate with the target's entropy, in all configurations."""
    from expol_tf.papers.entropy import drawings, evaluation

    evaluations = work.collect(
        evaluation.evaluate_all(work.num_seeds, work.seed, work.iterations),
        evaluation.num_evaluations(),
        lambda e: (
            f"{e.estimate.part}, {e.estimate.sampler}, {e.estimate.density}: {e.estimate.entropy_mean:.3f}"
        ),
    )
    estimates = [result.estimate for result in evaluations]
    work.write_csv([estimate._asdict() for estimate in estimates])
    work.save(drawings.entropy_panels(evaluations, work.seed))
    work.save(drawings.kernel_panels(evaluations, work.seed), "_kernel")
    table = [["part", "sampler", "density", "σ", "L", "M", "entropy", "true", "particles' Gaussian"]]
    for line in estimates:
        # Targets by the dozen, which the pictures show.
        if line.part in ("components", "variance"):
            continue
        entropy = f"{line.entropy_mean:.3f} ({line.entropy_min:.3f} … {line.entropy_max:.3f})"
        sizes = [str(line.sigma), str(line.num_steps), str(line.num_particles)]
        ends = [f"{line.true_entropy:.3f}", f"{line.particles_entropy:.3f}"]
        table.append([line.part, line.sampler, line.density, *sizes, entropy, *ends])
    return table
