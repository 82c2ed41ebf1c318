"""The dense layer with random weights, against weights that are drawn and multiplied one by one."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.networks import NoisyDense

INPUTS, UNITS = 3, 2
# Rows 0 and 2 are the same input.
X = np.array([[0.5, -1.0, 2.0], [0.0, 0.3, 0.0], [0.5, -1.0, 2.0]], np.float32)


def make_layer(seed=0, rho=(-1.5, 0.5)):
    layer = NoisyDense(UNITS)
    layer.build([None, INPUTS])
    generator = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        bounds = rho if "rho" in variable.name else (-1.0, 1.0)
        variable.assign(generator.uniform(*bounds, variable.shape))
    return layer


def parameters(layer):
    """μ_W, μ_b, σ_W, σ_b."""
    kernel, bias, kernel_rho, bias_rho = (variable.numpy() for variable in layer.trainable_variables)
    return kernel, bias, np.log1p(np.exp(kernel_rho)), np.log1p(np.exp(bias_rho))


def slow_product(layer, x, noise):
    """y `[units]` of x `[I]` and a number for each weight, by loops."""
    kernel, bias, kernel_std, bias_std = parameters(layer)
    y = np.zeros(UNITS)
    for unit in range(UNITS):
        y[unit] = bias[unit] + bias_std[unit] * noise[INPUTS * UNITS + unit]
        for index in range(INPUTS):
            weight = kernel[index, unit] + kernel_std[index, unit] * noise[index * UNITS + unit]
            y[unit] += x[index] * weight
    return y


def normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 3])


def test_given_weights_are_multiplied():
    layer = make_layer()
    assert layer.num_weights == (INPUTS + 1) * UNITS and layer.num_outputs == UNITS
    noise = normal(4, 3, layer.num_weights)
    y = layer.with_weights(X, noise)
    expected = [[slow_product(layer, X[row], noise[s, row].numpy()) for row in range(3)] for s in range(4)]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    # Of one draw for all rows, of inputs that depend on the sample, of a single input.
    shared = layer.with_weights(X, noise[:, :1])
    expected = [[slow_product(layer, X[row], noise[s, 0].numpy()) for row in range(3)] for s in range(4)]
    np.testing.assert_allclose(shared, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.with_weights(tf.stack([X] * 4), noise[:, :1]), shared, rtol=1e-4)
    np.testing.assert_allclose(layer.with_weights(X[1], noise[2, 0]), shared[2, 1], rtol=1e-4, atol=1e-6)


def test_without_noise_it_is_the_mean():
    layer = make_layer()
    kernel, bias, *_ = parameters(layer)
    np.testing.assert_allclose(layer(X), X @ kernel + bias, rtol=1e-5, atol=1e-6)
    for y in (layer.with_weights(X, tf.zeros([3, 8])), layer.local(X, tf.zeros([3, 2]))):
        np.testing.assert_allclose(y, layer(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.local(X[0], tf.zeros([2])), layer(X)[0], rtol=1e-5, atol=1e-6)


def test_the_local_form_has_the_distribution_of_weights_drawn_for_each_row():
    layer, count = make_layer(), 200_000
    kernel, bias, kernel_std, bias_std = parameters(layer)
    generator = np.random.default_rng(1)
    weights = kernel + kernel_std * generator.standard_normal([count, 3, INPUTS, UNITS])
    biases = bias + bias_std * generator.standard_normal([count, 3, UNITS])
    drawn = (np.einsum("ri,sriu->sru", X, weights) + biases).reshape(count, -1)
    local = layer.local(X, normal(count, 3, UNITS)).numpy().reshape(count, -1)
    covariance = np.diag((np.square(X) @ np.square(kernel_std) + np.square(bias_std)).ravel())
    std = np.sqrt(np.diag(covariance))
    for found in (drawn, local):
        # Four standard errors. Rows are independent, those of equal inputs too.
        np.testing.assert_allclose(
            (found.mean(0) - (X @ kernel + bias).ravel()) / std, np.zeros(6), atol=4 / count**0.5
        )
        np.testing.assert_allclose(
            (np.cov(found.T) - covariance) / np.outer(std, std), np.zeros([6, 6]), atol=4 * (2 / count) ** 0.5
        )
    quantiles = [0.02, 0.3, 0.7, 0.98]
    np.testing.assert_allclose(
        np.quantile(local, quantiles, 0) / std, np.quantile(drawn, quantiles, 0) / std, atol=0.04
    )


def test_the_local_forms_gradient_is_that_of_its_formula():
    """∂y/∂ρ_W = ξ·x²·σ·σ'(ρ)/√v, and so on, by central differences."""
    layer, noise = make_layer(), normal(3, UNITS)
    variables = layer.trainable_variables
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(tf.square(layer.local(x, noise)))
    *gradients, slope = tape.gradient(total, [*variables, x])

    def at(values, inputs):
        kernel, bias, kernel_rho, bias_rho = values
        kernel_std, bias_std = np.log1p(np.exp(kernel_rho)), np.log1p(np.exp(bias_rho))
        variance = np.square(inputs) @ np.square(kernel_std) + np.square(bias_std)
        return np.sum(np.square(inputs @ kernel + bias + np.sqrt(variance) * noise.numpy()))

    values = [variable.numpy().astype(np.float64) for variable in variables] + [X.astype(np.float64)]
    for index, gradient in enumerate([*gradients, slope]):
        for entry in np.ndindex(*gradient.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [value.copy() for value in values]
                moved[index][entry] += step
                ends.append(at(moved[:4], moved[4]))
            np.testing.assert_allclose(gradient[entry], (ends[0] - ends[1]) / 2e-5, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("rho", [-1e30, -100.0, -40.0, 10.0])
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e6])
def test_nothing_is_nan_where_noise_or_inputs_vanish(rho, scale):
    layer = NoisyDense(UNITS, initial_rho=rho)
    layer.build([None, INPUTS])
    x = tf.constant(scale * X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer.local(x, normal(3, UNITS)), layer.with_weights(x, normal(3, layer.num_weights))
    gradients = tape.gradient(y, [x, *layer.trainable_variables])
    for each in (*y, *gradients):
        assert np.isfinite(each).all()
    if rho < -30:
        for each in y:
            np.testing.assert_allclose(each, layer(x), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(units=0), "units must be 1 or more; got 0"),
        (
            dict(units=2, initial_rho=float("nan")),
            "initial_rho must be a finite number of at most 10; got nan",
        ),
        (dict(units=2, initial_rho=-float("inf")), "-100 for none"),
        (dict(units=2, initial_rho=11.0), "at most 10; got 11"),
    ],
)
def test_a_wrong_setting_is_named(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        NoisyDense(**arguments)
