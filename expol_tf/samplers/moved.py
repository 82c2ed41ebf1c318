"""The result of a sampler, and the loop that repeats its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from expol_tf.checks import require_number

# A graph contains up to this many steps one by one; more become a loop.
_UNROLLED = 32


class Moved(NamedTuple):
    """Particles after the steps of a sampler.

    Attributes:
      particles: The moved particles `[..., M, A]`.
      log_density_change: log q(after) − log q(before) `[..., M]`, in nats; None where it was not asked for.
    """

    particles: tf.Tensor
    log_density_change: tf.Tensor | None


def repeat_steps(
    step: Callable[[tf.Tensor, tf.Tensor], Moved], particles: tf.Tensor, num_steps: int, with_change: bool
) -> Moved:
    """Takes a step `num_steps` times and adds up the changes of the log-density.

    Args:
      step: Maps the step's index, an int32 scalar, and particles to a `Moved`.
      particles: u⁰ `[..., M, A]`, sets of M particles.
      num_steps: Number of steps, 0 or more.
      with_change: Whether the steps return changes.
    """
    u = tf.convert_to_tensor(particles)

    def move(index: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns u after one step, a state of `repeat`."""
        return (step(index, u).particles,)

    def move_and_add(index: tf.Tensor, u: tf.Tensor, change: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns u after one step, and the sum of the changes up to it."""
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
      body: Maps the index, an int32 scalar, and the state to a state of the same shapes.
      state: Tensors of any shapes.
      num_steps: Number of steps, 0 or more.
      unrolled: Largest number of steps that a graph contains one by one; more become a loop.
    """
    require_number("num_steps", num_steps, "0 or more", "0 leaves the particles where they are.")
    if num_steps <= unrolled or tf.executing_eagerly():
        for index in range(num_steps):
            # A tensor, as in the loop: `body` gets an index of the same type either way.
            state = body(tf.constant(index), *state)
        return state

    def advance(index: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the next index, and the state after `body`."""
        return index + 1, *body(index, *state)

    # XLA can differentiate only loops with a bound on their length. One iteration at a time: each needs the
    # particles of the one before.
    looped = tf.while_loop(
        lambda index, *_: index < num_steps,
        advance,
        (tf.constant(0), *state),
        maximum_iterations=num_steps,
        parallel_iterations=1,
    )
    return tuple(looped[1:])
