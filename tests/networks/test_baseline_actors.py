"""Gaussian and mixture policies, value networks and their parts."""

from __future__ import annotations

import typing

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.distributions import greedy_action
from expol_tf.errors import ConfigurationError, SpaceError
from expol_tf.keras_api import keras
from expol_tf.networks import (
    GaussianActorNetwork,
    LogStd,
    MixtureActorNetwork,
    NormalizedColumns,
    ValueNetwork,
    make_mlp,
    vector_size,
)
from expol_tf.testing.assertions import perturbed
from expol_tf.text_types import Activation

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
LOW, HIGH = np.array([-0.4, 0.0]), np.array([0.4, 10.0])
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, LOW, HIGH)
STATES = tf.constant(np.random.default_rng(0).standard_normal([4, 3]), tf.float32)


@pytest.mark.parametrize("log_std", [0, -1.5])
@pytest.mark.parametrize("make", [GaussianActorNetwork, MixtureActorNetwork])
def test_a_new_policy_is_almost_centred_and_as_wide_as_asked(make, log_std):
    policy = make(OBSERVATION, ACTION, log_std=LogStd(log_std))(STATES)[0]
    samples = policy.sample(20000, seed=tf.constant([0, 1])).numpy()
    u = (samples - (LOW + HIGH) / 2) / ((HIGH - LOW) / 2)
    np.testing.assert_allclose(np.mean(u, axis=0), np.zeros([4, 2]), atol=0.08)
    np.testing.assert_allclose(np.std(u, axis=0), np.full([4, 2], np.exp(log_std)), rtol=0.05)


def test_the_deviation_of_a_gaussian_does_not_depend_on_the_state():
    network = GaussianActorNetwork(OBSERVATION, ACTION)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        policy = network(STATES)[0]
    np.testing.assert_array_equal(policy.stddev(), np.tile(policy.stddev()[:1], [4, 1]))
    assert np.ptp(policy.mean()[:, 0]) > 0.1


def test_the_components_of_a_new_mixture_differ():
    network = MixtureActorNetwork(OBSERVATION, ACTION, num_components=5)
    means = network(STATES)[0].components_distribution.mean().numpy()
    assert means.shape == (4, 5, 2)
    assert all(np.any(means[:, i] != means[:, j]) for i in range(5) for j in range(i))
    assert len(network.trainable_variables) == 5 * 6 + 1


def test_a_mixture_of_one_is_a_gaussian():
    mixture = MixtureActorNetwork(OBSERVATION, ACTION, num_components=1, squash=True)
    gaussian = GaussianActorNetwork(OBSERVATION, ACTION, squash=True)
    with perturbed(mixture.trainable_variables, 0.2, seed=0):
        for its, mine in zip(gaussian.layers[0].weights, mixture.layers[0].weights, strict=True):
            its.assign(mine)
        gaussian.variables[[v.shape for v in gaussian.variables].index([2])].assign(
            mixture.variables[[v.shape for v in mixture.variables].index([1, 2])][0]
        )
        policies = mixture(STATES)[0], gaussian(STATES)[0]
    action = (LOW + HIGH) / 2 + (HIGH - LOW) / 2 * np.random.default_rng(0).uniform(-0.9, 0.9, [5, 4, 2])
    np.testing.assert_allclose(
        *(each.log_prob(np.float32(action)) for each in policies), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(*(greedy_action(each) for each in policies), rtol=1e-5)


def test_the_entropy_of_a_gaussian_is_in_action_units():
    policy = GaussianActorNetwork(OBSERVATION, ACTION)(STATES)[0]
    expected = np.log(2 * np.pi * np.e) + np.log(0.4 * 5.0)
    np.testing.assert_allclose(policy.entropy(), np.full(4, expected), rtol=1e-5)


def test_a_value_is_a_number_per_observation():
    network = ValueNetwork(OBSERVATION, hidden_units=(8,))
    assert len(network.trainable_variables) == 4
    value, state = network(STATES)
    first, first_bias, last, last_bias = (variable.numpy() for variable in network.trainable_variables)
    expected = np.tanh(STATES.numpy() @ first + first_bias) @ last + last_bias
    assert value.shape == [4] and state == ()
    np.testing.assert_allclose(value, expected[:, 0], rtol=1e-5)
    copy = network.copy()
    assert not {v.ref() for v in copy.variables} & {v.ref() for v in network.variables}


def test_normalized_columns_have_the_length_asked_for():
    weights = NormalizedColumns(0.01)([50, 7])
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), np.full(7, 0.01), rtol=1e-5)
    assert np.ptp(weights) > 0


def test_initial_weights_follow_the_global_seed():
    draws = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        draws.append(GaussianActorNetwork(OBSERVATION, ACTION)(STATES)[0].mean().numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.any(draws[0] != draws[2])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: MixtureActorNetwork(OBSERVATION, ACTION, num_components=0),
            ConfigurationError,
            "num_components",
        ),
        (lambda: make_mlp(3, (4, 0), 2), ConfigurationError, "hidden_units"),
        (lambda: vector_size(tensor_spec.TensorSpec([], tf.float32)), SpaceError, "observation_spec"),
        (lambda: ValueNetwork(tensor_spec.TensorSpec([8, 8, 3], tf.uint8)), SpaceError, "FlattenObservation"),
        (
            lambda: GaussianActorNetwork(OBSERVATION, tensor_spec.BoundedTensorSpec([1], tf.int32, 0, 3)),
            SpaceError,
            "action_spec",
        ),
        (
            lambda: GaussianActorNetwork(
                OBSERVATION, tensor_spec.BoundedTensorSpec([1], tf.float32, 0, np.inf)
            ),
            SpaceError,
            "finite bounds",
        ),
    ],
)
def test_mistakes_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_fault_15_activations_are_functions_of_keras():
    pattern = typing.get_args(Activation)[1]
    for name in pattern.expression.split("|"):
        assert not isinstance(keras.activations.get(name), keras.layers.Layer)
        assert make_mlp(3, (4,), 2, name)(STATES).shape == [4, 2]
    functions = {name for name in vars(keras.activations) if not name.startswith("_")}
    assert {name for name in functions if pattern.problem(name)} == {"deserialize", "get", "serialize"}
    for name in ("no", "get", "PReLU", ""):  # A layer such as PReLU would have variables of its own.
        with pytest.raises(ConfigurationError, match="activation must be Keras's name of an activation"):
            make_mlp(3, (4,), 2, name)
