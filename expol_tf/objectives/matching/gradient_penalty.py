"""A soft bound on the slope of a discriminator."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from expol_tf.bijectors import ActionBox, BoxSpec
from expol_tf.shapes import require_shapes


def gradient_penalty(
    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    observation: tf.Tensor,
    action: tf.Tensor,
    other: tf.Tensor,
    seed: tf.Tensor,
    box: BoxSpec,
) -> tf.Tensor:
    """(‖∇_x f(s, x)‖ − 1)² `[N]`, at x uniform on the line between two actions, both scaled to [−1, 1].

    The result has a gradient to the discriminator's parameters, and none to the actions.

    Reference: Gulrajani et al. 2017, *Improved Training of Wasserstein GANs*, Eq. 3.

    Args:
      discriminator: f `(observation [N, O], action [N, A]) -> [N]`, with actions in action units.
      observation: States s `[N, O]`.
      action: The policy's actions `[N, A]`, in action units.
      other: The particles `[N, A]`, in action units.
      seed: Stateless seed, int32 `[2]`.
      box: Action spec with finite bounds, shape `[A]`.
    """
    require_shapes(
        ("observation", observation, "N O", "any"),
        ("action", action, "N A"),
        ("other", other, "N A"),
        ("seed", seed, "2", "int"),
    )
    scaling = ActionBox.of(box)
    start, end = tf.stop_gradient(scaling.to_scaled(action)), tf.stop_gradient(scaling.to_scaled(other))
    share = tf.random.stateless_uniform([tf.shape(start)[0], 1], seed, dtype=start.dtype)
    x = start + share * (end - start)
    # By the scaled action: a slope of 1 then means the same in every component, whatever its half-width.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        f = discriminator(observation, scaling.from_scaled(x))
    require_shapes(("action", x, "N A"), ("discriminator(observation, action)", f, "N"))
    slope = tape.gradient(f, x)
    # A norm has no gradient at 0 (√ has an infinite slope, and 0 · inf = NaN), and f has slope 0 wherever all
    # units of a ReLU network are off.
    norm = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(slope), axis=-1), 1e-12))
    return tf.square(norm - 1.0)
