"""Streaming statistics against NumPy's of all the data at once."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.errors import ConfigurationError
from expol_tf.networks import ObservationNormalizer

SPEC = tensor_spec.TensorSpec([3], tf.float32)


def batches():
    """Rollouts of different sizes, means and scales, with masks."""
    generator = np.random.default_rng(0)
    for size, scale in ((4, 1.0), (1, 10.0), (7, 0.1)):
        observations = generator.normal([0.0, 100.0, -3.0], [scale, 1.0, 1e-3], [size, 5, 3])
        yield observations.astype(np.float32), generator.uniform(size=[size, 5]) < 0.7


@pytest.mark.parametrize("in_a_graph", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_statistics_of_batches_are_those_of_all_data(masked, in_a_graph):
    normalizer = ObservationNormalizer(SPEC, clip=None, epsilon=0.0)
    update = tf.function(normalizer.update, reduce_retracing=True) if in_a_graph else normalizer.update
    seen = []
    for observations, valid in batches():
        if masked:
            # What does not count may be anything.
            observations[~valid] = np.nan
            update(tf.constant(observations), tf.constant(valid))
            seen.append(observations[valid])
        else:
            update(tf.constant(observations))
            seen.append(observations.reshape(-1, 3))
    data = np.concatenate(seen).astype(np.float64)
    assert normalizer.count == len(data)
    np.testing.assert_allclose(normalizer.mean, data.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(normalizer.std, data.std(axis=0), rtol=1e-5)
    expected = (data - data.mean(axis=0)) / data.std(axis=0)
    np.testing.assert_allclose(normalizer(tf.constant(data, tf.float32)), expected, rtol=1e-3, atol=1e-3)


def test_before_any_update_it_only_clips():
    normalizer = ObservationNormalizer(SPEC, clip=2.0)
    np.testing.assert_allclose(normalizer(tf.constant([[-1.0, 0.5, 7.0]])), [[-1.0, 0.5, 2.0]], rtol=1e-6)


def test_an_update_without_valid_frames_changes_nothing():
    normalizer = ObservationNormalizer(SPEC)
    observations = tf.constant(np.random.default_rng(0).normal(size=[6, 3]), tf.float32)
    normalizer.update(observations)
    before = [variable.numpy() for variable in normalizer.variables]
    normalizer.update(1e3 * observations, tf.fill([6], False))
    for variable, value in zip(normalizer.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    empty = ObservationNormalizer(SPEC)
    empty.update(observations, tf.fill([6], False))
    np.testing.assert_allclose(empty(observations), observations, rtol=1e-5)


def test_a_constant_component_stays_finite():
    normalizer = ObservationNormalizer(SPEC, clip=5.0)
    normalizer.update(tf.constant([[1.0, 2.0, 3.0]] * 10))
    np.testing.assert_array_equal(normalizer(tf.constant([[1.0, 2.0, 4.0]])), [[0.0, 0.0, 5.0]])


def test_many_updates_do_not_drift():
    normalizer = ObservationNormalizer(SPEC, clip=None)
    batch = tf.constant(np.random.default_rng(0).normal(1e4, 1.0, [1000, 3]), tf.float32)
    update = tf.function(normalizer.update)
    for _ in range(300):
        update(batch)
    np.testing.assert_allclose(normalizer.mean, np.mean(batch.numpy().astype(np.float64), axis=0), rtol=1e-7)
    np.testing.assert_allclose(normalizer.std, np.std(batch.numpy().astype(np.float64), axis=0), rtol=1e-6)


def test_its_variables_are_checkpointed_and_not_trained():
    normalizer = ObservationNormalizer(SPEC)
    assert len(normalizer.variables) == 3 and not normalizer.trainable_variables


@pytest.mark.parametrize("clip", [0.0, -1.0])
def test_a_clip_must_be_positive(clip):
    with pytest.raises(ConfigurationError, match="clip"):
        ObservationNormalizer(SPEC, clip=clip)


@pytest.mark.parametrize("mean", [1e4, -3e4, 1e5 + 1 / 3])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_fault_05_a_large_mean_is_subtracted_before_it_is_rounded(mean, jit_compile):
    """In float32 alone the mean is off by up to half of its last digit, here a quarter of a deviation."""
    std = 2.0 ** np.floor(np.log2(abs(mean)) - 22)  # Two of the last digits.
    data = np.random.default_rng(0).normal(mean, std, [20_000, 3]).astype(np.float32)
    normalizer = ObservationNormalizer(SPEC, clip=None, epsilon=0.0)
    normalizer.update(tf.constant(data))
    normalize = tf.function(normalizer, jit_compile=jit_compile, autograph=False)
    exact = data.astype(np.float64)
    expected = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    np.testing.assert_allclose(normalize(tf.constant(data)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        np.mean(normalize(tf.constant(data)), axis=0, dtype=np.float64), 0.0, atol=1e-5
    )
