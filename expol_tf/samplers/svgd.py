"""Stein variational gradient descent."""

from __future__ import annotations

import gin
import tensorflow as tf

from expol_tf.samplers.kernels import kernel_bandwidth, kernel_of_distances, squared_distances


@gin.configurable(module="expol_tf")
def svgd_direction(
    particles: tf.Tensor,
    score: tf.Tensor,
    temperature: float | tf.Tensor = 1.0,
    moved: tf.Tensor | None = None,
    bandwidth: str | float = "median",
    floor: float = 1e-3,
) -> tf.Tensor:
    """Δ(y_j) = (1/M) Σ_i [ κ(x_i, y_j) ∇ℓ(x_i) + α ∇_{x_i} κ(x_i, y_j) ].

    Among functions of the kernel's space with norm 1, Δ is the direction along which particles at x approach
    the density ∝ exp(ℓ/α) fastest. The first term draws each particle to where ℓ is high around it, the
    second, ∇_{x_i}κ = (2/h)(y_j − x_i)·κ, pushes it from its neighbours. A single particle feels no push and
    climbs ℓ.

    ```python
    for _ in range(200):
        particles += 0.1 * svgd_direction(particles, score(particles))
    ```

    References: Liu & Wang 2016, *Stein Variational Gradient Descent*, Eq. 8; Haarnoja et al. 2017,
    *Reinforcement Learning with Deep Energy-Based Policies*, Eq. 13, which has α before the second term.

    Args:
      particles: x `[..., M, A]`, at which the score is known.
      score: ∇ℓ(x) `[..., M, A]`.
      temperature: α, scalar.
      moved: y `[..., K, A]`, at which the direction is wanted; None for the particles themselves.
      bandwidth: "median", "mean" or a standard deviation, see `kernel_bandwidth`.
      floor: Of the kernel's h.

    Returns:
      Δ(y) `[..., K, A]`, with gradients to particles and scores (none by way of h).
    """
    x = tf.convert_to_tensor(particles)
    y = x if moved is None else tf.convert_to_tensor(moved)
    # A Python number would be cast by way of single precision.
    alpha = tf.cast(temperature, x.dtype) if tf.is_tensor(temperature) else tf.constant(temperature, x.dtype)
    distances = squared_distances(x, y)
    width = kernel_bandwidth(distances, bandwidth, one_set=moved is None, floor=floor)
    kernel = kernel_of_distances(distances, width)
    # Σ_i κ_ij (y_j − x_i) as two products; with the origin amid the particles they hardly cancel.
    origin = tf.stop_gradient(tf.reduce_mean(x, axis=-2, keepdims=True))
    push = 2.0 * alpha / width[..., tf.newaxis, tf.newaxis]
    drawn = tf.matmul(kernel, score - push * (x - origin), transpose_a=True)
    total = tf.reduce_sum(kernel, axis=-2)[..., tf.newaxis]
    return (drawn + push * total * (y - origin)) / x.shape[-2]
