"""Variables as one vector and back."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from expol_tf.optimizers import assign, flat_gradient, flatten, unflatten


def some_variables():
    return [tf.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), tf.Variable(7.0), tf.Variable([8.0, 9.0])]


def test_there_and_back():
    variables = some_variables()
    vector = flatten(variables)
    np.testing.assert_array_equal(vector, np.arange(1.0, 10.0))
    for part, variable in zip(unflatten(vector, variables), variables, strict=True):
        assert part.shape == variable.shape
        np.testing.assert_array_equal(part, variable)


def test_assign():
    variables = some_variables()
    assign(variables, tf.range(10.0, 19.0))
    np.testing.assert_array_equal(variables[0], [[10.0, 11.0, 12.0], [13.0, 14.0, 15.0]])
    np.testing.assert_array_equal(flatten(variables), np.arange(10.0, 19.0))


def test_gradient_of_a_variable_without_part_is_zero():
    matrix, scalar, vector = some_variables()
    with tf.GradientTape() as tape:
        target = tf.reduce_sum(tf.square(matrix)) + 3.0 * vector[1]
    gradient = flat_gradient(tape, target, [matrix, scalar, vector])
    np.testing.assert_array_equal(gradient, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 0.0, 0.0, 3.0])


def test_gradient_of_weighted_entries():
    _, _, vector = some_variables()
    with tf.GradientTape() as tape:
        target = tf.square(vector)
    gradient = flat_gradient(tape, target, [vector], output_gradients=tf.constant([1.0, -2.0]))
    np.testing.assert_array_equal(gradient, [16.0, -36.0])
