"""TensorFlow's random numbers: generators, seeds of stateless operations, and normal draws."""

from __future__ import annotations

import math
from concurrent import futures
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Integer


def make_generator(seed: int | None) -> tf.random.Generator:
    """Returns a generator with a seed, or with entropy from the system; the same on every kind of device.

    Under a `tf.distribute` strategy too it is one generator, outside of the strategy.
    """
    if tf.distribute.has_strategy():
        # The strategy would make one for each replica, with other streams and under other names in
        # checkpoints. It is that of a thread: in another one there is none.
        with futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(make_generator, seed).result()
    # Philox by name: which algorithm TensorFlow takes by itself depends on the kind of device.
    if seed is None:
        return tf.random.Generator.from_non_deterministic_state(alg="philox")
    return tf.random.Generator.from_seed(seed, alg="philox")


def draw_seed(generator: tf.random.Generator) -> tf.Tensor:
    """Draws the seed of a stateless operation, int32 `[2]`."""
    # Stateless operations take int32 seeds on every device; the generator makes int64 ones.
    return tf.bitcast(generator.make_seeds(1)[0, 0], tf.int32)


# An integer, or int32 or int64 `[2]`.
Seed: TypeAlias = Integer | tf.Tensor


def as_seed(seed: Seed | None) -> tf.Tensor:
    """A seed for stateless operations, integers `[2]`; an integer s becomes (0, s).

    Args:
      seed: An integer, or integers `[2]`.

    Raises:
      ConfigurationError: If the seed is None or anything else.
    """
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        number = int(seed)
        return tf.constant([0, number], tf.int64 if abs(number) >= 2**31 else tf.int32)
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


def standard_normal(shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """N(0, 1) draws of a shape, by Box and Muller's transform of uniform ones; like `stateless_normal`.

    r = √(−2 log u), z = (r cos 2πv, r sin 2πv). As operations on whole tensors it takes half the time of
    TensorFlow's kernel on a CPU, which transforms number by number. Uniform numbers of 23 bits end the tails
    at 5.6, beyond which are 2 in 10⁸.

    Reference: Box & Muller 1958, *A Note on the Generation of Random Normal Deviates*.

    Args:
      shape: int32 vector.
      seed: Stateless seed, int32 `[2]`.
      dtype: The draws' type; TensorFlow's kernel makes those that are not float32.
    """
    if dtype != tf.float32:
        return tf.random.stateless_normal(shape, seed, dtype=dtype)
    count = tf.reduce_prod(shape)
    # In [0, 1); 1 − u is never 0, whose logarithm is infinite.
    u, v = tf.unstack(tf.random.stateless_uniform([2, (count + 1) // 2], seed))
    radius, angle = tf.sqrt(-2.0 * tf.math.log(1.0 - u)), (2.0 * math.pi) * v
    both = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=0)
    return tf.reshape(both[:count], shape)
