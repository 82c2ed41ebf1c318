"""Couplings and their conditioners against slow references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import AffineConditioner, AffineCoupling
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.testing.assertions import perturbed
from tests.bijectors import reference

tfb = tfp.bijectors
tfd = tfp.distributions

GENERATOR = np.random.default_rng(0)


def make_coupling(event_size, transformed="last", **options):
    half = -(-event_size // 2)
    sizes = (half, event_size - half) if transformed == "last" else (event_size - half, half)
    layer = AffineConditioner(*sizes, dtype="float64", **options)
    return layer, AffineCoupling(layer, event_size, transformed, tf.float64)


@pytest.mark.parametrize("transformed", ["last", "first"])
@pytest.mark.parametrize("event_size", [2, 3, 6, 17])
def test_a_coupling_equals_the_reference(event_size, transformed):
    layer, coupling = make_coupling(event_size, transformed)
    x = GENERATOR.standard_normal([5, event_size])
    with perturbed(layer.trainable_variables, 0.3, seed=event_size):
        y = coupling.forward(x).numpy()
        log_det = coupling.forward_log_det_jacobian(x, 1).numpy()
        for i in range(5):
            expected, expected_log_det = reference.coupling(layer, x[i], transformed)
            np.testing.assert_allclose(y[i], expected, atol=1e-12)
            np.testing.assert_allclose(log_det[i], expected_log_det, atol=1e-12)
            # The part that conditions, ⌈A/2⌉ or ⌊A/2⌋ components, is left alone and the other one is not.
            half = -(-event_size // 2)
            changed = np.arange(event_size) >= half if transformed == "last" else np.arange(event_size) < half
            np.testing.assert_array_equal(y[i] != x[i], changed)


@pytest.mark.parametrize(
    ("options", "reference_options"),
    [
        ({"units": (5,)}, {}),
        ({"log_scale_bound": 0.2}, {"log_scale_bound": 0.2}),
        ({"activation": "tanh"}, {"activation": math.tanh}),
        ({"activation": "tanh", "layer_norm": False}, {"activation": math.tanh, "layer_norm": False}),
    ],
)
def test_a_conditioner_equals_the_reference(options, reference_options):
    layer = AffineConditioner(2, 3, context_size=2, dtype="float64", **options)
    x, context = GENERATOR.standard_normal([4, 6, 2]), GENERATOR.standard_normal([6, 2])
    with perturbed(layer.trainable_variables, 0.5, seed=1):
        log_scale, shift = layer(
            tf.constant(x), context=tf.constant(context)
        )  # A context [6, 2] for samples [4, 6, 2].
        assert log_scale.shape == shift.shape == [4, 6, 3]
        for i, j in np.ndindex(4, 6):
            expected = reference.conditioner(layer, x[i, j], context[j], **reference_options)
            np.testing.assert_allclose([log_scale[i, j], shift[i, j]], expected, atol=1e-12)


def test_a_log_scale_bound_holds():
    layer = AffineConditioner(1, 2, log_scale_bound=0.5)
    with perturbed(layer.trainable_variables, 30.0, seed=0):
        log_scale, shift = layer(tf.constant(GENERATOR.standard_normal([100, 1]), tf.float32))
    assert 0.4 < np.max(np.abs(log_scale)) <= 0.5 and np.max(np.abs(shift)) > 5


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_new_conditioner_is_almost_nothing(layer_norm):
    layer = AffineConditioner(1, 2, layer_norm=layer_norm)
    for output in layer(tf.constant(GENERATOR.standard_normal([100, 1]), tf.float32)):
        assert 0 < np.max(np.abs(output)) < 0.02


def test_a_new_conditioner_tells_more_than_the_sign_of_a_single_input():
    keras.utils.set_random_seed(0)
    layer = AffineConditioner(1, 1, units=(16, 16))
    for output in layer(tf.constant([[1.0], [3.0]])):
        assert np.ptp(output) > 0.05 * np.max(np.abs(output))


@pytest.mark.parametrize("in_a_graph", [False, True])
def test_a_density_evaluates_the_conditioner_once(in_a_graph):
    layer = AffineConditioner(2, 1)
    calls = []

    def counting(x):
        calls.append(x.shape)
        return layer(x)

    flow = tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), 3),
        tfb.Chain([AffineCoupling(counting, 3), tfb.Shift([1.0, 2.0, 3.0])]),
    )
    action = tf.constant(GENERATOR.standard_normal([5, 3]), tf.float32)
    seed = tf.constant([0, 1])
    for use in (lambda: flow.log_prob(action), lambda: flow.experimental_sample_and_log_prob(5, seed=seed)):
        calls.clear()
        (tf.function(use, autograph=False) if in_a_graph else use)()
        assert calls == [[5, 2]]


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_couplings_over_one_conditioner_answer_for_its_present_weights(method):
    layer = AffineConditioner(1, 1)

    @tf.function(autograph=False)
    def before_and_after(x):
        values = [getattr(AffineCoupling(layer, 2), method)(x)]
        for variable in layer.trainable_variables:
            variable.assign_add(tf.ones_like(variable))
        return *values, getattr(AffineCoupling(layer, 2), method)(x)

    before, after = before_and_after(tf.constant([[0.5, 1.5]]))
    assert np.abs(before - after).max() > 0.1


def test_gradients_reach_the_conditioner_through_value_and_log_determinant():
    layer, coupling = make_coupling(4)
    x = tf.constant(GENERATOR.standard_normal([5, 4]))
    with perturbed(layer.trainable_variables, 0.3, seed=0):
        for method in (coupling.forward, lambda z: coupling.forward_log_det_jacobian(z, 1)):
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(tf.square(method(tf.identity(x))))
            gradients = tape.gradient(value, layer.trainable_variables)
            # The shift network has no part in the log-determinant; index 0 is the log-scale network.
            assert all(np.any(gradient[0].numpy() != 0) for gradient in gradients)


def test_the_variables_of_a_conditioner_are_the_couplings_too():
    layer, coupling = make_coupling(3)
    assert {v.ref() for v in coupling.trainable_variables} == {v.ref() for v in layer.trainable_variables}
    assert len(layer.trainable_variables) == 10


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AffineCoupling(AffineConditioner(1, 1), 1), "at least 2 components"),
        (lambda: AffineCoupling(AffineConditioner(1, 1), 2, "middle"), "transformed"),
        (lambda: AffineCoupling(AffineConditioner(1, 1), 2).forward([[1.0, 2.0, 3.0]]), "vectors of 2"),
        (lambda: AffineConditioner(1, 1, units=()), "units"),
        (lambda: AffineConditioner(1, 1, log_scale_bound=0.0), "log_scale_bound"),
        (lambda: AffineConditioner(1, 1, context_size=2)(tf.zeros([1, 1])), "context_size=2"),
        (lambda: AffineConditioner(1, 1)(tf.zeros([1, 1]), context=tf.zeros([1, 1])), "context_size=0"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()
