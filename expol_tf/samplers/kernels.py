"""Gaussian kernels between particles, and rules for their width."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.errors import ConfigurationError
from expol_tf.shapes import require_shapes

BANDWIDTHS = ("median", "mean")
# Of a fixed width. Densities contain 1/σ⁶, which in single precision overflows soon below this.
_NARROWEST = 1e-6


def squared_distances(x: tf.Tensor, y: tf.Tensor | None = None) -> tf.Tensor:
    """‖x_i − y_j‖² `[..., M, K]`, never negative.

    Args:
      x: M particles `[..., M, A]`.
      y: K particles `[..., K, A]`; leading dimensions broadcast with those of x. None takes x itself, whose
        distances at i = j are then exactly 0.
    """
    require_shapes(("x", x, "* M A"), ("y", y, "* K A | None"))
    one_set, y = y is None, x if y is None else y
    # As ‖x‖² + ‖y‖² − 2xᵀy, one matrix product, because the differences would take M·K·A numbers. That form
    # cancels where particles are closer to each other than to the origin, so the origin moves amid x. It does
    # not change distances, and needs no gradient.
    origin = tf.stop_gradient(tf.reduce_mean(x, axis=-2, keepdims=True))
    x, y = x - origin, y - origin
    squares = tf.reduce_sum(tf.square(x), axis=-1)[..., tf.newaxis]
    squares += tf.reduce_sum(tf.square(y), axis=-1)[..., tf.newaxis, :]
    # Rounding can still make a distance negative, whose kernel would exceed 1.
    distances = tf.nn.relu(squares - 2.0 * tf.matmul(x, y, transpose_b=True))
    # In single precision it leaves up to 1e-4 of a particle's distance to itself, 5 from the origin.
    return tf.linalg.set_diag(distances, tf.zeros_like(squares[..., 0])) if one_set else distances


def rbf_kernel(x: tf.Tensor, y: tf.Tensor, bandwidth: tf.Tensor) -> tf.Tensor:
    """κ_ij = exp(−‖x_i − y_j‖² / h) `[..., M, K]`; a Gaussian of standard deviation σ has h = 2σ².

    Args:
      x: M particles `[..., M, A]`.
      y: K particles `[..., K, A]`; leading dimensions broadcast with those of x.
      bandwidth: h > 0 `[...]`, in units of x², one for each set of distances.
    """
    require_shapes(("x", x, "* M A"), ("y", y, "* K A"))
    distances = squared_distances(x, y)
    require_shapes(("distances", distances, "... M K"), ("bandwidth", bandwidth, "..."))
    return kernel_of_distances(distances, bandwidth)


def kernel_of_distances(distances: tf.Tensor, bandwidth: tf.Tensor) -> tf.Tensor:
    """exp(−d / h) `[..., M, K]`, from squared distances d `[..., M, K]` and bandwidths h `[...]`."""
    bandwidth = tf.convert_to_tensor(bandwidth, distances.dtype)
    return tf.exp(-distances / bandwidth[..., tf.newaxis, tf.newaxis])


def kernel_bandwidth(
    distances: tf.Tensor, rule: str | float = "median", one_set: bool = True, floor: float = 1e-3
) -> tf.Tensor:
    """h `[...]`, the bandwidth of a kernel exp(−d/h), for each set of squared distances d `[..., M, K]`.

    * "median": h = median(d) / log(M + 1), that is σ² = median(d) / (2 log(M + 1)), which gives Σ_j κ_ij ≈ 1.
      XLA has no selection, so compiled code needs another rule.
    * "mean": h = mean(d) / (2 log(M + 1)), that is σ² = mean(d) / (4 log(M + 1)).
    * A number: the standard deviation σ itself, h = 2σ², whatever the particles and the floor.

    No gradient flows into h.

    References: Liu & Wang 2016, *Stein Variational Gradient Descent*, §5; Messaoud et al. 2024, *S²AC*,
    Tables 3 and 4. See `docs/errata.md` on the formulas as printed.

    Args:
      distances: Squared distances `[..., M, K]` from the M particles whose scores are known to K particles. M
        and K must be static.
      rule: "median", "mean" or a number σ > 0, in units of the particles.
      one_set: Whether both sets are the same, so that M = K and the zeros at i = j do not count.
      floor: Lowest h that a rule gives, in units of d. Without it, particles that coincide would make the
        kernel a spike.
    """
    require_shapes(("distances", distances, "... M M" if one_set else "... M K"))
    check_bandwidth(rule, floor)
    # A gradient would flow through the one or two pairs in the middle alone, and is not part of SVGD.
    return differentiable_bandwidth(tf.stop_gradient(distances), rule, one_set, floor)


def bandwidth_gradient(
    particles: tf.Tensor, rule: str | float = "median", floor: float = 1e-3
) -> tf.Tensor | None:
    """w = ∂h/∂u `[..., M, A]`, the derivative of a set's bandwidth by its particles; None where h is fixed.

    Where h is at the floor, w is 0.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      rule: "median", "mean" or a number, see `kernel_bandwidth`.
      floor: Lowest h that a rule gives.
    """
    require_shapes(("particles", particles, "... M A"))
    check_bandwidth(rule, floor)
    if not isinstance(rule, str):
        return None
    u = tf.stop_gradient(tf.convert_to_tensor(particles))
    num_particles = u.shape[-2]
    if rule == "mean" and num_particles > 1:
        # h = Σ_i ‖u_i − ū‖² / ((M − 1) log(M + 1)), whose gradient is written out, as it is asked for often.
        away = u - tf.reduce_mean(u, axis=-2, keepdims=True)
        scale = 1.0 / ((num_particles - 1.0) * math.log(num_particles + 1.0))
        above = scale * tf.reduce_sum(tf.square(away), axis=[-2, -1], keepdims=True) > floor
        return tf.where(above, 2.0 * scale * away, tf.zeros_like(away))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(u)
        width = differentiable_bandwidth(squared_distances(u), rule, floor=floor)
    return tape.gradient(width, u, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def differentiable_bandwidth(
    distances: tf.Tensor, rule: str | float = "median", one_set: bool = True, floor: float = 1e-3
) -> tf.Tensor:
    """h `[...]` of `kernel_bandwidth`, with gradients.

    Args:
      distances, rule, one_set, floor: As `kernel_bandwidth` takes them.
    """
    batch = tf.shape(distances)[:-2]
    if not isinstance(rule, str):
        return tf.fill(batch, tf.constant(2.0 * rule**2, distances.dtype))
    num_particles, num_others = distances.shape[-2:]
    if one_set:
        # Distances are symmetric; half of them have the same median and mean.
        pairs = np.flatnonzero(np.triu(np.ones([num_particles, num_others]), k=1))
    else:
        pairs = np.arange(num_particles * num_others)
    # A single particle has no distances, and κ(x, x) = 1 at any width.
    if not pairs.size:
        return tf.fill(batch, tf.constant(floor, distances.dtype))
    flat = tf.reshape(distances, tf.concat([batch, [num_particles * num_others]], 0))
    if one_set:
        flat = tf.gather(flat, pairs, axis=-1)
    # M + 1, not M: with a single particle log M is 0, and h would be infinite.
    scale = math.log(num_particles + 1.0)
    middle = _median(flat) if rule == "median" else tf.reduce_mean(flat, axis=-1) / 2.0
    return tf.maximum(middle / scale, floor)


def check_bandwidth(rule: str | float, floor: float | None = None, owner: str = "") -> None:
    """Raises a `ConfigurationError` unless `kernel_bandwidth` knows the rule.

    Args:
      rule: "median", "mean" or a number σ > 0.
      floor: Lowest h, positive; None is not checked.
      owner: What the names of the arguments begin with in a message, such as "SteinSampler.".
    """
    if isinstance(rule, str):
        if rule not in BANDWIDTHS:
            raise ConfigurationError(
                f"{owner}bandwidth must be one of {BANDWIDTHS} or a standard deviation; got {rule!r}."
            )
    else:
        require_number(
            f"{owner}bandwidth", rule, "positive", f"It is a standard deviation; or give one of {BANDWIDTHS}."
        )
        if rule < _NARROWEST:
            raise ConfigurationError(
                f"{owner}bandwidth must be {_NARROWEST:g} or more, as powers of 1/bandwidth overflow; got "
                f"{rule}. Give particles in other units, or one of {BANDWIDTHS}."
            )
    if floor is not None:
        require_number(
            f"{owner}floor", floor, "positive", "The usual value is 1e-3, in units of squared distances."
        )


def _median(values: tf.Tensor) -> tf.Tensor:
    """The median `[...]` of values `[..., P]`; for an even P, the mean of the two values in the middle."""
    # Selecting takes linear time: it is eight times as fast as sorting 1,024 values. (XLA has no such
    # operation.) It finds the upper of the two middle values.
    count = values.shape[-1]
    upper = tf.raw_ops.NthElement(input=values, n=count // 2)
    if count % 2:
        return upper
    # A second selection would cost as much again. If P/2 values lie below the upper one, the largest of them
    # is the lower middle value. If fewer do, the two middle values are equal.
    below = values < upper[..., tf.newaxis]
    next_lower = tf.reduce_max(tf.where(below, values, values.dtype.min), axis=-1)
    distinct = tf.equal(tf.math.count_nonzero(below, axis=-1), count // 2)
    return 0.5 * (upper + tf.where(distinct, next_lower, upper))
