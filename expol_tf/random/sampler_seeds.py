"""Seeds of the samplers that draw random numbers."""

from __future__ import annotations

from typing import TypeAlias

import tensorflow as tf

from expol_tf.errors import ConfigurationError

Seed: TypeAlias = int | tf.Tensor


def as_seed(seed: Seed | None) -> tf.Tensor:
    """A seed for stateless operations, integers `[2]`; an integer s becomes (0, s).

    Args:
      seed: An integer, or integers `[2]`.

    Raises:
      ConfigurationError: If the seed is None or anything else.
    """
    if isinstance(seed, int) and not isinstance(seed, bool):
        return tf.constant([0, seed], tf.int64 if abs(seed) >= 2**31 else tf.int32)
    numbers = None if seed is None else tf.convert_to_tensor(seed)
    if numbers is None or not numbers.dtype.is_integer or numbers.shape.as_list() not in ([2], None):
        raise ConfigurationError(
            "seed must be an integer or two of them, int32 [2], where a sampler draws; got "
            f"{None if numbers is None else f'{numbers.dtype.name} {numbers.shape}'}. Give one, as "
            "`tfp.random.split_seed` or a tf.random.Generator makes them."
        )
    return numbers


def seed_of_step(seed: tf.Tensor, index: tf.Tensor | int) -> tf.Tensor:
    """The seed `[2]` of draw number `index`, a scalar, in the stream of `seed` `[2]`."""
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(index, seed.dtype))
