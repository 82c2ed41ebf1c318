"""TensorFlow's random generators, as policies, agents and exported policies own them."""

from __future__ import annotations

from concurrent import futures

import tensorflow as tf


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
