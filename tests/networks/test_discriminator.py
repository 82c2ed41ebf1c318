"""The discriminator network, and its spectral normalization against decompositions."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.errors import ConfigurationError, SpaceError
from expol_tf.networks import DiscriminatorNetwork
from expol_tf.optimizers import Adam

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


def spectral(hidden_units=(64, 32), **options):
    return DiscriminatorNetwork(OBSERVATION, ACTION, hidden_units, spectral_normalization=True, **options)


def largest_by_decomposition(network):
    return [np.linalg.svd(kernel, compute_uv=False)[0] for kernel, _ in kernels_and_biases(network)]


def estimated(network):
    return [float(layer.sigma()) for layer in network.layers]


def test_singular_values_are_right_from_the_start():
    network = spectral((256, 256))
    assert len(estimated(network)) == 3
    np.testing.assert_allclose(estimated(network), largest_by_decomposition(network), rtol=1e-5)


def train(network, steps, learning_rate, update=True):
    """Toward a steep function of the action, with one update of the vectors a step."""
    optimizer = Adam(learning_rate)
    optimizer.build(network.trainable_variables)

    @tf.function
    def run():
        for step in tf.range(steps):
            if update:
                network.update_spectral_norms()
            seed = tf.stack([step, 0])
            observation = tf.random.stateless_normal([64, 3], seed)
            x = tf.random.stateless_uniform([64, 2], seed, -1.0, 1.0)
            target = 20.0 * tf.sin(3.0 * x[:, 0]) * observation[:, 1]
            action = tf.constant(MIDDLE, tf.float32) + tf.constant(HALF, tf.float32) * x
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(network((observation, action))[0] - target))
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    run()


def test_singular_values_follow_the_kernels_while_they_train():
    network = spectral()
    before = largest_by_decomposition(network)
    train(network, 200, 3e-3)
    after = largest_by_decomposition(network)
    assert np.max(np.abs(np.log(after) - np.log(before))) > 0.3
    network.update_spectral_norms()
    np.testing.assert_allclose(estimated(network), after, rtol=5e-3)
    # Never too large: it is the length that the kernel gives to some unit vector.
    assert np.all(np.array(estimated(network)) <= np.array(after) * (1 + 1e-5))


def test_without_updates_they_do_not_follow():
    network = spectral()
    train(network, 200, 3e-3, update=False)
    off = np.array(estimated(network)) / largest_by_decomposition(network)
    assert np.min(off) < 0.95
    network.update_spectral_norms(100)
    np.testing.assert_allclose(estimated(network), largest_by_decomposition(network), rtol=0.02)


@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
def test_no_two_points_are_further_apart_in_value_than_in_place(activation):
    network = spectral(activation=activation)
    train(network, 200, 3e-3)
    network.update_spectral_norms(50)

    def ratios(distance):
        observation, action = batch(4000)
        generator = np.random.default_rng(5)
        move = distance * generator.standard_normal([4000, 5])
        other = observation + move[:, :3], action + move[:, 3:] * HALF
        other = [tf.cast(each, tf.float32) for each in other]
        change = network((observation, action))[0] - network(tuple(other))[0]
        return np.abs(change) / np.linalg.norm(move, axis=1)

    found = np.concatenate([ratios(1.0), ratios(0.05)])
    assert found.max() < 1.001
    # Not for want of a slope.
    assert found.max() > 0.2


def test_without_normalization_they_are():
    network = DiscriminatorNetwork(OBSERVATION, ACTION, (64, 32))
    train(network, 200, 3e-3)
    network.update_spectral_norms()
    observation, action = batch(4000)
    change = network((observation, action))[0] - network((observation + 0.05, action))[0]
    assert np.max(np.abs(change)) / (0.05 * np.sqrt(3)) > 3


def test_the_gradient_goes_through_the_division():
    network = spectral((8, 6), activation="tanh")
    observation, action = batch(30)

    @tf.function
    def loss():
        return tf.reduce_mean(tf.square(network((observation, action))[0] - 1.0))

    # At a simple singular value the derivative with v moving along is that with v held.
    follow = tf.function(functools.partial(network.update_spectral_norms, 30))
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, network.trainable_variables)
    generator = np.random.default_rng(0)
    for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
        start, direction = variable.numpy(), generator.standard_normal(variable.shape).astype(np.float32)
        values = []
        for sign in (1, -1):
            variable.assign(start + 1e-2 * sign * direction)
            follow()
            values.append(float(loss()))
        variable.assign(start)
        follow()
        slope = (values[0] - values[1]) / 2e-2
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=0.01, atol=2e-4)
    # A kernel's length has no effect, so nothing is to be gained along it.
    for kernel, gradient in zip(network.trainable_variables[::2], gradients[::2], strict=True):
        aligned = np.sum(kernel * gradient) / np.linalg.norm(kernel) / np.linalg.norm(gradient)
        np.testing.assert_allclose(aligned, 0.0, atol=1e-4)


def test_a_kernel_of_zeros_is_no_accident():
    network = spectral()
    network.trainable_variables[-2].assign(tf.zeros([32, 1]))
    network.update_spectral_norms()
    observation, action = batch(10)
    with tf.GradientTape() as tape:
        value = network((observation, action))[0]
    gradients = tape.gradient(value, network.trainable_variables)
    assert np.all(np.isfinite(value)) and all(np.all(np.isfinite(each)) for each in gradients)
    network.trainable_variables[-2].assign(tf.ones([32, 1]))
    network.update_spectral_norms()
    np.testing.assert_allclose(estimated(network), largest_by_decomposition(network), rtol=1e-4)


def test_they_are_kept_with_a_checkpoint(tmp_path):
    network = spectral()
    train(network, 50, 3e-3)
    path = tf.train.Checkpoint(network=network).write(str(tmp_path / "network"))
    other = spectral()
    tf.train.Checkpoint(network=other).read(path).assert_consumed()
    observation, action = batch(10)
    np.testing.assert_array_equal(other((observation, action))[0], network((observation, action))[0])


def test_under_a_strategy_vectors_follow_outside_of_replicas():
    devices = tf.config.list_logical_devices("CPU")[:1]
    strategy = tf.distribute.MirroredStrategy([each.name for each in devices])
    with strategy.scope():
        network = spectral()
        network.trainable_variables[0].assign(tf.ones([5, 64]))
        tf.function(network.update_spectral_norms)()
    observation, action = batch(10)
    value = strategy.run(lambda: network((observation, action))[0])
    np.testing.assert_allclose(estimated(network), largest_by_decomposition(network), rtol=1e-4)
    np.testing.assert_allclose(value, slow_value(network, observation, action, True), atol=1e-5)


@pytest.mark.parametrize("hidden_units", [(), (16, 0)])
def test_sizes_that_are_none_are_refused(hidden_units):
    with pytest.raises(ConfigurationError, match="hidden_units must be .* got"):
        DiscriminatorNetwork(OBSERVATION, ACTION, hidden_units)


def test_a_steep_activation_is_refused_with_normalization_alone():
    with pytest.raises(ConfigurationError, match="activation must have no slope above 1 .* got 'gelu'"):
        spectral(activation="gelu")
    DiscriminatorNetwork(OBSERVATION, ACTION, (4,), activation="gelu")


def test_spaces_that_are_no_vectors_are_refused():
    image = tensor_spec.TensorSpec([8, 8, 3], tf.float32)
    with pytest.raises(SpaceError, match="observation_spec"):
        DiscriminatorNetwork(image, ACTION)
    with pytest.raises(SpaceError, match="action_spec"):
        DiscriminatorNetwork(OBSERVATION, tensor_spec.BoundedTensorSpec([2], tf.int32, 0, 3))
