"""What samplers give back, and how they repeat their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from expol_tf.errors import ConfigurationError

# So many steps are written out where a graph is made; more are a loop.
_UNROLLED = 32


class Moved(NamedTuple):
    """Particles after some steps.

    Attributes:
      particles: `[..., M, A]`.
      log_density_change: log q(after) − log q(before) `[..., M]`; None where it was not asked for.
    """

    particles: tf.Tensor
    log_density_change: tf.Tensor | None


def repeat_steps(
    step: Callable[[tf.Tensor, tf.Tensor], Moved], particles: tf.Tensor, num_steps: int, with_change: bool
) -> Moved:
    """Takes a step `num_steps` times and adds up the changes.

    Args:
      step: (Index of the step, int32; particles) → particles and their change (None unless `with_change`).
      particles: `[..., M, A]`.
      num_steps: 0 or more.
      with_change: Whether there are changes.
    """
    u = tf.convert_to_tensor(particles)

    def move(index: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (step(index, u).particles,)

    def move_and_add(index: tf.Tensor, u: tf.Tensor, change: tf.Tensor) -> tuple[tf.Tensor, ...]:
        moved = step(index, u)
        return moved.particles, change + moved.log_density_change

    if with_change:
        u, change = repeat(move_and_add, (u, tf.zeros_like(u[..., 0])), num_steps)
        return Moved(u, change)
    return Moved(repeat(move, (u,), num_steps)[0], None)


def repeat(
    body: Callable[..., tuple[tf.Tensor, ...]],
    state: tuple[tf.Tensor, ...],
    num_steps: int,
    unrolled: int = _UNROLLED,
) -> tuple[tf.Tensor, ...]:
    """state ← body(index, *state) for the indices 0 to num_steps − 1.

    Args:
      body: (Index, int32; *state) → state of the same shapes.
      state: Tensors.
      num_steps: 0 or more.
      unrolled: Up to how many steps a graph has them one by one; more are a loop.
    """
    if num_steps < 0:
        raise ConfigurationError(f"num_steps must be 0 or more; got {num_steps}.")
    if num_steps <= unrolled or tf.executing_eagerly():
        for index in range(num_steps):
            state = body(tf.constant(index), *state)
        return state

    def advance(index: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return index + 1, *body(index, *state)

    # XLA differentiates loops whose length it knows.
    looped = tf.while_loop(
        lambda index, *_: index < num_steps,
        advance,
        (tf.constant(0), *state),
        maximum_iterations=num_steps,
        parallel_iterations=1,
    )
    return tuple(looped[1:])
