"""Adam and its minibatches in NumPy, for the tests that hold the compiled ones to account."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class SlowAdam:
    """Kingma & Ba 2015, Alg. 1, with ε where Keras has it; the rate may be a function of the steps done."""

    def __init__(self, rate):
        self.rate = rate
        self.steps = 0
        self._first = self._second = 0.0

    def step(self, gradient):
        """Returns what is to be subtracted from the parameters."""
        rate = self.rate(self.steps) if callable(self.rate) else self.rate
        self.steps += 1
        self._first = 0.9 * self._first + 0.1 * gradient
        self._second = 0.999 * self._second + 0.001 * gradient**2
        first = self._first / (1 - 0.9**self.steps)
        correction = np.sqrt(1 - 0.999**self.steps)
        return rate * first / (np.sqrt(self._second) / correction + 1e-7 / correction)


def minibatches(count, size, epochs, seed):
    """The examples of every step of every epoch, in order, as arrays of indices."""
    uniforms = tf.random.stateless_uniform([epochs, count], seed).numpy()
    return [
        order[first : first + size]
        for order in np.argsort(uniforms, axis=1)
        for first in range(0, count - size + 1, size)
    ]
