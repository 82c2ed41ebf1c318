"""Objectives of a batch's parts, against those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.objectives import Improvement, improvement_in_parts, soft_value_in_parts

OBSERVATION = tf.constant(np.random.default_rng(0).normal(size=[7, 3]), tf.float32)
VALID = tf.constant([True, False, True, True, True, False, True])
SEED = tf.constant([3, 4])


def value(observation, policy, critic, temperature, seed):
    return temperature * tf.reduce_sum(observation**2, axis=-1)


def noisy_value(observation, policy, critic, temperature, seed):
    return tf.random.stateless_normal([observation.shape[0]], seed)


def improvement(observation, policy, critic, temperature, seed, valid=None):
    squares = value(observation, policy, critic, temperature, seed)
    weights = tf.ones_like(squares) if valid is None else tf.cast(valid, tf.float32)
    mean = tf.reduce_sum(weights * squares) / tf.reduce_sum(weights)
    return Improvement(mean, -squares, {"mean": 2.0 * mean})


@pytest.mark.parametrize("num_parts", [1, 2, 3, 7])
def test_values_of_parts_are_those_of_the_whole(num_parts):
    found = soft_value_in_parts(value, num_parts, OBSERVATION, None, None, 2.0, SEED)
    np.testing.assert_allclose(found, value(OBSERVATION, None, None, 2.0, SEED), rtol=1e-6)


@pytest.mark.parametrize("valid", [None, VALID])
@pytest.mark.parametrize("num_parts", [2, 3])
def test_improvements_of_parts_are_weighed_by_the_states_that_count(num_parts, valid):
    weights = tf.Variable(1.5)
    with tf.GradientTape() as tape:
        found = improvement_in_parts(
            improvement, num_parts, weights * OBSERVATION, None, None, 2.0, SEED, valid
        )
    gradient = tape.gradient(found.loss, weights)
    with tf.GradientTape() as tape:
        whole = improvement(weights * OBSERVATION, None, None, 2.0, SEED, valid)
    np.testing.assert_allclose(found.loss, whole.loss, rtol=1e-6)
    np.testing.assert_allclose(gradient, tape.gradient(whole.loss, weights), rtol=1e-6)
    np.testing.assert_allclose(found.log_prob, whole.log_prob, rtol=1e-6)
    np.testing.assert_allclose(found.metrics["mean"], whole.metrics["mean"], rtol=1e-6)


def test_a_part_without_states_that_count_weighs_nothing():
    valid = tf.constant([False, False, False, True, True, False, True])
    found = improvement_in_parts(masked, 2, OBSERVATION, None, None, 1.0, SEED, valid)
    np.testing.assert_allclose(found.loss, masked(OBSERVATION, *[None] * 2, 1.0, SEED, valid).loss, rtol=1e-6)


def masked(observation, policy, critic, temperature, seed, valid):
    weights = tf.cast(valid, tf.float32)
    squares = value(observation, policy, critic, temperature, seed)
    mean = tf.math.divide_no_nan(tf.reduce_sum(weights * squares), tf.reduce_sum(weights))
    return Improvement(mean, None, {})


def test_a_batch_of_unknown_size_and_one_smaller_than_the_parts():
    @tf.function(input_signature=[tf.TensorSpec([None, 3])], autograph=False)
    def values(observation):
        return soft_value_in_parts(value, 3, observation, None, None, 1.0, SEED)

    for size in (7, 2, 1):
        np.testing.assert_allclose(
            values(OBSERVATION[:size]), value(OBSERVATION[:size], None, None, 1.0, SEED), rtol=1e-6
        )


def test_parts_draw_numbers_of_their_own_and_one_part_the_whole_s():
    found = soft_value_in_parts(noisy_value, 2, OBSERVATION[:6], None, None, 1.0, SEED).numpy()
    assert len(set(found)) == 6
    again = soft_value_in_parts(noisy_value, 2, OBSERVATION[:6], None, None, 1.0, SEED)
    np.testing.assert_array_equal(found, again)
    one = soft_value_in_parts(noisy_value, 1, OBSERVATION, None, None, 1.0, SEED)
    np.testing.assert_array_equal(one, noisy_value(OBSERVATION, None, None, 1.0, SEED))
