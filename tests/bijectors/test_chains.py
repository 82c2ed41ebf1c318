"""Flows as chains: u = g_K ∘ … ∘ g_2 ∘ ( L(s) + g_1(ε) )."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import ElementwiseSpline, flow_chain, make_transformations
from expol_tf.errors import ConfigurationError
from expol_tf.testing.assertions import perturbed
from tests.bijectors import reference

tfd = tfp.distributions


def all_variables(transformations):
    return [
        variable for layers in transformations for layer in layers for variable in layer.trainable_variables
    ]


@pytest.mark.parametrize("event_size", [2, 3])
def test_a_flow_equals_the_reference(event_size):
    transformations = make_transformations(event_size, 3, dtype="float64")
    generator = np.random.default_rng(0)
    noise, shift = generator.standard_normal([4, event_size]), generator.standard_normal([4, event_size])
    with perturbed(all_variables(transformations), 0.3, seed=0):
        flow = flow_chain(transformations, event_size, tf.constant(shift), dtype=tf.float64)
        found, log_det = flow.forward(noise).numpy(), flow.forward_log_det_jacobian(noise, 1).numpy()
        for i in range(4):
            x, total = noise[i], 0.0
            for index, layers in enumerate(transformations):
                for layer, part in zip(layers, ("last", "first"), strict=True):
                    x, log_scales = reference.coupling(layer, x, part)
                    total += log_scales
                if index == 0:
                    x = x + shift[i]
            np.testing.assert_allclose(found[i], x, atol=1e-12)
            np.testing.assert_allclose(log_det[i], total, atol=1e-12)


def test_each_transformation_changes_every_component():
    transformations = make_transformations(5, 1)
    x = tf.constant(np.random.default_rng(0).standard_normal([1, 5]), tf.float32)
    with perturbed(all_variables(transformations), 0.3, seed=0):
        assert np.all(flow_chain(transformations, 5).forward(x).numpy() != x.numpy())


def test_a_new_flow_is_almost_the_identity():
    x = np.random.default_rng(0).standard_normal([50, 3]).astype(np.float32)
    flow = flow_chain(make_transformations(3, 4), 3)
    assert 0 < np.max(np.abs(flow.forward(x) - x)) < 0.1


def test_a_flow_without_transformations_is_the_state_shift():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    shift = tf.constant([[0.5, 0.25], [0.75, -1.0]])
    np.testing.assert_array_equal(flow_chain([], 2, shift).forward(x), x + shift)
    np.testing.assert_array_equal(flow_chain([], 2).forward(x), x)


def test_single_components_get_splines():
    transformations = make_transformations(1, 2)
    assert [type(layer) for layers in transformations for layer in layers] == [ElementwiseSpline] * 2
    x = tf.constant([[-5.0], [-1.0], [0.0], [3.0]])
    shift = tf.constant([[0.5]])
    # New splines are the identity.
    np.testing.assert_allclose(flow_chain(transformations, 1, shift).forward(x), x + shift, atol=1e-6)


def test_a_spline_is_monotone_inside_its_range_and_the_identity_outside():
    spline = ElementwiseSpline(2, half_range=3.0, dtype="float64")
    x = tf.constant(np.linspace(-5, 5, 401)[:, np.newaxis] * [1, 1])
    with perturbed(spline.trainable_variables, 1.0, seed=0):
        y = spline.bijector().forward(x).numpy()
    assert np.all(np.diff(y, axis=0) > 0)
    outside = np.abs(x) > 3
    np.testing.assert_array_equal(y[outside], x.numpy()[outside])
    assert np.abs(y - x.numpy()).max() > 0.1 and np.abs(y[:, 0] - y[:, 1]).max() > 0.1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: make_transformations(2, -1), "num_transformations"),
        (lambda: make_transformations(0, 1), "event_size"),
        (lambda: make_transformations(1, 1, context_size=3), "context_size=3"),
        (lambda: ElementwiseSpline(num_bins=1), "num_bins"),
        (lambda: ElementwiseSpline(half_range=0.0), "half_range"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_gradients_of_a_density_equal_finite_differences():
    transformations = make_transformations(3, 2, dtype="float64")
    variables = all_variables(transformations)
    generator = np.random.default_rng(0)
    shift, point = (tf.Variable(generator.standard_normal([4, 3])) for _ in range(2))
    base = tfd.Independent(tfd.Normal(tf.zeros([4, 3], tf.float64), tf.ones([], tf.float64)), 1)

    def log_prob(action):
        flow = flow_chain(transformations, 3, shift, dtype=tf.float64)
        return tf.reduce_sum(tfd.TransformedDistribution(base, flow).log_prob(tf.identity(action)))

    with perturbed(variables, 0.3, seed=0):
        with tf.GradientTape() as tape:
            value = log_prob(point)
        gradients = tape.gradient(value, [point, shift, *variables])
        for variable, gradient in zip([point, shift, *variables], gradients, strict=True):
            direction = generator.standard_normal(variable.shape)
            before, values = variable.numpy(), []
            for step in (1e-6, -1e-6):
                variable.assign(before + step * direction)
                values.append(log_prob(point))
            variable.assign(before)
            difference = (values[0] - values[1]) / 2e-6
            np.testing.assert_allclose(np.sum(gradient * direction), difference, rtol=1e-5, atol=1e-6)
