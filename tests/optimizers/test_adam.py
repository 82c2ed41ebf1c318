"""The fused Adam against the formula in NumPy, with schedules, clipping and checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.optimizers import Adam
from tests.optimizers.slow_adam import SlowAdam


def slow_adam(start, gradients, rates, max_norm=None):
    """θ after the steps; `start` and each of `gradients` are lists of arrays."""
    slow = SlowAdam(lambda step: rates[step])
    flat = np.concatenate([np.ravel(each) for each in start])
    for step in gradients:
        gradient = np.concatenate([np.ravel(each) for each in step])
        if max_norm is not None:
            gradient = gradient * min(1.0, max_norm / np.linalg.norm(gradient))
        flat = flat - slow.step(gradient)
    ends = np.cumsum([np.size(each) for each in start])[:-1]
    parts = np.split(flat, ends)
    return [part.reshape(np.shape(each)) for part, each in zip(parts, start, strict=True)]


def problem(steps=7, seed=0):
    generator = np.random.default_rng(seed)
    start = [generator.normal(size=[3, 2]), generator.normal(size=[4])]
    return start, [[generator.normal(size=each.shape) for each in start] for _ in range(steps)]


def run(adam, start, gradients):
    variables = [tf.Variable(each, dtype=tf.float32) for each in start]
    adam.build(variables)
    apply = tf.function(adam.apply_gradients, autograph=False)
    for step in gradients:
        apply([(tf.constant(g, tf.float32), v) for g, v in zip(step, variables, strict=True)])
    return variables


@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_equals_the_formula(max_norm):
    start, gradients = problem()
    found = run(Adam(0.01, max_gradient_norm=max_norm), start, gradients)
    expected = slow_adam(start, gradients, [0.01] * len(gradients), max_norm)
    for variable, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-5)


def test_follows_a_schedule():
    start, gradients = problem()
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, decay_steps=5, end_learning_rate=0.01)
    found = run(Adam(schedule), start, gradients)
    rates = [0.1 + (0.01 - 0.1) * min(t, 5) / 5 for t in range(len(gradients))]
    for variable, value in zip(found, slow_adam(start, gradients, rates), strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-5)


def test_goes_on_from_a_checkpoint(tmp_path):
    start, gradients = problem()
    adam, whole = Adam(0.01), run(Adam(0.01), start, gradients)
    half = run(adam, start, gradients[:3])
    path = tf.train.Checkpoint(adam=adam).write(str(tmp_path / "checkpoint"))
    other = Adam(0.01)
    variables = [tf.Variable(each) for each in half]
    other.build(variables)
    tf.train.Checkpoint(adam=other).read(path).assert_consumed()
    for step in gradients[3:]:
        other.apply_gradients([(tf.constant(g, tf.float32), v) for g, v in zip(step, variables, strict=True)])
    for variable, value in zip(variables, whole, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_order_of_variables_does_not_matter():
    start, gradients = problem(1)
    adam = Adam(0.01)
    variables = [tf.Variable(each, dtype=tf.float32) for each in start]
    adam.build(variables)
    pairs = [(tf.constant(g, tf.float32), v) for g, v in zip(gradients[0], variables, strict=True)]
    adam.apply_gradients(reversed(pairs))
    for variable, value in zip(variables, slow_adam(start, gradients, [0.01]), strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-5)


def test_says_what_is_wrong():
    with pytest.raises(ConfigurationError, match="learning_rate"):
        Adam(-1.0)
    with pytest.raises(ConfigurationError, match="max_gradient_norm"):
        Adam(max_gradient_norm=0.0)
    adam = Adam()
    adam.build([tf.Variable(1.0)])
    with pytest.raises(ConfigurationError, match="second"):
        adam.build([tf.Variable(1.0)])
