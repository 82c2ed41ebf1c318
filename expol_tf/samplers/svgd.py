"""Stein variational gradient descent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count, Fraction, NonNegative, Positive, WholeNumber
from expol_tf.random import Seed, as_seed
from expol_tf.samplers.joint_density import (
    Curvature,
    Interaction,
    Outer,
    Score,
    added_by,
    as_scalar,
    directions_of_step,
    frozen_blocks,
    frozen_trace,
    interaction,
    joint_jacobian,
    joint_logdet,
    joint_trace,
    of_width,
    require_sets,
    score_and_curvature,
    score_of,
    set_direction,
)
from expol_tf.samplers.kernels import (
    bandwidth_gradient,
    check_bandwidth,
    kernel_bandwidth,
    kernel_of_distances,
    squared_distances,
)
from expol_tf.samplers.moved import Moved, repeat_steps
from expol_tf.samplers.step_limit import of_factor, step_factor
from expol_tf.shapes import require_shapes

# Densities of all particles of a set together, and of one in a mean field of the others.
JOINT_CHANGES = ("joint_trace", "joint_logdet")
DENSITY_CHANGES = (*JOINT_CHANGES, "printed", "logdet")

STEP_LIMIT_REMEDY = "The usual value is 0.75; None takes every step as it is."


@configurable
def svgd_direction(
    particles: tf.Tensor,
    score: tf.Tensor,
    temperature: NonNegative | tf.Tensor = 1.0,
    moved: tf.Tensor | None = None,
    bandwidth: str | Positive = "median",
    floor: Positive = 1e-3,
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
      floor: Lowest h of the kernel that a rule gives, in units of x².

    Returns:
      Δ(y) `[..., K, A]`, with gradients to particles and scores, but none through h.
    """
    require_sets(particles)
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
    distances = squared_distances(x, None if moved is None else y)
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
    num_steps: WholeNumber,
    step_size: Positive | tf.Tensor,
    *,
    temperature: NonNegative | tf.Tensor = 1.0,
    bandwidth: str | Positive = "mean",
    floor: Positive = 2e-3,
    step_limit: Fraction | None = None,
    density_change: str | None = None,
    num_probes: Count | None = None,
    seed: Seed | None = None,
) -> Moved:
    """L times u_i ← u_i + ε·Δ(u_i), Δ from `svgd_direction`, and the change of the particles' log-density.

    If the particles were drawn from q⁰, log q⁰(u_i⁰) + change_i is their log-density in one of these senses:

    * "joint_trace" and "joint_logdet": the density of the *set*. The map F of all M·A numbers changes its
      logarithm by −log|det ∂F|, which is divided among the particles, and −mean_i log q = H(u_1 … u_M)/M.
      This is never more than H(u_1), the entropy of one particle: a **lower bound**. It is tight where
      particles are nearly independent, and loose where they repel each other, as many particles in few
      dimensions do. "joint_logdet" has the determinant of the M·A × M·A matrix (not where XLA compiles for
      the CPU), and "joint_trace" its second order, −ε·tr J + ½ε²·tr J² for J = ∂Δ over all particles. That is
      enough for short steps only: where a step contracts a direction by the factor 1 − x, the entropy is by
      x³/3 + x⁴/4 + … too high, 0.01 nats for x = 0.3 and 0.36 for 0.75.
    * "printed" and "logdet": the density of *one* particle in a mean field of the others. Its J_i = ∂Δ_i/∂u_i
      runs over j ≠ i, with the neighbours frozen. "printed" is the paper's −ε·tr J_i, and "logdet" is
      −log|det(I + εJ_i)|. Both leave out that a particle moves itself too, by (ε/M)·∇²ℓ(u_i), which vanishes
      only as M → ∞. With ten particles in six dimensions this is nearly all of their motion, and the reported
      entropy is *above* the truth. They are there for comparison with the paper.

    The joint changes need scores that are differentiable everywhere. The scores of a network of ReLUs jump,
    and their derivative does not know it: at A = 2 a critic's bound was 0.6 nats above the truth.

    Steps fold particles over each other if ε is not small against σ, or ε/M against the inverse of ∇²ℓ. Then
    none of these is their density, and the joint ones are no bound. `step_limit` r multiplies ε by one factor
    for each set, min(1, r/b), where b is how strongly the step contracts the set: the largest ε‖J_i‖ + εη/M
    or εη·mean_j k_ij of a particle, with η the scores' deviation over the particles', a mean over components.
    So a set whose ℓ is bent far more in
    one place or direction than in others can fold all the same, and a single particle is never limited. The
    factor follows from the particles, and the joint changes include its derivative. Gradients take it as a
    constant.

    ```python
    target = tfd.MultivariateNormalTriL(loc, tril)
    start = tfd.MultivariateNormalDiag(tf.zeros(2), tf.fill([2], 2.5))
    u, log_q = start.experimental_sample_and_log_prob(200, seed=seed)
    score = lambda u: tfp.math.value_and_gradient(target.log_prob, u)[1]
    moved = svgd(u, score, num_steps=20, step_size=0.5, bandwidth=5.0, density_change="joint_trace")
    least_entropy = -tf.reduce_mean(log_q + moved.log_density_change)
    ```

    References: Liu & Wang 2016, *Stein Variational Gradient Descent*; Messaoud et al. 2024, *S²AC:
    Energy-Based Reinforcement Learning with Stein Soft Actor Critic*, Theorems 3.1 and 3.3 ("printed"; the
    others are this library's). See `docs/errata.md` on the formulas as printed.

    Args:
      particles: u⁰ `[..., M, A]`, sets of M particles.
      score_fn: Maps particles `[..., M, A]` to their scores ∇ℓ, in the same shape; the target is ∝ exp(ℓ/α).
      num_steps: L, the number of steps, 0 or more.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature: α, a scalar, in units of ℓ.
      bandwidth: "median", "mean" or a standard deviation σ, see `kernel_bandwidth`.
      floor: Lowest h = 2σ² of the kernel that a rule gives, in units of u².
      step_limit: r, between 0 and 1; None takes every step as it is.
      density_change: "joint_trace", "joint_logdet", "printed", "logdet", or None to leave out the change.
      num_probes: Number of random directions in which "joint_trace" takes ∇²ℓ, drawn anew every step: an
        unbiased trace by that many products in place of A. None takes the A unit vectors, which is exact.
      seed: Seed of the random directions, an integer or int32 `[2]`.

    Returns:
      The particles u^L and the change `[..., M]` or None, with gradients to u⁰ and through the scores.
    """
    require_sets(particles)
    require_shapes(("step_size", step_size, "", "any"), ("temperature", temperature, "", "any"))
    require_scales(step_size, temperature)
    check_bandwidth(bandwidth, floor)
    check_density_change(density_change)
    check_num_probes(num_probes, density_change)
    if (num_probes is None) != (seed is None):
        raise ConfigurationError(
            "seed must be given with num_probes, for whose directions it is, and only then; got seed "
            f"{seed!r} with num_probes {num_probes!r}. Without both the trace is exact."
        )
    probe_seed = None if num_probes is None else as_seed(seed)

    def step(index: tf.Tensor, u: tf.Tensor) -> Moved:
        """Returns u after one step, with the scores at u; steps differ in their random directions only."""
        if density_change in JOINT_CHANGES:
            directions = directions_of_step(u, num_probes, probe_seed, index)
            score, curvature = score_and_curvature(score_fn, u, directions)
        else:
            score, curvature = score_of(score_fn, u), None
        after = svgd_step(
            u,
            score,
            step_size,
            temperature=temperature,
            bandwidth=bandwidth,
            floor=floor,
            step_limit=step_limit,
            density_change=density_change,
            curvature=curvature,
        )
        return Moved(after.particles, after.log_density_change)

    return repeat_steps(step, particles, num_steps, with_change=density_change is not None)


class SvgdStep(NamedTuple):
    """Particles after one step of `svgd`.

    Attributes:
      particles: The moved particles `[..., M, A]`.
      log_density_change: log q(after) − log q(before) `[..., M]`, in nats; None where it was not asked for.
      factor: What ε was multiplied by `[...]`, 1 where the step is within the limit.
    """

    particles: tf.Tensor
    log_density_change: tf.Tensor | None
    factor: tf.Tensor


def svgd_step(
    particles: tf.Tensor,
    score: tf.Tensor,
    step_size: float | tf.Tensor,
    *,
    temperature: float | tf.Tensor = 1.0,
    bandwidth: str | float = "mean",
    floor: float = 2e-3,
    step_limit: float | None = None,
    density_change: str | None = None,
    curvature: Curvature | None = None,
    curvature_gradient: bool = True,
) -> SvgdStep:
    """u_i + ε·Δ(u_i), one step of `svgd`, and the change of the log-density.

    The arguments are those of `svgd`, with the scores at u in place of their function.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      score: ∇ℓ(u) `[..., M, A]`.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature: α, a scalar, in units of ℓ.
      bandwidth, floor, step_limit, density_change: As `svgd` takes them.
      curvature: ∇²ℓ along directions, from `score_and_curvature`; the joint changes need it, "joint_logdet"
        along the A unit vectors.
      curvature_gradient: Whether gradients of the joint changes flow through ∇²ℓ. If they do not, nor do
        those of the second order of "joint_trace".
    """
    require_sets(particles)
    require_shapes(
        ("particles", particles, "... M A"),
        ("score", score, "... M A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
    )
    require_scales(step_size, temperature)
    check_density_change(density_change)
    if step_limit is not None:
        require_number("step_limit", step_limit, "between 0 and 1", STEP_LIMIT_REMEDY)
    u, score = tf.convert_to_tensor(particles), tf.convert_to_tensor(score)
    _require_curvature(curvature, density_change, u)
    parts = interaction(u, score, temperature, bandwidth, floor)
    epsilon = as_scalar(step_size, u.dtype) / u.shape[-2]
    factor = tf.ones_like(u[..., 0, 0])
    if step_limit is not None:
        factor = step_factor(parts, epsilon, step_limit)
    scale = epsilon * factor[..., tf.newaxis, tf.newaxis]
    moved = u + scale * set_direction(parts)
    if density_change is None:
        return SvgdStep(moved, None, factor)
    change = svgd_density_change(
        u,
        score,
        step_size,
        density_change,
        factor=None if step_limit is None else factor,
        temperature=temperature,
        bandwidth=bandwidth,
        floor=floor,
        curvature=curvature,
        curvature_gradient=curvature_gradient,
    )
    return SvgdStep(moved, change, factor)


def svgd_density_change(
    particles: tf.Tensor,
    score: tf.Tensor,
    step_size: float | tf.Tensor,
    density_change: str,
    *,
    factor: tf.Tensor | None = None,
    temperature: float | tf.Tensor = 1.0,
    bandwidth: str | float = "mean",
    floor: float = 2e-3,
    curvature: Curvature | None = None,
    curvature_gradient: bool = True,
) -> tf.Tensor:
    """The change of the log-density `[..., M]`, in nats, by a step of `svgd` from particles u.

    No step depends on the density. So the changes of several steps can be computed at once, with the steps as
    a leading dimension.

    Args:
      particles: u `[..., M, A]`, sets of M particles before the step.
      score: ∇ℓ(u) `[..., M, A]`.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      density_change: One of `DENSITY_CHANGES`.
      factor: What each set's ε was multiplied by `[...]`; None where no step was limited.
      temperature, bandwidth, floor: As `svgd` takes them.
      curvature, curvature_gradient: As `svgd_step` takes them.
    """
    require_sets(particles)
    require_shapes(
        ("particles", particles, "... M A"),
        ("score", score, "... M A"),
        ("step_size", step_size, "", "any"),
        ("factor", factor, "... | None"),
        ("temperature", temperature, "", "any"),
    )
    require_scales(step_size, temperature)
    check_density_change(density_change, optional=False)
    u, score = tf.convert_to_tensor(particles), tf.convert_to_tensor(score)
    _require_curvature(curvature, density_change, u)
    parts = interaction(u, score, temperature, bandwidth, floor)
    scale = _scale(u, step_size, factor)
    if density_change == "printed":
        return -scale * frozen_trace(parts)
    if density_change == "logdet":
        # The absolute value: det J is negative where particles have folded over each other, and
        # log det is then NaN.
        return -tf.linalg.slogdet(_frozen_jacobian(parts, scale)).log_abs_determinant
    assert curvature is not None, "required above"
    gradient = bandwidth_gradient(u, bandwidth, floor)
    outer = None if gradient is None else of_width(parts, gradient, curvature)

    def by_factor() -> Outer:
        """The outer product of the step's factor."""
        constants = tf.stop_gradient(u), tf.stop_gradient(score), factor
        return of_factor(*constants, curvature, temperature, bandwidth, floor)

    if density_change == "joint_logdet":
        products = [] if outer is None else [outer]
        products += [] if factor is None else [by_factor()]
        hessian = curvature.hessian()
        hessian = hessian if curvature_gradient else tf.stop_gradient(hessian)
        return -joint_logdet(parts, hessian, scale, products)
    change = joint_trace(parts, curvature, scale, outer, curvature_gradient)
    if factor is not None:
        # In most batches no set is limited, and then nothing is computed.
        added = tf.cond(
            tf.reduce_any(factor < 1),
            lambda: added_by(by_factor(), parts, curvature, scale, outer),
            lambda: tf.zeros_like(u[..., 0]),
        )
        change += tf.stop_gradient(added)
    return -change


def svgd_jacobian(
    particles: tf.Tensor,
    score: tf.Tensor,
    step_size: tf.Tensor,
    temperature: tf.Tensor,
    width: tf.Tensor,
    factor: tf.Tensor | None = None,
) -> tf.Tensor:
    """J_i `[..., M, A, A]`, the derivative of each particle's step with its neighbours frozen.

    J_i = I + (ε/M) Σ_{j≠i} k_ij [ −∇ℓ_j (u_i−u_j)ᵀ/σ² + α( I/σ² − (u_i−u_j)(u_i−u_j)ᵀ/σ⁴ ) ], with h = 2σ².
    The particle's own (ε/M)·∇²ℓ(u_i) is not in it.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      score: ∇ℓ(u) `[..., M, A]`.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature: α, a scalar, in units of ℓ.
      width: h > 0 `[...]`, the kernel's bandwidth for each set, see `kernel_bandwidth`.
      factor: What each set's ε was multiplied by `[...]`; None where no step was limited.
    """
    require_sets(particles)
    require_shapes(
        ("particles", particles, "... M A"),
        ("score", score, "... M A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
        ("width", width, "..."),
        ("factor", factor, "... | None"),
    )
    require_scales(step_size, temperature)
    u = tf.convert_to_tensor(particles)
    width = tf.convert_to_tensor(width, u.dtype)[..., tf.newaxis, tf.newaxis]
    distances = squared_distances(u)
    kernel = tf.exp(-distances / width)
    alpha = as_scalar(temperature, u.dtype)
    parts = Interaction(u, tf.convert_to_tensor(score), distances, kernel, 2.0 / width, alpha)
    return _frozen_jacobian(parts, _scale(u, step_size, factor))


def svgd_joint_jacobian(
    particles: tf.Tensor,
    score: tf.Tensor,
    hessian: tf.Tensor,
    step_size: float | tf.Tensor,
    *,
    temperature: float | tf.Tensor = 1.0,
    bandwidth: str | float = "mean",
    floor: float = 2e-3,
) -> tf.Tensor:
    """∂F `[..., M·A, M·A]`, the derivative of a step of all particles of a set by all of them.

    Rows and columns are ordered by particle, then component. The derivative of the kernel's width is in it.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      score: ∇ℓ(u) `[..., M, A]`.
      hessian: ∇²ℓ(u) `[..., M, A, A]`.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature, bandwidth, floor: As `svgd` takes them.
    """
    require_sets(particles)
    require_shapes(
        ("particles", particles, "... M A"),
        ("score", score, "... M A"),
        ("hessian", hessian, "... M A A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
    )
    require_scales(step_size, temperature)
    u = tf.convert_to_tensor(particles)
    parts = interaction(u, tf.convert_to_tensor(score), temperature, bandwidth, floor)
    gradient = bandwidth_gradient(u, bandwidth, floor)
    # The determinant has no use for directions.
    outer = [] if gradient is None else [of_width(parts, gradient, Curvature(u[..., :0, :], u[..., :0, :]))]
    return joint_jacobian(
        parts, tf.convert_to_tensor(hessian), as_scalar(step_size, u.dtype) / u.shape[-2], outer
    )


def _scale(u: tf.Tensor, step_size: float | tf.Tensor, factor: tf.Tensor | None) -> tf.Tensor:
    """c = ε/M, `[..., 1]` where each set has a factor and a scalar where none has."""
    scale = as_scalar(step_size, u.dtype) / u.shape[-2]
    return scale if factor is None else scale * factor[..., tf.newaxis]


def _frozen_jacobian(parts: Interaction, scale: tf.Tensor) -> tf.Tensor:
    """I − c Σ_{j≠i} B_ij `[..., M, A, A]` for c `[..., 1]` or a scalar."""
    scale = scale if scale.shape.rank == 0 else scale[..., tf.newaxis, tf.newaxis]
    return tf.eye(parts.positions.shape[-1], dtype=scale.dtype) + scale * frozen_blocks(parts)


def check_density_change(density_change: str | None, owner: str = "", optional: bool = True) -> None:
    """Raises a `ConfigurationError` unless `svgd` knows the change of the density.

    Args:
      density_change: One of `DENSITY_CHANGES`, or None.
      owner: What the name of the argument begins with in a message, such as "SteinSampler.".
      optional: Whether it may be None.
    """
    if (density_change is None and optional) or density_change in DENSITY_CHANGES:
        return
    hint = ""
    if density_change == "trace":
        hint = (
            ' What was "trace" is now "printed", the paper\'s formula, whose entropies are too high. '
            '"joint_trace" is a lower bound where steps are short.'
        )
    raise ConfigurationError(
        f"{owner}density_change must be one of {DENSITY_CHANGES}{' or None' if optional else ''}; got "
        f"{density_change!r}.{hint}"
    )


def check_num_probes(num_probes: int | None, density_change: str | None, owner: str = "") -> None:
    """Raises a `ConfigurationError` unless random directions are None, or some for a density that has them.

    Args:
      num_probes: Number of random directions, or None.
      density_change: One of `DENSITY_CHANGES`, or None.
      owner: What the names of the arguments begin with in a message, such as "SteinSampler.".
    """
    if num_probes is None:
        return
    remedy = "None leaves their number to the library." if owner else "None takes the A unit vectors."
    require_number(f"{owner}num_probes", num_probes, "1 or more", remedy)
    if density_change != "joint_trace":
        raise ConfigurationError(
            f'{owner}num_probes are the directions of "joint_trace" alone; got {num_probes} with '
            f"density_change {density_change!r}. Leave it out."
        )


def _require_curvature(curvature: Curvature | None, density_change: str | None, u: tf.Tensor) -> None:
    if density_change not in JOINT_CHANGES:
        if curvature is not None:
            raise ConfigurationError(
                f"curvature is read by {JOINT_CHANGES} alone, and density_change is {density_change!r}; got "
                f"{type(curvature).__name__}. Leave it out."
            )
        return
    if curvature is None:
        raise ConfigurationError(
            f"curvature must be given with density_change {density_change!r}; got None. It is the second "
            "result of score_and_curvature."
        )
    require_shapes(
        ("particles", u, "... M A"),
        ("curvature.directions", curvature.directions, "... P A"),
        ("curvature.products", curvature.products, "... P M A"),
    )
    count, size = curvature.directions.shape[-2], u.shape[-1]
    if density_change == "joint_logdet" and count != size:
        raise ConfigurationError(
            f"curvature must be along the {size} unit vectors for density_change 'joint_logdet'; got {count} "
            "directions. Take unit_directions(particles)."
        )
    if density_change == "joint_logdet" and tf.executing_eagerly():
        # In a graph their values are not known; the message of an operation there would name no argument.
        squares = tf.matmul(curvature.directions, curvature.directions, transpose_a=True)
        if np.abs(squares - size * np.eye(size)).max() > 1e-3 * size:
            raise ConfigurationError(
                f"curvature must be along √A times the {size} unit vectors for density_change "
                "'joint_logdet', whose determinant others do not give; got others. Take "
                "unit_directions(particles)."
            )


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
