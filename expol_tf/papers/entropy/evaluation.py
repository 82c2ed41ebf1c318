"""How well the density that samplers keep account of knows the entropy of what they sample.

The entropy estimate −mean[log q⁰(u⁰) + Σ change] beside the target's entropy. Messaoud et al. 2024, *S²AC:
Energy-Based Reinforcement Learning with Stein Soft Actor Critic*, Eq. 11, Figures 4, 9 and 10.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from expol_tf import samplers
from expol_tf.papers.entropy.targets import (
    Mixture,
    gaussian_entropy,
    mixture_score,
    paper_gaussian,
    ring,
    round_gaussian,
    start_log_prob,
    start_particles,
)

STEP_SIZE = 0.5
SIGMA = 5.0
NUM_PARTICLES = 200
SAMPLERS = ("SVGD", "SGLD", "DLD", "HMC")
SIGMAS = (0.1, 1.0, 3.0, 5.0, 7.0, 10.0, 100.0)
KERNEL_PARTICLES = (10, 50, 200)
COMPONENTS = (1, 2, 3, 4, 5, 6, 8, 10)
VARIANCES = (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0)
# Steps as parts of those of the first figure, and particles.
SIZES = ((0.05, 10), (0.05, 200), (0.25, 50), (1.0, 10), (1.0, 200))
DRIFT = (1, 2, 4, 6, 8, 10)
JOINT_PARTICLES = (3, 5, 10, 20, 50, 100)
JOINT = "all particles at once"
OWN_TERM = "printed, j = i too"


class Estimate(NamedTuple):
    """A configuration's entropy estimates, a line of the table.

    Attributes:
      part: "samplers" (Fig. 4a), "kernel" (4b, 9), "components" (4c, 10a), "variance" (10b), "drift" or
        "joint".
      sampler: One of `SAMPLERS`.
      density: How the density is accounted for. Of SVGD: "printed", "logdet", `OWN_TERM` or `JOINT`; of the
        samplers that move particles one by one: "trace" or "logdet".
      target: The target's name.
      component_variance: Variance of the target's components, of their first coordinate.
      sigma: The kernel's standard deviation; empty where there is no kernel.
      num_steps, num_particles, seeds: L, M and the number of seeds.
      true_entropy: H[p], nats.
      entropy_mean, entropy_std, entropy_min, entropy_max: The estimates over seeds, nats.
      particles_entropy: ½ log det 2πe·C of the particles' own covariance C, mean over seeds: the entropy of
        the Gaussian that has their spread.
      reach: Largest distance of a particle from the origin, over all seeds.
    """

    part: str
    sampler: str
    density: str
    target: str
    component_variance: float
    sigma: float | str
    num_steps: int
    num_particles: int
    seeds: int
    true_entropy: float
    entropy_mean: float
    entropy_std: float
    entropy_min: float
    entropy_max: float
    particles_entropy: float
    reach: float


class Evaluation(NamedTuple):
    """One configuration: its line, and the first seed's particles `[M, 2]`."""

    estimate: Estimate
    particles: np.ndarray


class Moved(NamedTuple):
    """Particles `[S, M, 2]` at the end, and account → change of the log-density on the way, means `[S]`."""

    particles: np.ndarray
    changes: dict[str, np.ndarray]


def evaluate_all(num_seeds: int, seed: int, num_steps: int) -> Iterator[Evaluation]:
    """Yields the evaluation of every configuration.

    Args:
      num_seeds: Seeds of each configuration, whose particles are moved at once.
      seed: The first of them.
      num_steps: L of most of them, 200 in the paper; drifts are followed ten times as far.
    """
    seeds = range(seed, seed + num_seeds)
    target = paper_gaussian()
    start = start_particles(seeds, NUM_PARTICLES)
    for sampler in SAMPLERS:
        # Other samplers take the maps of one particle; they have no kernel.
        sigma: float | str = SIGMA if sampler == "SVGD" else ""
        moved = _MOVES[sampler](start, target, num_steps, seed)
        yield from _lines("samplers", sampler, target, sigma, num_steps, start, moved)
    for width in SIGMAS:
        for num in KERNEL_PARTICLES:
            start = start_particles(seeds, num)
            moved = _svgd(start, target, num_steps, seed, sigma=width)
            yield from _lines("kernel", "SVGD", target, width, num_steps, start, moved)
    families = {
        # With the paper's printed variance of 0.1 the step is too long: ε·λ = 5.
        "components": [*map(ring, COMPONENTS), ring(4, variance=0.1)],
        "variance": [*map(round_gaussian, VARIANCES)],
    }
    for part, targets in families.items():
        for share, num in SIZES:
            start, steps = start_particles(seeds, num), max(round(share * num_steps), 1)
            for other in targets:
                moved = _svgd(start, other, steps, seed, kinds=("printed",))
                yield from _lines(part, "SVGD", other, SIGMA, steps, start, moved)
    yield from _drift(seeds, target, num_steps)
    for num in JOINT_PARTICLES:
        start = start_particles(seeds, num)
        moved = _svgd(start, target, num_steps, seed)
        moved.changes[JOINT] = _joint(start, target, num_steps)
        yield from _lines("joint", "SVGD", target, SIGMA, num_steps, start, moved)


def num_evaluations() -> int:
    """Returns how many `evaluate_all` yields."""
    of_sizes = len(SIZES) * (len(COMPONENTS) + 1 + len(VARIANCES))
    of_svgd = 2 * len(SIGMAS) * len(KERNEL_PARTICLES) + 3 * len(DRIFT) + 3 * len(JOINT_PARTICLES)
    return 2 * len(SAMPLERS) + of_sizes + of_svgd


def _lines(
    part: str,
    sampler: str,
    target: Mixture,
    sigma: float | str,
    num_steps: int,
    start: np.ndarray,
    moved: Moved,
) -> Iterator[Evaluation]:
    """A line for every account of the density."""
    particles = moved.particles
    start_mean = start_log_prob(start).mean(axis=-1)
    gaussians = [np.nan]
    if np.all(np.isfinite(particles)):
        gaussians = [gaussian_entropy(np.cov(of_seed.astype(np.float64).T)) for of_seed in particles]
    reach = float(np.linalg.norm(particles, axis=-1).max())
    for density, change in moved.changes.items():
        entropy = -(start_mean + change)
        line = Estimate(
            part,
            sampler,
            density,
            target.name,
            float(target.covariance[0, 0]),
            sigma,
            num_steps,
            num_particles=start.shape[1],
            seeds=len(start),
            true_entropy=target.entropy,
            entropy_mean=float(entropy.mean()),
            entropy_std=float(entropy.std()),
            entropy_min=float(entropy.min()),
            entropy_max=float(entropy.max()),
            particles_entropy=float(np.mean(gaussians)),
            reach=reach,
        )
        yield Evaluation(line, particles[0])


def _svgd(
    start: np.ndarray,
    target: Mixture,
    num_steps: int,
    seed: int,
    sigma: float = SIGMA,
    kinds: Sequence[str] = ("printed", "logdet"),
) -> Moved:
    """Moves by SVGD, which draws nothing."""
    del seed
    changes = {}
    for kind in kinds:
        run = _svgd_graph(num_steps, sigma, kind, start.shape[1])
        moved = run(start, *_parameters(target))
        changes[kind] = _mean(moved.log_density_change)
    return Moved(moved.particles.numpy(), changes)


@functools.cache
def _svgd_graph(num_steps: int, sigma: float, kind: str, num_particles: int) -> Callable[..., samplers.Moved]:
    """A graph for all targets and numbers of seeds, as tracing takes longer than most of the ways."""
    shapes = ([None, num_particles, 2], [None, 2], [2, 2])

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape) for shape in shapes])
    def run(u: tf.Tensor, means: tf.Tensor, precision: tf.Tensor) -> samplers.Moved:
        def score(u: tf.Tensor) -> tf.Tensor:
            return mixture_score(u, means, precision)

        return samplers.svgd(u, score, num_steps, STEP_SIZE, bandwidth=sigma, density_change=kind)

    return run


def _parameters(target: Mixture) -> tuple[np.ndarray, np.ndarray]:
    precision = np.linalg.inv(target.covariance)
    return target.means.astype(np.float32), precision.astype(np.float32)


def _drift(seeds: Sequence[int], target: Mixture, num_steps: int) -> Iterator[Evaluation]:
    """The estimate as the steps go on; the third has the term of the sum that the printed one leaves out."""
    start = start_particles(seeds, NUM_PARTICLES)
    size = start.shape[-1]
    for kind in ("printed", "logdet"):
        run = _svgd_graph(num_steps, SIGMA, kind, NUM_PARTICLES)
        u, change, steps = tf.constant(start), np.zeros(len(start)), 0
        for multiple in range(1, max(DRIFT) + 1):
            moved = run(u, *_parameters(target))
            u, steps = moved.particles, steps + num_steps
            change = change + _mean(moved.log_density_change)
            if multiple not in DRIFT:
                continue
            changes = {kind: change}
            if kind == "printed":
                changes[OWN_TERM] = change - steps * STEP_SIZE * size / (SIGMA**2 * NUM_PARTICLES)
            yield from _lines("drift", "SVGD", target, SIGMA, steps, start, Moved(u.numpy(), changes))


def _joint(start: np.ndarray, target: Mixture, num_steps: int) -> np.ndarray:
    """The change of the exact density of all particles together, a share a particle, `[S]`."""

    def step(u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        score, hessian = samplers.particle_jacobian(target.score, u)
        jacobian = samplers.svgd_joint_jacobian(u, score, hessian, STEP_SIZE, bandwidth=SIGMA)
        moved = samplers.svgd_step(u, score, STEP_SIZE, bandwidth=SIGMA)
        return moved.particles, -tf.linalg.slogdet(jacobian).log_abs_determinant

    run = tf.function(step, autograph=False)
    # In double precision, as determinants of hundreds of rows are.
    u, total = tf.constant(start, tf.float64), np.zeros(len(start))
    for _ in range(num_steps):
        u, change = run(u)
        total += change.numpy() / start.shape[1]
    return total


def _alone(
    start: np.ndarray, target: Mixture, num_steps: int, seed: int, move: Callable[..., tf.Tensor]
) -> Moved:
    """Moves particles one by one; the "density" is that of each step's map, whatever it drew held fixed."""

    def step(u: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, ...]:
        after, jacobian = samplers.particle_jacobian(lambda u: move(u, target.score, draw), u)
        log_det = tf.linalg.slogdet(jacobian).log_abs_determinant
        return after, tf.reduce_mean(2.0 - tf.linalg.trace(jacobian), -1), tf.reduce_mean(-log_det, -1)

    run = tf.function(step, autograph=False)
    u, trace, logdet = tf.constant(start), np.zeros(len(start)), np.zeros(len(start))
    for index in range(num_steps):
        u, *changes = run(u, tf.constant([1 + seed, index], tf.int32))
        trace, logdet = trace + changes[0].numpy(), logdet + changes[1].numpy()
    return Moved(u.numpy(), {"trace": trace, "logdet": logdet})


def _sgld(u: tf.Tensor, score: Callable, draw: tf.Tensor) -> tf.Tensor:
    return samplers.langevin(u, score, 1, STEP_SIZE, seed=draw).particles


def _dld(u: tf.Tensor, score: Callable, draw: tf.Tensor) -> tf.Tensor:
    del draw
    return samplers.langevin(u, score, 1, STEP_SIZE, noise=False).particles


def _hmc(u: tf.Tensor, score: Callable, draw: tf.Tensor) -> tf.Tensor:
    """The paper's Eq. 14: one leapfrog step a draw of velocities, and no test."""
    return samplers.leapfrog(u, tf.random.stateless_normal(tf.shape(u), draw), score, 1, STEP_SIZE)[0]


_MOVES: dict[str, Callable[[np.ndarray, Mixture, int, int], Moved]] = {
    "SVGD": _svgd,
    "SGLD": functools.partial(_alone, move=_sgld),
    "DLD": functools.partial(_alone, move=_dld),
    "HMC": functools.partial(_alone, move=_hmc),
}


def _mean(change: tf.Tensor) -> np.ndarray:
    return change.numpy().astype(np.float64).mean(axis=-1)
