"""What samplers give back."""

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
    step: Callable[[tf.Tensor], Moved], particles: tf.Tensor, num_steps: int, with_change: bool
) -> Moved:
    """Takes a step `num_steps` times and adds up the changes.

    Args:
      step: Particles → particles and their change (None unless `with_change`).
      particles: `[..., M, A]`.
      num_steps: 0 or more.
      with_change: Whether there are changes.
    """
    if num_steps < 0:
        raise ConfigurationError(f"num_steps must be 0 or more; got {num_steps}.")
    u = tf.convert_to_tensor(particles)
    change = tf.zeros_like(u[..., 0]) if with_change else None

    def add(u, change):
        moved = step(u)
        return moved.particles, None if change is None else change + moved.log_density_change

    if num_steps <= _UNROLLED or tf.executing_eagerly():
        for _ in range(num_steps):
            u, change = add(u, change)
        return Moved(u, change)
    state = (u,) if change is None else (u, change)

    def body(*state):
        u, change = add(*state, *([None] if len(state) == 1 else []))
        return (u,) if change is None else (u, change)

    state = tf.while_loop(lambda *_: True, body, state, maximum_iterations=num_steps, parallel_iterations=1)
    return Moved(state[0], state[1] if with_change else None)
