"""A soft bound on how steep a discriminator is."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from expol_tf.bijectors import ActionBox, BoxSpec


def gradient_penalty(
    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    observation: tf.Tensor,
    action: tf.Tensor,
    other: tf.Tensor,
    seed: tf.Tensor,
    box: BoxSpec,
) -> tf.Tensor:
    """(‖∇_x f(s, x)‖ − 1)² `[N]` at x uniform between two actions of a state, x scaled to [−1, 1].

    Differentiable in the discriminator's parameters; the actions are held.

    Reference: Gulrajani et al. 2017, *Improved Training of Wasserstein GANs*, Eq. 3.

    Args:
      discriminator: f `(observation [N, O], action [N, A]) -> [N]`, of actions in action units.
      observation: s `[N, O]`.
      action: Of the policy `[N, A]`.
      other: The particles `[N, A]`.
      seed: Stateless seed, int32 `[2]`.
      box: The action spec, whose bounds are finite.
    """
    scaling = ActionBox.of(box)
    start, end = (tf.stop_gradient(scaling.to_scaled(each)) for each in (action, other))
    share = tf.random.stateless_uniform([tf.shape(start)[0], 1], seed, dtype=start.dtype)
    x = start + share * (end - start)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        f = discriminator(observation, scaling.from_scaled(x))
    slope = tape.gradient(f, x)
    # A norm has no gradient at 0, where all units of a ReLU network may be off.
    norm = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(slope), axis=-1), 1e-12))
    return tf.square(norm - 1.0)
