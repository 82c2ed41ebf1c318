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
    one_sided: bool | None = None,
) -> tf.Tensor:
    """(‖∇_x f(s, x)‖ − 1)² `[N]`, at x uniform on the line between two actions, both scaled to [−1, 1].

    One-sided it is max(0, ‖∇_x f(s, x)‖ − 1)²: slopes below 1 cost nothing. For actions of one component the
    two-sided penalty asks for f′ = ±1 everywhere. To fold, f would have to pass through slopes in between,
    and so it stays the line that it is first: over a doubled standard deviation, whose best f is |x|, it
    finds nothing of W₁. With more components f can turn its gradient without shortening it.

    The result has a gradient to the discriminator's parameters, and none to the actions.

    Reference: Gulrajani et al. 2017, *Improved Training of Wasserstein GANs*, Eq. 3, and its §4
    on one- and two-sided penalties.

    Args:
      discriminator: f `(observation [N, O], action [N, A]) -> [N]`, with actions in action units.
      observation: States s `[N, O]`.
      action: The policy's actions `[N, A]`, in action units.
      other: The particles `[N, A]`, in action units.
      seed: Stateless seed, int32 `[2]`.
      box: Action spec with finite bounds, shape `[A]`.
      one_sided: Whether slopes below 1 are free; None is one-sided for A = 1 and two-sided otherwise.
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
    # The floor is absolute as the slope that is asked for is, and 1e-6 of it.
    excess = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(slope), axis=-1), 1e-12)) - 1.0
    if one_sided is None:
        one_sided = len(scaling.half) == 1
    return tf.square(tf.maximum(excess, 0.0) if one_sided else excess)
