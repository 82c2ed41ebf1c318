"""The discriminator network, and its spectral normalization against decompositions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.networks import DiscriminatorNetwork

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
LOW, HIGH = np.array([-0.4, 0.0]), np.array([0.4, 10.0])
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, LOW, HIGH)
MIDDLE, HALF = (LOW + HIGH) / 2, (HIGH - LOW) / 2


def batch(size, seed=0):
    """Observations, and actions of the box."""
    generator = np.random.default_rng(seed)
    observation = generator.standard_normal([size, 3])
    action = generator.uniform(LOW, HIGH, [size, 2])
    return tf.constant(observation, tf.float32), tf.constant(action, tf.float32)


def kernels_and_biases(network):
    weights = [each.numpy().astype(np.float64) for each in network.trainable_variables]
    return list(zip(weights[0::2], weights[1::2], strict=True))


def slow_value(network, observation, action, normalized):
    """By loops over layers and, for the largest singular value, a decomposition."""
    hidden = np.concatenate([observation, (np.asarray(action) - MIDDLE) / HALF], axis=1)
    layers = kernels_and_biases(network)
    for kernel, bias in layers:
        if normalized:
            kernel = kernel / np.linalg.svd(kernel, compute_uv=False)[0]
        hidden = hidden @ kernel + bias
        if kernel.shape[1] > 1:
            hidden = np.maximum(hidden, 0.0)
    return hidden[:, 0]


@pytest.mark.parametrize("normalized", [False, True])
def test_it_is_the_network_of_scaled_actions(normalized):
    network = DiscriminatorNetwork(OBSERVATION, ACTION, spectral_normalization=normalized)
    for each in network.trainable_variables[1::2]:
        each.assign(0.1 * tf.random.stateless_normal(each.shape, [0, 1]))
    observation, action = batch(20)
    value, state = network((observation, action))
    assert value.shape == [20] and state == ()
    np.testing.assert_allclose(value, slow_value(network, observation, action, normalized), atol=1e-5)
    assert np.ptp(value) > 1e-3
    compiled = tf.function(lambda *inputs: network(inputs)[0])
    np.testing.assert_allclose(compiled(observation, action), value, atol=1e-6)
    assert [tuple(kernel.shape) for kernel, _ in kernels_and_biases(network)] == [
        (5, 256),
        (256, 256),
        (256, 1),
    ]


@pytest.mark.parametrize(("normalized", "variables"), [(False, 6), (True, 9)])
def test_all_variables_are_there_and_a_copy_has_its_own(normalized, variables):
    network = DiscriminatorNetwork(OBSERVATION, ACTION, (16, 8), spectral_normalization=normalized)
    assert len(network.variables) == variables and len(network.trainable_variables) == 6
    observation, action = batch(50)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(network((observation, action))[0] - 1.0))
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(np.any(np.abs(each) > 0) for each in gradients)
    copy = network.copy(name="copy")
    assert len(copy.variables) == variables
    assert not {id(each) for each in copy.variables} & {id(each) for each in network.variables}
    assert np.ptp(copy((observation, action))[0] - network((observation, action))[0]) > 1e-3
    # With the same variables it is the same function: nothing else is kept.
    for mine, other in zip(network.variables, copy.variables, strict=True):
        other.assign(mine)
    np.testing.assert_array_equal(copy((observation, action))[0], network((observation, action))[0])
