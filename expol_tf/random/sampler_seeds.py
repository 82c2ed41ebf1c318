"""Seeds of samplers that draw."""

from __future__ import annotations

from typing import TypeAlias

import tensorflow as tf

from expol_tf.errors import ConfigurationError

Seed: TypeAlias = int | tf.Tensor


def as_seed(seed: Seed | None) -> tf.Tensor:
    """The seed of stateless operations, integers `[2]`; of an integer s it is (0, s).

    Args:
      seed: An integer or integers `[2]`, of which stateless operations draw the same wherever they run.

    Raises:
      ConfigurationError: It is None or neither.
    """
    if isinstance(seed, int) and not isinstance(seed, bool):
        return tf.constant([0, seed], tf.int64 if abs(seed) >= 2**31 else tf.int32)
    found = None if seed is None else tf.convert_to_tensor(seed)
    if found is None or not found.dtype.is_integer or found.shape.as_list() not in ([2], None):
        raise ConfigurationError(
            "seed must be an integer or two of them, int32 [2], where a sampler draws; got "
            f"{None if found is None else f'{found.dtype.name} {found.shape}'}. Give one, as "
            "`tfp.random.split_seed` or a tf.random.Generator makes them."
        )
    return found


def seed_of_step(seed: tf.Tensor, index: tf.Tensor | int) -> tf.Tensor:
    """The seed `[2]` of the index-th draw among those of a seed."""
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(index, seed.dtype))
