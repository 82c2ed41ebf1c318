"""The density of all particles of a set together, on their way along SVGD.

A step maps the M particles of a set to F(u) = u + (ε/M)·φ(u), all M·A numbers at once. The log-density of the
set changes by −log|det ∂F|. With k = exp(−‖d‖²/h), q = 2/h, d = u_i − u_j and H = ∇²ℓ the blocks of ∂φ are

    ∂φ_i/∂u_j = k_ij H_j + B_ij + Σ p_i w_jᵀ,           j ≠ i,
    ∂φ_i/∂u_i = H_i − Σ_{j≠i} B_ij + Σ p_i w_iᵀ,
    B_ij = k_ij [ q ∇ℓ_j dᵀ − αq·I + αq² d dᵀ ].

The kernel's width follows from the particles, which adds an outer product with p = ∂φ/∂h and w = ∂h/∂u. Where
the step is multiplied by a factor that follows from the particles, there is one with p = φ and with the
derivative of the factor's logarithm as w. The paper's formula has neither these products nor H_i, by which a
particle moves itself; see `docs/errata.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.random import seed_of_step
from expol_tf.samplers.kernels import differentiable_bandwidth, kernel_bandwidth, squared_distances
from expol_tf.shapes import require_shapes

# Particles [..., M, A] -> ∇ℓ [..., M, A].
Score = Callable[[tf.Tensor], tf.Tensor]


class Curvature(NamedTuple):
    """How the scores of particles change along some directions.

    Attributes:
      directions: v `[..., P, A]`, of which vvᵀ is the identity on average, the same for all particles of a
        set.
      products: ∇²ℓ(u_i)·v `[..., P, M, A]`.
    """

    directions: tf.Tensor
    products: tf.Tensor

    def hessian(self) -> tf.Tensor:
        """∇²ℓ(u_i) `[..., M, A, A]`, from directions that are exactly the identity on average."""
        count = self.directions.shape[-2]
        return tf.einsum("...pia,...pb->...iab", self.products, self.directions) / count


class Interaction(NamedTuple):
    """A set of particles and how they act on each other, which a step and its density share.

    Attributes:
      positions: u `[..., M, A]`, relative to a point amid them.
      score: ∇ℓ(u) `[..., M, A]`.
      distances: ‖u_i − u_j‖² `[..., M, M]`.
      kernel: k `[..., M, M]`.
      slope: q = 2/h `[..., 1, 1]`.
      temperature: α, a scalar.
    """

    positions: tf.Tensor
    score: tf.Tensor
    distances: tf.Tensor
    kernel: tf.Tensor
    slope: tf.Tensor
    temperature: tf.Tensor

    def neighbours(self) -> tf.Tensor:
        """k `[..., M, M]` with zeros for a particle and itself."""
        return tf.linalg.set_diag(self.kernel, tf.zeros_like(self.kernel[..., 0]))


class Outer(NamedTuple):
    """p wᵀ, which some quantity that all particles decide about adds to the derivative of their step.

    Attributes:
      left: p `[..., M, A]`, the derivative of φ by that quantity.
      right: w `[..., M, A]`, the derivative of that quantity by the particles.
      along: wᵀv `[..., P, M]` for the curvature's directions v.
    """

    left: tf.Tensor
    right: tf.Tensor
    along: tf.Tensor

    def trace(self) -> tf.Tensor:
        """p_iᵀw_i `[..., M]`."""
        return tf.reduce_sum(self.left * self.right, axis=-1)


def interaction(
    particles: tf.Tensor,
    score: tf.Tensor,
    temperature: float | tf.Tensor = 1.0,
    bandwidth: str | float = "mean",
    floor: float = 2e-3,
    through_width: bool = False,
) -> Interaction:
    """How the particles of a set act on each other.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      score: ∇ℓ(u) `[..., M, A]`.
      temperature: α, a scalar, in units of ℓ.
      bandwidth: "median", "mean" or a standard deviation σ, see `kernel_bandwidth`.
      floor: Lowest h of the kernel that a rule gives.
      through_width: Whether gradients flow through the kernel's width.
    """
    u = tf.convert_to_tensor(particles)
    distances = squared_distances(u)
    rule = differentiable_bandwidth if through_width else kernel_bandwidth
    width = rule(distances, bandwidth, floor=floor)[..., tf.newaxis, tf.newaxis]
    # Everything depends on differences u_i − u_j only. It is written as differences of sums over j, which
    # cancel if the particles are far from the origin, so the origin moves amid them.
    x = u - tf.stop_gradient(tf.reduce_mean(u, axis=-2, keepdims=True))
    kernel = tf.exp(-distances / width)
    return Interaction(x, score, distances, kernel, 2.0 / width, as_scalar(temperature, u.dtype))


def set_direction(parts: Interaction) -> tf.Tensor:
    """φ(u_i) = M·Δ(u_i) `[..., M, A]` = Σ_j k_ij ∇ℓ(u_j) + αq Σ_j k_ij (u_i − u_j).

    Args:
      parts: The particles and their kernel.
    """
    size = parts.positions.shape[-1]
    # One product for both sums. k is symmetric.
    sums = tf.matmul(parts.kernel, tf.concat([parts.score, parts.positions], axis=-1))
    total = tf.reduce_sum(parts.kernel, axis=-1, keepdims=True)
    push = parts.temperature * parts.slope
    return sums[..., :size] + push * (total * parts.positions - sums[..., size:])


def frozen_blocks(parts: Interaction) -> tf.Tensor:
    """−Σ_{j≠i} B_ij `[..., M, A, A]`, what the neighbours do to a particle's own derivative.

    Args:
      parts: The particles and their kernel.
    """
    x, slope, kernel = parts.positions, parts.slope[..., tf.newaxis], parts.neighbours()
    repel = parts.temperature * slope
    # Outer products of the differences are needed, so here they are formed. Nothing cancels then.
    difference = x[..., :, tf.newaxis, :] - x[..., tf.newaxis, :, :]  # [..., M, M, A]
    # Drift and repulsion both have (u_i − u_j)ᵀ as their right factor, so one product sums both over j.
    left = -slope * (parts.score[..., tf.newaxis, :, :] + repel * difference) * kernel[..., tf.newaxis]
    total = tf.reduce_sum(kernel, axis=-1)[..., tf.newaxis, tf.newaxis]
    return tf.matmul(left, difference, transpose_a=True) + repel * total * tf.eye(x.shape[-1], dtype=x.dtype)


def require_sets(particles: tf.Tensor) -> None:
    """Raises a `ConfigurationError` unless particles are sets of M in A components, both known and not 0.

    Args:
      particles: u `[..., M, A]`; leading sizes may be unknown.
    """
    require_shapes(("particles", particles, "... M A"))
    shape = tf.convert_to_tensor(particles).shape
    if shape.rank is None or not all(shape[-2:]):
        raise ConfigurationError(
            f"particles must be [..., M, A] with static M and A of 1 or more; got {shape}. Give the shape to "
            "tf.ensure_shape, or to the input_signature of the tf.function."
        )


def unit_directions(particles: tf.Tensor) -> tf.Tensor:
    """√A times the A unit vectors `[..., A, A]`, with which a trace of ∇²ℓ is exact.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
    """
    require_sets(particles)
    particles = tf.convert_to_tensor(particles)
    size = particles.shape[-1]
    batch = tf.shape(particles)[:-2]
    return tf.eye(size, batch_shape=batch, dtype=particles.dtype) * float(size) ** 0.5


def random_directions(particles: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """P vectors of random signs `[..., P, A]` for each set (Hutchinson 1990), with which a trace is unbiased.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      count: P, the number of directions.
      seed: A stateless seed, int32 `[2]`.
    """
    require_shapes(("particles", particles, "... M A"), ("seed", seed, "2", "int"))
    shape = tf.concat([tf.shape(particles)[:-2], [count, particles.shape[-1]]], 0)
    signs = tf.random.stateless_uniform(shape, seed, maxval=2, dtype=tf.int32)
    return tf.cast(2 * signs - 1, particles.dtype)


def directions_of_step(
    particles: tf.Tensor, num_probes: int | None, seed: tf.Tensor | None, index: int | tf.Tensor
) -> tf.Tensor:
    """The directions `[..., P, A]` in which a step takes ∇²ℓ: drawn for it, or the A unit vectors.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      num_probes: P, the number of random directions; None takes the unit vectors.
      seed: A stateless seed, int32 `[2]`; None where nothing is drawn.
      index: The step's number.
    """
    if num_probes is None:
        return unit_directions(particles)
    require_shapes(("seed", seed, "2", "int"))
    return random_directions(particles, num_probes, seed_of_step(seed, index))


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


def score_and_curvature(
    score_fn: Score, particles: tf.Tensor, directions: tf.Tensor
) -> tuple[tf.Tensor, Curvature]:
    """∇ℓ(u) `[..., M, A]`, and ∇²ℓ(u)·v along each direction by one vector-Jacobian product.

    Args:
      score_fn: Maps particles `[..., M, A]` to their scores ∇ℓ, by operations that TensorFlow differentiates.
      particles: u `[..., M, A]`, sets of M particles.
      directions: v `[..., P, A]`.

    Raises:
      ConfigurationError: If the scores do not depend on the particles as far as TensorFlow can tell.
    """
    require_sets(particles)
    require_shapes(("particles", particles, "... M A"), ("directions", directions, "... P A"))
    u = tf.convert_to_tensor(particles)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(u)
        score = score_of(score_fn, u)
    if not tf.is_tensor(score):
        raise ConfigurationError(
            "score_fn must return a tensor, which TensorFlow can differentiate, for a joint density; got a "
            f"{type(score).__name__}. Compute ∇ℓ by TensorFlow's operations."
        )
    products = []
    for direction in tf.unstack(directions, num=directions.shape[-2], axis=-2):
        # ∇²ℓ is symmetric, so the product from the left is the product from the right.
        along = tf.broadcast_to(direction[..., tf.newaxis, :], tf.shape(score))
        product = tape.gradient(score, u, output_gradients=along)
        if product is None:
            raise ConfigurationError(
                "score_fn: the joint density needs the derivative of the scores by the particles, and "
                "TensorFlow finds none. Compute ∇ℓ by differentiable operations. If it is constant, add "
                "0.0 * particles to it."
            )
        products.append(product)
    return score, Curvature(directions, tf.stack(products, axis=-3))


def as_scalar(value: float | tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The value in a dtype; a Python number is not rounded to single precision on the way.

    Args:
      value: Number, or a scalar of any dtype.
      dtype: Floating-point type of the result.
    """
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def of_width(parts: Interaction, width_gradient: tf.Tensor, curvature: Curvature) -> Outer:
    """The outer product of the kernel's width, p = Σ_j k_ij [ q²‖d‖²/4·∇ℓ_j + α(−q²/2 + q³‖d‖²/4)·d ].

    Args:
      parts: The particles and their kernel.
      width_gradient: w = ∂h/∂u `[..., M, A]`.
      curvature: ∇²ℓ of the particles along directions.
    """
    slope = parts.slope
    near = 0.25 * tf.square(slope) * parts.kernel * parts.distances
    push = parts.temperature * (slope * near - 0.5 * tf.square(slope) * parts.kernel)
    left = tf.matmul(near, parts.score) + _of_differences(push, parts.positions)
    along = tf.matmul(curvature.directions, width_gradient, transpose_b=True)
    return Outer(left, width_gradient, along)


def joint_trace(
    parts: Interaction,
    curvature: Curvature,
    scale: tf.Tensor,
    outer: Outer | None = None,
    gradient: bool = True,
) -> tf.Tensor:
    """log|det ∂F| `[..., M]` up to order ε³, its share of each particle: c·tr ∂φ − ½c²·tr (∂φ)², c = ε/M.

    Traces of ∇²ℓ and of its products are means over the curvature's directions v: exact over unit vectors,
    unbiased over random ones. A direction that all particles of a set have in common gives the products of
    two particles' Hessians, too: E[(H_i v)·(H_j v)] = tr H_i H_j.

    Args:
      parts: The particles and their kernel.
      curvature: ∇²ℓ of the particles along directions.
      scale: c `[..., 1]` or a scalar.
      outer: The width's outer product; None where the width is fixed.
      gradient: Whether gradients flow through ∇²ℓ and the second order, which take most of the time.
    """
    along = curvature.products * curvature.directions[..., tf.newaxis, :]
    by_itself = tf.reduce_mean(tf.reduce_sum(along, axis=-1), axis=-2)
    seconds = [_trace_of_square(parts, curvature)]
    if outer is not None:
        seconds += [2.0 * _through(parts, curvature, outer), _trace_of_product(outer, outer)]
    second = tf.square(scale) * _in_order(seconds)
    if not gradient:
        by_itself, second = tf.stop_gradient(by_itself), tf.stop_gradient(second)
    firsts = [frozen_trace(parts), by_itself, *([] if outer is None else [outer.trace()])]
    return scale * _in_order(firsts) - 0.5 * second


def added_by(
    extra: Outer, parts: Interaction, curvature: Curvature, scale: tf.Tensor, outer: Outer | None
) -> tf.Tensor:
    """What another outer product adds to `joint_trace`, `[..., M]`.

    Args:
      extra: That product.
      parts: The particles and their kernel.
      curvature: ∇²ℓ of the particles along directions.
      scale: c `[..., 1]` or a scalar.
      outer: The width's outer product, which `joint_trace` has already.
    """
    seconds = [2.0 * _through(parts, curvature, extra), _trace_of_product(extra, extra)]
    if outer is not None:
        seconds.append(2.0 * _trace_of_product(extra, outer))
    return scale * extra.trace() - 0.5 * tf.square(scale) * _in_order(seconds)


def frozen_trace(parts: Interaction) -> tf.Tensor:
    """−Σ_{j≠i} tr B_ij `[..., M]` = Σ_{j≠i} k_ij [ −q dᵀ∇ℓ_j + αq(A − q‖d‖²) ], all that the paper has.

    Args:
      parts: The particles and their kernel.
    """
    x, kernel, slope = parts.positions, parts.kernel, parts.slope[..., 0]
    size = x.shape[-1]
    # Σ_j k_ij dᵀ∇ℓ_j as a difference of sums over j, because the differences d would take M²·A numbers.
    of_both = tf.reduce_sum(x * parts.score, axis=-1, keepdims=True)
    sums = tf.matmul(kernel, tf.concat([parts.score, of_both], axis=-1))
    drift = tf.reduce_sum(x * sums[..., :-1], axis=-1) - sums[..., -1]
    # The term j = i has k = 1, so 1 is taken off the sum, and distance 0.
    total = tf.reduce_sum(kernel, axis=-1) - 1.0
    spread = tf.reduce_sum(kernel * parts.distances, axis=-1)
    return slope * (parts.temperature * (size * total - slope * spread) - drift)


def _in_order(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of terms of one shape, rounded alike in every run.

    TensorFlow makes one operation of a chain of additions, which begins with whichever term is ready.
    """
    return tf.reduce_sum(tf.stack(terms), axis=0)


def _of_differences(weights: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Σ_j weights_ij (x_i − x_j) `[..., M, A]`."""
    return tf.reduce_sum(weights, axis=-1, keepdims=True) * x - tf.matmul(weights, x)


def _trace_of_square(parts: Interaction, curvature: Curvature) -> tf.Tensor:
    """Σ_j tr (∂φ_i/∂u_j · ∂φ_j/∂u_i) `[..., M]` without outer products, a mean over the directions."""
    # Every trace is the mean of a product (∂φ_i/∂u_j)ᵀv · (∂φ_j/∂u_i)v. It is written out in products of
    # vectors, M² numbers each, because the vectors themselves would take M²·A.
    v = curvature.directions[..., tf.newaxis, :]  # [..., P, 1, A]
    g = curvature.products
    x, s, kernel, distances, slope = (
        tf.expand_dims(part, -3)
        for part in (parts.positions, parts.score, parts.neighbours(), parts.distances, parts.slope)
    )
    alpha, size = parts.temperature, parts.positions.shape[-1]
    x_v, s_v, g_v = (tf.reduce_sum(each * v, axis=-1) for each in (x, s, g))  # [..., P, M]
    d_v = x_v[..., tf.newaxis] - x_v[..., tf.newaxis, :]
    # Row i and column j: dᵀ∇ℓ_j and dᵀH_jv. With i for j, and −d for d, they are minus their transposes.
    d_s, d_g = (_differences_with(x, each) for each in (s, g))
    repel = alpha * slope
    draw = slope * s_v[..., tf.newaxis, :] + slope * repel * d_v
    # All but the first are subtracted: TensorFlow adds three terms in whichever order they are ready.
    others = tf.matmul(g, g, transpose_b=True) - repel * (g_v[..., tf.newaxis] + g_v[..., tf.newaxis, :])
    others -= slope * d_v * (tf.matmul(s, g, transpose_b=True) - repel * (d_g + s_v[..., tf.newaxis]))
    others -= tf.square(repel) * (slope * tf.square(d_v) - size)
    turned = d_v * (repel - slope * tf.linalg.matrix_transpose(d_s) - slope * repel * distances)
    turned += tf.linalg.matrix_transpose(d_g)
    # Factor by factor, because q⁴ can overflow where k is 0.
    square = tf.reduce_sum(kernel * (kernel * others - kernel * draw * turned), axis=-1)
    # Of the own block: (H_i − Σ_j B_ij)ᵀv · (H_i − Σ_j B_ij)v.
    total = tf.reduce_sum(kernel, axis=-1, keepdims=True)
    weights = kernel * d_v
    common = slope * repel * _of_differences(weights, x) - repel * total * v
    right = g - common - slope * tf.matmul(weights, s)
    left = g - common - slope * _of_differences(kernel * s_v[..., tf.newaxis, :], x)
    square += tf.reduce_sum(left * right, axis=-1)
    return tf.reduce_mean(square, axis=-2)


def _through(parts: Interaction, curvature: Curvature, outer: Outer) -> tf.Tensor:
    """Σ_j w_iᵀ(∂φ_i/∂u_j)p_j `[..., M]`, the trace of an outer product and the rest of ∂φ."""
    x, s, p, w = parts.positions, parts.score, outer.left, outer.right
    slope, repel = parts.slope, parts.temperature * parts.slope
    # w_iᵀH_j p_j is the trace of H_j p_j w_iᵀ, and so the mean of (vᵀH_j p_j)(w_iᵀv).
    g_p = tf.reduce_sum(curvature.products * p[..., tf.newaxis, :, :], axis=-1)  # [..., P, M]
    drawn = tf.linalg.matvec(parts.kernel[..., tf.newaxis, :, :], g_p)
    drawn = tf.reduce_mean(outer.along * drawn, axis=-2)
    w_s, w_p, w_x = (tf.matmul(w, each, transpose_b=True) for each in (s, p, x))
    w_d = tf.reduce_sum(w * x, axis=-1)[..., tf.newaxis] - w_x
    # dᵀp_j for the neighbour's part, and dᵀp_i for the own one, which is subtracted.
    own = tf.reduce_sum(x * p, axis=-1)[..., tf.newaxis] - tf.matmul(p, x, transpose_b=True)
    pairs = slope * (w_s + repel * w_d) * (_differences_with(x, p) - own)
    pairs -= repel * (w_p - outer.trace()[..., tf.newaxis])
    return drawn + tf.reduce_sum(parts.neighbours() * pairs, axis=-1)


def _trace_of_product(one: Outer, other: Outer) -> tf.Tensor:
    """tr(p wᵀ·p′ w′ᵀ) = (Σ_j w_jᵀp′_j)(Σ_i w′_iᵀp_i), the share of the second sum's terms, `[..., M]`."""
    across = tf.reduce_sum(one.right * other.left, axis=[-2, -1])[..., tf.newaxis]
    return across * tf.reduce_sum(other.right * one.left, axis=-1)


def _differences_with(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """(x_i − x_j)ᵀy_j `[..., M, M]`."""
    return tf.matmul(x, y, transpose_b=True) - tf.reduce_sum(x * y, axis=-1)[..., tf.newaxis, :]


def joint_jacobian(
    parts: Interaction, hessian: tf.Tensor, scale: tf.Tensor, outer: Sequence[Outer] = ()
) -> tf.Tensor:
    """∂F `[..., M·A, M·A]`, the derivative of a step of all particles by all particles.

    Args:
      parts: The particles and their kernel.
      hessian: ∇²ℓ(u) `[..., M, A, A]`.
      scale: c = ε/M, `[..., 1]` or a scalar.
      outer: The outer products.
    """
    x, s = parts.positions, parts.score
    num_particles, size = x.shape[-2:]
    slope, repel = parts.slope[..., tf.newaxis], parts.temperature * parts.slope[..., tf.newaxis]
    difference = x[..., :, tf.newaxis, :] - x[..., tf.newaxis, :, :]  # [..., M, M, A]
    drawn = slope * (s[..., tf.newaxis, :, :] + repel * difference)
    between = drawn[..., tf.newaxis] * difference[..., tf.newaxis, :]
    between -= repel[..., tf.newaxis] * tf.eye(size, dtype=x.dtype)
    between *= parts.neighbours()[..., tf.newaxis, tf.newaxis]
    blocks = parts.kernel[..., tf.newaxis, tf.newaxis] * hessian[..., tf.newaxis, :, :, :] + between
    itself = tf.eye(num_particles, dtype=x.dtype)[..., tf.newaxis, tf.newaxis]
    blocks -= itself * tf.reduce_sum(between, axis=-3)[..., tf.newaxis, :, :]
    for each in outer:
        blocks += each.left[..., :, tf.newaxis, :, tf.newaxis] * each.right[..., tf.newaxis, :, tf.newaxis, :]
    # [..., i, j, a, b] -> [..., i·A + a, j·A + b].
    flat = tf.concat([tf.shape(x)[:-2], [num_particles * size] * 2], 0)
    blocks = tf.reshape(tf.experimental.numpy.swapaxes(blocks, -3, -2), flat)
    scale = scale if scale.shape.rank == 0 else scale[..., tf.newaxis]
    return tf.eye(num_particles * size, dtype=x.dtype) + scale * blocks


def joint_logdet(
    parts: Interaction, hessian: tf.Tensor, scale: tf.Tensor, outer: Sequence[Outer] = ()
) -> tf.Tensor:
    """log|det ∂F| `[..., M]`, divided evenly among the M particles.

    Args:
      parts: The particles and their kernel.
      hessian: ∇²ℓ(u) `[..., M, A, A]`.
      scale: c = ε/M, `[..., 1]` or a scalar.
      outer: The outer products.
    """
    # The absolute value: the determinant is negative where a set has folded, and its logarithm then NaN.
    change = tf.linalg.slogdet(joint_jacobian(parts, hessian, scale, outer)).log_abs_determinant
    return tf.ones_like(parts.positions[..., 0]) * change[..., tf.newaxis] / parts.positions.shape[-2]
