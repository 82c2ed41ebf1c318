"""The sampling and the deterministic network, and deviations of the state."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.distributions import greedy_action, split_squash
from expol_tf.errors import ConfigurationError, SpaceError
from expol_tf.networks import (
    DeterministicActorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    LogStd,
    MixtureActorNetwork,
    SamplingActorNetwork,
)
from expol_tf.random.generators import standard_normal
from expol_tf.testing.assertions import perturbed

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
LOW, HIGH = np.array([-0.4, 0.0]), np.array([0.4, 10.0])
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, LOW, HIGH)
STATES = tf.constant(np.random.default_rng(0).standard_normal([4, 3]), tf.float32)
SEED = tf.constant([0, 1])


def parts(policy):
    """Mean and deviation of u, `[..., A]`, and of the components of a mixture."""
    latent, _ = split_squash(policy)
    if hasattr(latent, "components_distribution"):
        latent = latent.components_distribution
    return latent.mean().numpy(), latent.stddev().numpy()


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("make", [GaussianActorNetwork, MixtureActorNetwork])
def test_a_deviation_may_depend_on_the_state(make, squash):
    network = make(OBSERVATION, ACTION, squash=squash, log_std=LogStd(-0.5, True))
    unit = np.ones(2) if squash else (HIGH - LOW) / 2
    std = parts(network(STATES)[0])[1] / unit
    np.testing.assert_allclose(std, np.full(std.shape, np.exp(-0.5)), rtol=0.05)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        mean, std = parts(network(STATES)[0])
    assert np.ptp(std[..., 0], axis=0).min() > 0.01 and np.ptp(mean[..., 0], axis=0).min() > 0.01
    # A head, and no variable of its own.
    assert [variable.shape for variable in network.variables if variable.shape.rank == 2][-1] == [64, 4]
    assert not any(
        "log_std" in v.name and v.shape.rank < 2 and "bias" not in v.name for v in network.variables
    )


@pytest.mark.parametrize("make", [GaussianActorNetwork, MixtureActorNetwork])
def test_a_deviation_stays_within_its_bounds(make):
    network = make(OBSERVATION, ACTION, squash=True, log_std=LogStd(0.0, True, (-2.0, 0.5)))
    with perturbed(network.trainable_variables, 2.0, seed=0):
        log_std = np.log(parts(network(STATES)[0])[1])
    np.testing.assert_allclose([np.min(log_std), np.max(log_std)], [-2.0, 0.5], rtol=1e-5)
    with pytest.raises(ConfigurationError, match="LogStd.bounds must be .* got"):
        LogStd(bounds=(2.0, -20.0))


@pytest.mark.parametrize(
    "make",
    [
        GaussianActorNetwork,
        functools.partial(GaussianActorNetwork, log_std=LogStd(state_dependent=True)),
        functools.partial(MixtureActorNetwork, num_components=1),
        functools.partial(FlowActorNetwork, num_transformations=0),
        DeterministicActorNetwork,
        SamplingActorNetwork,
    ],
)
def test_the_activation_is_that_of_the_hidden_layers(make):
    """Of an affine network, f(s) + f(−s) = 2 f(0); of one with another activation not."""

    def curvature(activation):
        network = make(OBSERVATION, ACTION, hidden_units=(16, 16), activation=activation)
        with perturbed(network.trainable_variables, 0.3, seed=0):
            there, back, origin = (
                greedy_action(split_squash(network(sign * STATES)[0])[0]).numpy() for sign in (1.0, -1.0, 0.0)
            )
        return np.max(np.abs(there + back - 2 * origin))

    assert curvature("linear") < 1e-4
    assert curvature("relu") > 0.1 and curvature("tanh") > 1e-3


def test_a_new_sampler_is_broad_whatever_the_sizes():
    for observation_size, action_size in ((3, 1), (17, 6), (300, 17)):
        tf.keras.utils.set_random_seed(0)
        network = SamplingActorNetwork(
            tensor_spec.TensorSpec([observation_size], tf.float32),
            tensor_spec.BoundedTensorSpec([action_size], tf.float32, -1.0, 1.0),
        )
        states = tf.constant(np.random.default_rng(0).standard_normal([16, observation_size]), tf.float32)
        u = split_squash(network(states)[0])[0].sample(500, seed=SEED).numpy()
        assert 0.3 < np.mean(np.std(u, axis=0)) < 1.0


def test_the_observations_part_of_the_first_layer_is_computed_once():
    """Of the operations for 50 samples, no matrix product has the observation's rows fifty times."""
    network = SamplingActorNetwork(OBSERVATION, ACTION, hidden_units=(8, 8))
    graph = (
        tf.function(lambda s: network(s)[0].sample(50, seed=SEED), autograph=False)
        .get_concrete_function(tf.TensorSpec([4, 3]))
        .graph
    )
    products = [op for op in graph.get_operations() if op.type in ("MatMul", "BatchMatMulV2")]
    rows = [op.outputs[0].shape[0] for op in products if op.inputs[1].shape == [3, 8]]
    assert rows == [4]


def test_a_sampler_is_a_function_of_state_and_noise():
    network = SamplingActorNetwork(OBSERVATION, ACTION, hidden_units=(8, 7), noise_size=5, activation="elu")
    for index, variable in enumerate(network.variables):  # Biases begin at 0.
        variable.assign_add(tf.random.stateless_normal(variable.shape, [index, 0], stddev=0.1))
    u = split_squash(network(STATES)[0])[0].sample(3, seed=SEED)
    noise = standard_normal(tf.constant([3, 4, 5]), tfp.random.sanitize_seed(SEED, salt="implicit"))
    kernels = {tuple(v.shape): v.numpy() for v in network.variables if v.shape.rank == 2}
    biases = [v.numpy() for v in network.variables if v.shape.rank == 1]
    assert kernels.keys() == {(3, 8), (5, 8), (8, 7), (7, 2)} and len(biases) == 3

    def elu(x):
        return np.where(x > 0, x, np.expm1(x))

    hidden = elu(STATES.numpy() @ kernels[3, 8] + biases[0] + noise.numpy() @ kernels[5, 8])
    expected = elu(hidden @ kernels[8, 7] + biases[1]) @ kernels[7, 2] + biases[2]
    np.testing.assert_allclose(u, expected, rtol=1e-4, atol=1e-5)


def test_noise_can_be_restricted_to_fewer_and_fewer_values():
    network = SamplingActorNetwork(OBSERVATION, ACTION, hidden_units=(8,), num_noises=6)
    draw = tf.function(lambda: network(STATES)[0].sample(200, seed=SEED), autograph=False)
    for count in (6, 3, 1):
        network.restrict_noise(count)
        found = np.round(draw().numpy(), 5)
        assert [len(np.unique(found[:, row], axis=0)) for row in range(4)] == [count] * 4
    np.testing.assert_allclose(draw()[0], greedy_action(network(STATES)[0]), rtol=1e-5)
    with pytest.raises(ConfigurationError, match="num_noises=…"):
        SamplingActorNetwork(OBSERVATION, ACTION, hidden_units=(8,)).restrict_noise(1)


@pytest.mark.parametrize(
    "make",
    [DeterministicActorNetwork, SamplingActorNetwork, functools.partial(SamplingActorNetwork, num_noises=4)],
)
def test_an_exported_policy_acts_the_same(make, tmp_path):
    network = make(OBSERVATION, ACTION, hidden_units=(8,))

    class Exported(tf.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        @tf.function(
            input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([2], tf.int32)], autograph=False
        )
        def __call__(self, observation, seed):
            policy = self.network(observation)[0]
            return policy.sample(seed=seed), greedy_action(policy)

    with perturbed(network.trainable_variables, 0.3, seed=0):
        tf.saved_model.save(Exported(), str(tmp_path))
        expected = Exported()(STATES, SEED)
    found = tf.saved_model.load(str(tmp_path))(STATES, SEED)
    for each, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(each, value, rtol=1e-6)
    assert np.any(np.abs(expected[0] - (LOW + HIGH) / 2) > 0.01)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(hidden_units=()), "one hidden layer or more"),
        (dict(noise_size=0), "noise_size must be 1 or more"),
        (dict(num_noises=0), "num_noises must be 1 or more"),
    ],
)
def test_a_wrong_setting_is_named(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        SamplingActorNetwork(OBSERVATION, ACTION, **arguments)


@pytest.mark.parametrize("make", [DeterministicActorNetwork, SamplingActorNetwork])
def test_an_unbounded_action_is_refused(make):
    with pytest.raises(SpaceError, match="finite bounds"):
        make(OBSERVATION, tensor_spec.BoundedTensorSpec([2], tf.float32, -np.inf, 1.0))
