"""What makes the particles of a Stein policy act on each other in many dimensions, and what it costs.

With ten particles and the paper's kernel, a neighbour at the mean distance weighs 0.008, so that in six
dimensions and more nearly all of a particle's motion is its own. Wider kernels, more particles and longer
steps change that. A row has the share of neighbours in a particle's motion, beside what "joint_trace" reports
and what is true.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from expol_tf.distributions import SteinSampler
from expol_tf.papers.entropy.calibration import (
    Calibration,
    Target,
    calibrate,
    known_targets,
    policy_of,
    trained_critic,
)
from expol_tf.samplers import kernel_bandwidth, squared_distances

# A, L, and the deviation of the start, which is that of S²AC(φ, θ) when it begins.
SIZE, NUM_STEPS, START_STD = 6, 3, 0.61
TEMPERATURES = (0.04, 1.0)
VARIANTS = {
    "10 particles, mean": SteinSampler(10, NUM_STEPS),
    # A neighbour at the median distance weighs 1/(M + 1).
    "10 particles, median": SteinSampler(10, NUM_STEPS, bandwidth="median"),
    "32 particles, mean": SteinSampler(32, NUM_STEPS),
    "32 particles, median": SteinSampler(32, NUM_STEPS, bandwidth="median"),
    "10 particles, median, ε/α": SteinSampler(10, NUM_STEPS, bandwidth="median", step="per_temperature"),
}
# Sets of particles whose motion is looked at.
_SETS = 200


class Interaction(NamedTuple):
    """A row of the table.

    Attributes:
      variant: Which of `VARIANTS`.
      calibration: What it reports as its entropy, and what is true.
      displacement: Mean ‖u^L − u⁰‖ over the particles' deviation at the end and √A.
      neighbours: Mean of Σ_{j≠i} k_ij at the end, where a particle itself has k_ii = 1.
    """

    variant: str
    calibration: Calibration
    displacement: float
    neighbours: float


def interact_all(seed: int, critic_steps: int) -> Iterator[Interaction]:
    """Yields the rows of every target, temperature and variant.

    Args:
      seed: Of everything drawn.
      critic_steps: Environment steps for which the critic is trained.
    """
    targets = [*known_targets(), trained_critic(SIZE, critic_steps, seed)]
    for target, alpha, variant in itertools.product(targets, TEMPERATURES, VARIANTS):
        yield interact(target, alpha, variant, seed)


def num_interactions() -> int:
    """Returns how many rows `interact_all` yields."""
    return (len(known_targets()) + 1) * len(TEMPERATURES) * len(VARIANTS)


def interact(target: Target, alpha: float, variant: str, seed: int) -> Interaction:
    """Returns a row of the table.

    Args:
      target: What particles move toward.
      alpha: α.
      variant: Which of `VARIANTS`.
      seed: Of the particles' starts.
    """
    sampler = VARIANTS[variant]
    policy = policy_of(SIZE, START_STD, target, alpha, sampler)
    num_particles = sampler.num_particles
    u, _, statistics = policy.sample_with_statistics(
        _SETS * num_particles, seed=tf.constant([2, seed], tf.int32)
    )
    sets = tf.reshape(tf.transpose(u, [1, 0, 2]), [-1, num_particles, SIZE])
    distances = squared_distances(sets)
    width = kernel_bandwidth(distances, sampler.bandwidth, floor=sampler.floor)
    kernel = tf.exp(-distances / width[:, tf.newaxis, tf.newaxis])
    displacement = statistics["displacement"] / (SIZE**0.5 * statistics["particle_spread"])
    return Interaction(
        variant,
        calibrate(SIZE, START_STD, target, alpha, sampler, seed),
        float(tf.reduce_mean(displacement)),
        float(tf.reduce_mean(tf.reduce_sum(kernel, axis=-1) - 1.0)),
    )
