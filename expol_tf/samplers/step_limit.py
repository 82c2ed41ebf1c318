"""Steps of SVGD that would fold particles over each other, and the factor that shortens them."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.samplers.joint_density import (
    Curvature,
    Interaction,
    Outer,
    as_scalar,
    frozen_blocks,
    interaction,
    set_direction,
)


def step_bound(parts: Interaction) -> tf.Tensor:
    """b `[...]`, how strongly φ contracts a set: max over i of ‖Σ_{j≠i} B_ij‖_F + η and η·Σ_j k_ij.

    The first is about a particle beside its neighbours, the second about all of them together, which may
    overshoot a mode. η, the scores' deviation over the particles', stands for ‖∇²ℓ‖, whose norm would take
    derivatives of the scores. So ε/M·b < 1 keeps det(I − ε/M·Σ B_ij) of every particle positive, which is
    that of its step with its neighbours frozen and ∇²ℓ left out. It excludes neither that two particles pass
    each other, as they both move, nor that one is folded where ‖∇²ℓ‖ is far above η. The η of a single
    particle is 0.

    Args:
      parts: The particles and their kernel.
    """
    of_x, of_s = (
        tf.reduce_sum(tf.math.reduce_variance(each, axis=-2), axis=-1)
        for each in (parts.positions, parts.score)
    )
    curvature = _root(tf.math.divide_no_nan(of_s, of_x))
    squares = tf.reduce_sum(tf.square(frozen_blocks(parts)), axis=[-2, -1])
    alone = tf.reduce_max(_root(squares), axis=-1)
    together = tf.reduce_max(tf.reduce_sum(parts.kernel, axis=-1), axis=-1)
    return tf.maximum(alone + curvature, curvature * together)


def step_factor(parts: Interaction, epsilon: tf.Tensor, limit: float) -> tf.Tensor:
    """c `[...]` = min(1, r/(ε/M·b)), without a gradient: a guard, and no part of the policy.

    Args:
      parts: The particles and their kernel.
      epsilon: ε/M, a scalar.
      limit: r.
    """
    bound = tf.stop_gradient(epsilon * step_bound(parts))
    largest = as_scalar(limit, bound.dtype)
    return tf.where(bound > largest, largest / bound, tf.ones_like(bound))


def of_factor(
    particles: tf.Tensor,
    score: tf.Tensor,
    factor: tf.Tensor,
    curvature: Curvature,
    temperature: float | tf.Tensor,
    bandwidth: str | float,
    floor: float,
) -> Outer:
    """The outer product of the step's factor: p = φ and w = ∇log c = −∇log b where c < 1, else 0.

    b depends on the particles by their positions and by their scores s, so that
    w_i = −(∂log b/∂u_i + ∇²ℓ(u_i)·∂log b/∂s_i).

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      score: ∇ℓ(u) `[..., M, A]`.
      factor: c `[...]`.
      curvature: ∇²ℓ of the particles along directions.
      temperature, bandwidth, floor: As `svgd` takes them.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([particles, score])
        parts = interaction(particles, score, temperature, bandwidth, floor, through_width=True)
        total = tf.reduce_sum(tf.math.log(step_bound(parts)))
    by_position, by_score = tape.gradient(total, [particles, score])
    # H_i t_i is the mean of v(vᵀH_i t_i).
    through_score = tf.reduce_sum(curvature.products * by_score[..., tf.newaxis, :, :], axis=-1)
    along = tf.matmul(curvature.directions, by_position, transpose_b=True) + through_score
    count = curvature.directions.shape[-2]
    right = by_position + tf.einsum("...pm,...pa->...ma", through_score, curvature.directions) / count
    limited = (factor < 1)[..., tf.newaxis, tf.newaxis]
    # Chosen, not multiplied: of sets that are not limited, such as a single particle, b may be 0.
    right, along = (tf.where(limited, -each, tf.zeros_like(each)) for each in (right, along))
    return Outer(*map(tf.stop_gradient, (set_direction(parts), right, along)))


def _root(squares: tf.Tensor) -> tf.Tensor:
    """√x of x ≥ 0, whose derivative at 0 is 0 and not infinite."""
    positive = squares > 0
    return tf.where(
        positive, tf.sqrt(tf.where(positive, squares, tf.ones_like(squares))), tf.zeros_like(squares)
    )
