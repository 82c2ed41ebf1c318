"""Statistics over valid frames."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.objectives import explained_variance, masked_mean, masked_variance


def masked_sample(seed=0):
    generator = np.random.default_rng(seed)
    valid = generator.uniform(size=(7, 11)) < 0.6
    values = np.where(valid, generator.normal(2.0, 3.0, (7, 11)), np.nan)
    return values, valid


def test_mean_and_variance_of_the_valid():
    values, valid = masked_sample()
    chosen = values[valid]
    assert float(masked_mean(values, valid)) == pytest.approx(chosen.mean())
    assert float(masked_variance(values, valid)) == pytest.approx(chosen.var())


def test_nothing_valid_is_zero():
    values, _ = masked_sample()
    nothing = np.zeros(values.shape, bool)
    assert float(masked_mean(values, nothing)) == 0.0
    assert float(masked_variance(values, nothing)) == 0.0


def test_invalid_values_have_no_gradient():
    values, valid = map(tf.constant, masked_sample())
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = masked_mean(values, valid) + masked_variance(values, valid)
    gradient = tape.gradient(total, values).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[~valid.numpy()], 0.0)
    assert (gradient[valid.numpy()] != 0.0).all()


def test_explained_variance():
    target, valid = masked_sample(1)
    noise = np.random.default_rng(2).normal(0.0, 1.0, target.shape)
    chosen = 1.0 - noise[valid].var() / target[valid].var()
    assert float(explained_variance(target - noise, target, valid)) == pytest.approx(chosen)
    assert float(explained_variance(target, target, valid)) == pytest.approx(1.0)
    # A constant offset is no unexplained variance.
    assert float(explained_variance(target + 7.0, target, valid)) == pytest.approx(1.0)
    constant = np.full(target.shape, 7.0)
    assert float(explained_variance(constant, target, valid)) == pytest.approx(0.0, abs=1e-12)
    assert float(explained_variance(-target, target, valid)) == pytest.approx(-3.0)


def test_explained_variance_of_a_constant_target_is_finite():
    valid = np.ones(5, bool)
    assert np.isfinite(float(explained_variance(np.arange(5.0), np.ones(5), valid)))
