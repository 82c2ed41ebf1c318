"""Advantages and targets that are all equal: rounding must not become a signal."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.objectives import explained_variance, scale_advantages
from expol_tf.objectives.masked import equal_up_to_rounding

ALL = tf.fill([2048], True)
# Means of 2,048 numbers of these sizes are rounded: less their mean they are no zeros.
EQUAL = [0.1, 100.1, -3.3, 1e-6, 1e6, 0.0]


@pytest.mark.parametrize("scaling", ["standardize", "center", "standardize_all"])
@pytest.mark.parametrize("value", EQUAL)
def test_fault_05_equal_advantages_are_0(value, scaling):
    scaled = scale_advantages(tf.fill([2048], value), ALL, scaling)
    np.testing.assert_array_equal(scaled.advantage, np.zeros(2048))
    # An entropy bonus is not divided by what is no standard deviation.
    assert scaled.entropy_scale == 1.0


def test_fault_05_equal_advantages_beside_others_that_do_not_count():
    values, valid = np.full(2048, 100.1, np.float32), np.ones(2048, bool)
    values[::7], valid[::7] = np.nan, False
    scaled = scale_advantages(tf.constant(values), tf.constant(valid), "standardize")
    np.testing.assert_array_equal(scaled.advantage, np.zeros(2048))


def test_fault_05_advantages_that_differ_by_their_last_bit():
    """As those of equal rewards do, from which a value function took and added different numbers."""
    values = np.full(2048, 100.1, np.float32)
    values[::2] = np.nextafter(values[::2], np.float32(np.inf))
    scaled = scale_advantages(tf.constant(values), ALL, "standardize")
    np.testing.assert_array_equal(scaled.advantage, np.zeros(2048))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
@pytest.mark.parametrize("spread", [1e-5, 0.1])
def test_advantages_that_differ_are_standardized_as_before(scale, spread):
    noise = np.random.default_rng(0).normal(size=2048)
    values = (scale * (1.0 + spread * noise)).astype(np.float32)
    scaled = scale_advantages(tf.constant(values), ALL, "standardize", epsilon=0.0).advantage
    assert float(np.std(scaled)) == pytest.approx(1.0, rel=1e-3)
    assert np.corrcoef(scaled, noise)[0, 1] > 0.999


@pytest.mark.parametrize("value", EQUAL)
def test_fault_05_the_explained_variance_of_a_constant_target_is_0(value):
    prediction = tf.constant(np.random.default_rng(0).normal(size=2048), tf.float32)
    assert explained_variance(prediction, tf.fill([2048], value), ALL) == 0.0


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_fault_05_a_constant_target_that_was_computed_from_predictions(size):
    """Â + V of rewards that are all 1, in episodes of one step: V is taken from 1 and added again."""
    value = tf.constant(size * np.random.default_rng(0).normal(size=2048), tf.float32)
    target = (1.0 - value) + value
    assert float(tf.reduce_max(target) - tf.reduce_min(target)) > 0.0
    assert explained_variance(value, target, ALL) == 0.0


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_the_explained_variance_does_not_depend_on_units(scale):
    generator = np.random.default_rng(0)
    target, noise = generator.normal(size=[2, 2048])
    prediction = (scale * (target + 0.5 * noise)).astype(np.float32)
    found = explained_variance(tf.constant(prediction), tf.constant(scale * target, tf.float32), ALL)
    assert float(found) == pytest.approx(1.0 - 0.25 * noise.var() / target.var(), abs=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_equal_to_nothing(wrong):
    """It must reach the check that ends a run, not become a 0."""
    values = tf.constant([1.0, wrong, 1.0])
    valid = tf.fill([3], True)
    assert not equal_up_to_rounding(values, valid)
    assert not equal_up_to_rounding(tf.fill([3], wrong), valid)
    assert not np.isfinite(explained_variance(tf.zeros([3]), values, valid))
    assert not np.all(np.isfinite(scale_advantages(values, valid, "standardize").advantage))
