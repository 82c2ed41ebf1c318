"""Stein variational gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.samplers.kernels import (
    check_bandwidth,
    kernel_bandwidth,
    kernel_of_distances,
    squared_distances,
)
from expol_tf.samplers.moved import Moved, repeat_steps
from expol_tf.shapes import require_shapes

DENSITY_CHANGES = ("trace", "logdet")

# Particles [..., M, A] -> ∇ℓ [..., M, A].
Score = Callable[[tf.Tensor], tf.Tensor]


@configurable
def svgd_direction(
    particles: tf.Tensor,
    score: tf.Tensor,
    temperature: float | tf.Tensor = 1.0,
    moved: tf.Tensor | None = None,
    bandwidth: str | float = "median",
    floor: float = 1e-3,
) -> tf.Tensor:
    """Δ(y_j) = (1/M) Σ_i [ κ(x_i, y_j) ∇ℓ(x_i) + α ∇_{x_i} κ(x_i, y_j) ].

    Among the functions of norm 1 in the kernel's space, Δ is the direction along which particles at x
    approach the density ∝ exp(ℓ/α) fastest. The first term draws each particle to where ℓ is high around it.
    The second, with ∇_{x_i}κ = (2/h)(y_j − x_i)·κ, pushes it away from its neighbours. A single particle
    feels no push and climbs ℓ.

    ```python
    for _ in range(200):
        particles += 0.1 * svgd_direction(particles, score(particles))
    ```

    References: Liu & Wang 2016, *Stein Variational Gradient Descent*, Eq. 8; Haarnoja et al. 2017,
    *Reinforcement Learning with Deep Energy-Based Policies*, Eq. 13, which has α before the second term.

    Args:
      particles: x `[..., M, A]`, the particles whose scores are known.
      score: ∇ℓ(x) `[..., M, A]`.
      temperature: α, a scalar, in units of ℓ.
      moved: y `[..., K, A]`, where the direction is wanted; None takes the particles themselves.
      bandwidth: "median", "mean" or a standard deviation σ, see `kernel_bandwidth`.
      floor: Lowest h of the kernel, in units of x².

    Returns:
      Δ(y) `[..., K, A]`, with gradients to particles and scores, but none through h.
    """
    require_shapes(
        ("particles", particles, "... M A"),
        ("score", score, "... M A"),
        ("temperature", temperature, "", "any"),
        ("moved", moved, "... K A | None"),
    )
    _require_temperature(temperature)
    x = tf.convert_to_tensor(particles)
    y = x if moved is None else tf.convert_to_tensor(moved)
    alpha = as_scalar(temperature, x.dtype)
    distances = squared_distances(x, y)
    width = kernel_bandwidth(distances, bandwidth, one_set=moved is None, floor=floor)
    kernel = kernel_of_distances(distances, width)
    # Σ_i κ_ij (y_j − x_i) is computed as y_j·Σ_i κ_ij − Σ_i κ_ij x_i, because the differences would take
    # M·K·A numbers. The sums cancel if the particles are far from the origin, so the origin moves amid them.
    origin = tf.stop_gradient(tf.reduce_mean(x, axis=-2, keepdims=True))
    push = 2.0 * alpha / width[..., tf.newaxis, tf.newaxis]
    # The scores and the second sum share one product.
    drawn = tf.matmul(kernel, score - push * (x - origin), transpose_a=True)
    total = tf.reduce_sum(kernel, axis=-2)[..., tf.newaxis]
    return (drawn + push * total * (y - origin)) / x.shape[-2]


@configurable
def svgd(
    particles: tf.Tensor,
    score_fn: Score,
    num_steps: int,
    step_size: float | tf.Tensor,
    *,
    temperature: float | tf.Tensor = 1.0,
    bandwidth: str | float = "mean",
    floor: float = 2e-3,
    density_change: str | None = None,
    leave_one_out: bool = False,
) -> Moved:
    """L times u_i ← u_i + ε·Δ(u_i), Δ from `svgd_direction`, and the change of the particles' log-density.

    If the particles were drawn from q⁰, then log q^L(u_i^L) ≈ log q⁰(u_i⁰) + change. The change is that of a
    *mean field*: a particle's map is taken with its neighbours frozen, J_i = ∂(u_i + ε·Δ(u_i))/∂u_i summed
    over j ≠ i. So it agrees with the joint density of all particles only as M → ∞. The change per step is

    * "trace": −ε·tr(∇Δ) = −(ε/M) Σ_{j≠i} k_ij [ −(u_i−u_j)ᵀ∇ℓ(u_j)/σ² + α(A/σ² − ‖u_i−u_j‖²/σ⁴) ], with an
      error of order ε² a step;
    * "logdet": −log|det J_i|, exact for each particle (not where XLA compiles for the CPU).

    The map has an inverse as long as ε is small against σ. Where det J_i ≤ 0, particles have folded over each
    other, and the computed density is no longer theirs.

    ```python
    target = tfd.MultivariateNormalTriL(loc, tril)
    start = tfd.MultivariateNormalDiag(tf.zeros(2), tf.fill([2], 2.5))
    u, log_q = start.experimental_sample_and_log_prob(200, seed=seed)
    score = lambda u: tfp.math.value_and_gradient(target.log_prob, u)[1]
    moved = svgd(u, score, num_steps=200, step_size=0.5, bandwidth=5.0, density_change="trace")
    entropy = -tf.reduce_mean(log_q + moved.log_density_change)
    ```

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    Theorems 3.1 and 3.3 ("logdet" is this library's). See `docs/errata.md` on the formulas as printed.

    Args:
      particles: u⁰ `[..., M, A]`, sets of M particles.
      score_fn: Maps particles `[..., M, A]` to their scores ∇ℓ, in the same shape; the target is ∝ exp(ℓ/α).
      num_steps: L, the number of steps, 0 or more.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature: α, a scalar, in units of ℓ.
      bandwidth: "median", "mean" or a standard deviation σ, see `kernel_bandwidth`.
      floor: Lowest h = 2σ² of the kernel, in units of u².
      density_change: "trace", "logdet", or None to leave out the change.
      leave_one_out: Whether the change divides by M − 1, the number of its terms, instead of by M.

    Returns:
      The particles u^L and the change `[..., M]` or None, with gradients to u⁰ and through the scores.
    """
    require_shapes(
        ("particles", particles, "... M A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
    )
    require_scales(step_size, temperature)
    check_bandwidth(bandwidth, floor)
    if density_change is not None and density_change not in DENSITY_CHANGES:
        raise ConfigurationError(
            f"density_change must be one of {DENSITY_CHANGES} or None; got {density_change!r}."
        )

    def step(index: tf.Tensor, u: tf.Tensor) -> Moved:
        """Returns u after one step, with the scores at u; all steps are alike, whatever their index."""
        del index
        return svgd_step(
            u,
            score_of(score_fn, u),
            step_size,
            temperature=temperature,
            bandwidth=bandwidth,
            floor=floor,
            density_change=density_change,
            leave_one_out=leave_one_out,
        )

    return repeat_steps(step, particles, num_steps, with_change=density_change is not None)


def svgd_step(
    particles: tf.Tensor,
    score: tf.Tensor,
    step_size: float | tf.Tensor,
    *,
    temperature: float | tf.Tensor = 1.0,
    bandwidth: str | float = "mean",
    floor: float = 2e-3,
    density_change: str | None = None,
    leave_one_out: bool = False,
) -> Moved:
    """u_i + ε·Δ(u_i), one step of `svgd`, and the change of the log-density.

    The arguments are those of `svgd`, with the scores at u in place of their function.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      score: ∇ℓ(u) `[..., M, A]`.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature: α, a scalar, in units of ℓ.
      bandwidth, floor, density_change, leave_one_out: As `svgd` takes them.
    """
    require_shapes(
        ("particles", particles, "... M A"),
        ("score", score, "... M A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
    )
    require_scales(step_size, temperature)
    u = tf.convert_to_tensor(particles)
    num_particles, size = u.shape[-2:]
    alpha, epsilon = as_scalar(temperature, u.dtype), as_scalar(step_size, u.dtype)
    distances = squared_distances(u, u)
    width = kernel_bandwidth(distances, bandwidth, floor=floor)[..., tf.newaxis, tf.newaxis]
    kernel = tf.exp(-distances / width)
    # Everything below depends on differences u_i − u_j only. It is written as differences of sums over j,
    # because the u_i − u_j themselves would take M²·A numbers. The sums cancel if the particles are far from
    # the origin, so the origin moves amid them.
    x = u - tf.stop_gradient(tf.reduce_mean(u, axis=-2, keepdims=True))
    # One product gives Σ_j k_ij times the scores, the positions, 1 and, for the trace, xᵀ∇ℓ. k is symmetric.
    summands = [score, x, tf.ones_like(x[..., :1])]
    if density_change == "trace":
        summands.append(tf.reduce_sum(x * score, axis=-1, keepdims=True))
    sums = tf.matmul(kernel, tf.concat(summands, axis=-1))
    scores, positions = sums[..., :size], sums[..., size : 2 * size]
    total = sums[..., 2 * size : 2 * size + 1]
    push = 2.0 * alpha / width
    # By M, whatever `leave_one_out` says: that is a choice for the density alone.
    moved = u + epsilon / num_particles * (scores + push * (total * x - positions))
    if density_change is None:
        return Moved(moved, None)
    # A single particle has no term j ≠ i: its change is 0, and with a count of 0 it would be 0/0.
    count = max(num_particles - 1, 1) if leave_one_out else num_particles
    if density_change == "trace":
        # Σ_j k_ij (u_i − u_j)ᵀ∇ℓ_j, and Σ_{j≠i} k_ij (A − 2‖u_i − u_j‖²/h): the term j = i has k = 1, so 1 is
        # taken off the total, and distance 0.
        drift = tf.reduce_sum(x * scores, axis=-1) - sums[..., -1]
        spread = tf.reduce_sum(kernel * distances, axis=-1)
        repulsion = size * (total[..., 0] - 1.0) - 2.0 / width[..., 0] * spread
        change = -2.0 * epsilon / count / width[..., 0] * (alpha * repulsion - drift)
    else:
        jacobian = svgd_jacobian(u, score, epsilon, alpha, width[..., 0, 0], count)
        # The absolute value: det J is negative where particles have folded over each other, and
        # log det is then NaN.
        change = -tf.linalg.slogdet(jacobian).log_abs_determinant
    return Moved(moved, change)


def svgd_jacobian(
    particles: tf.Tensor,
    score: tf.Tensor,
    step_size: tf.Tensor,
    temperature: tf.Tensor,
    width: tf.Tensor,
    count: int | None = None,
) -> tf.Tensor:
    """J_i `[..., M, A, A]`, the derivative of each particle's step with its neighbours frozen.

    J_i = I + (ε/M) Σ_{j≠i} k_ij [ −∇ℓ_j (u_i−u_j)ᵀ/σ² + α( I/σ² − (u_i−u_j)(u_i−u_j)ᵀ/σ⁴ ) ], with h = 2σ².

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      score: ∇ℓ(u) `[..., M, A]`.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature: α, a scalar, in units of ℓ.
      width: h > 0 `[...]`, the kernel's bandwidth for each set, see `kernel_bandwidth`.
      count: Number by which the sum is divided; None takes M.
    """
    require_shapes(
        ("particles", particles, "... M A"),
        ("score", score, "... M A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
        ("width", width, "..."),
    )
    require_scales(step_size, temperature)
    u = tf.convert_to_tensor(particles)
    num_particles, size = u.shape[-2:]
    scale = as_scalar(step_size, u.dtype) / (count or num_particles)
    alpha = as_scalar(temperature, u.dtype)
    # J_i needs outer products of the differences, so here they are formed. Nothing cancels then.
    difference = u[..., :, tf.newaxis, :] - u[..., tf.newaxis, :, :]  # [..., M, M, A]
    width = tf.convert_to_tensor(width, u.dtype)[..., tf.newaxis, tf.newaxis]
    kernel = tf.exp(-tf.reduce_sum(tf.square(difference), axis=-1) / width)
    # The sum is over j ≠ i, and a particle's kernel with itself is 1.
    kernel = tf.linalg.set_diag(kernel, tf.zeros_like(kernel[..., 0]))
    slope = 2.0 / width[..., tf.newaxis]
    # Drift and repulsion both have (u_i − u_j)ᵀ as their right factor, so one product sums both over j.
    left = -slope * (score[..., tf.newaxis, :, :] + alpha * slope * difference) * kernel[..., tf.newaxis]
    outer = tf.matmul(left, difference, transpose_a=True)
    total = tf.reduce_sum(kernel, axis=-1)[..., tf.newaxis, tf.newaxis]
    diagonal = 1.0 + scale * alpha * slope * total
    return diagonal * tf.eye(size, dtype=u.dtype) + scale * outer


def require_scales(step_size: float | tf.Tensor, temperature: float | tf.Tensor) -> None:
    """Raises a `ConfigurationError` unless step size and temperature, where they are numbers, are in range.

    Args:
      step_size: ε > 0, a scalar.
      temperature: α ≥ 0, a scalar.
    """
    require_number("step_size", step_size, "positive", "Take num_steps=0 to leave the particles in place.")
    _require_temperature(temperature)


def _require_temperature(temperature: float | tf.Tensor) -> None:
    require_number("temperature", temperature, "0 or more", "With 1 the target is exp(ℓ) itself.")


def score_of(score_fn: Score, particles: tf.Tensor) -> tf.Tensor:
    """∇ℓ `[..., M, A]` of particles u `[..., M, A]`.

    Args:
      score_fn: Maps particles to their scores.
      particles: u `[..., M, A]`, sets of M particles.
    """
    score = score_fn(particles)
    # One score for all particles, or one component for all, would broadcast.
    require_shapes(("particles", particles, "... M A"), ("score_fn(particles)", score, "... M A"))
    return score


def as_scalar(value: float | tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The value in a dtype; a Python number is not rounded to single precision on the way.

    Args:
      value: Number, or a scalar of any dtype.
      dtype: Floating-point type of the result.
    """
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)
