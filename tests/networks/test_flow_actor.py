"""The flow policy against a slow reference, and its options."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import array_spec, tensor_spec

from expol_tf.bijectors import AffineConditioner
from expol_tf.distributions import greedy_action
from expol_tf.errors import ConfigurationError, SpaceError
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork
from expol_tf.testing.assertions import perturbed
from tests.bijectors import reference

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
LOW, HIGH = np.array([-0.4, 0.0, 999.0]), np.array([0.4, 1.0, 1001.0])
ACTION = tensor_spec.BoundedTensorSpec([3], tf.float32, LOW, HIGH)
STATES = tf.constant(np.random.default_rng(0).standard_normal([4, 3]), tf.float32)


def make_recorded(**options):
    """A network and the conditioners that it made, in order."""
    made = []

    def conditioner(*args, **kwargs):
        made.append(AffineConditioner(*args, **kwargs))
        return made[-1]

    network = FlowActorNetwork(
        OBSERVATION, ACTION, num_transformations=2, hidden_units=(8,), conditioner=conditioner, **options
    )
    return network, made


def state_shift(network, observation):
    first, first_bias, last, last_bias = (w.numpy().astype(np.float64) for w in network.layers[0].weights)
    return np.tanh(observation @ first + first_bias) @ last + last_bias


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("condition_on_observation", [False, True])
def test_a_policy_equals_the_reference(condition_on_observation, squash):
    network, conditioners = make_recorded(condition_on_observation=condition_on_observation, squash=squash)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        policy = network(STATES)[0]
        noise = np.random.default_rng(1).standard_normal([4, 3])
        actions = policy.bijector.forward(
            policy.distribution.bijector.forward(tf.constant(noise, tf.float32))
        )
        log_prob = policy.log_prob(tf.identity(actions))
        for row in range(4):
            observation = STATES[row].numpy().astype(np.float64)
            context = observation if condition_on_observation else ()
            x, log_det = noise[row], 0.0
            for index, layer in enumerate(conditioners):
                x, change = reference.coupling(layer, x, ("last", "first")[index % 2], context=context)
                log_det += change
                if index == 1:  # After the first transformation.
                    x = x + state_shift(network, observation)
            half = (HIGH - LOW) / 2
            log_det += np.sum(np.log(half * (1 - np.tanh(x) ** 2) if squash else half))
            expected = (LOW + HIGH) / 2 + half * (np.tanh(x) if squash else x)
            np.testing.assert_allclose(actions[row], expected, rtol=1e-5, atol=1e-5)
            latent = np.sum(-0.5 * noise[row] ** 2 - 0.5 * np.log(2 * np.pi))
            np.testing.assert_allclose(log_prob[row], latent - log_det, rtol=5e-3)


def test_a_new_policy_is_almost_standard_normal_in_half_widths_whatever_the_state():
    policy = FlowActorNetwork(OBSERVATION, ACTION)(100 * STATES)[0]
    samples = policy.sample(5000, seed=tf.constant([0, 1])).numpy()
    u = (samples - (LOW + HIGH) / 2) / ((HIGH - LOW) / 2)
    np.testing.assert_allclose(np.mean(u, axis=0), np.zeros([4, 3]), atol=0.2)
    np.testing.assert_allclose(np.std(u, axis=0), np.ones([4, 3]), atol=0.1)


def test_a_flow_without_transformations_is_the_gaussian_of_unit_deviation():
    flow = FlowActorNetwork(OBSERVATION, ACTION, num_transformations=0, hidden_units=(8,))
    gaussian = GaussianActorNetwork(OBSERVATION, ACTION, hidden_units=(8,))
    assert len(flow.trainable_variables) == 4
    with perturbed(flow.trainable_variables, 0.3, seed=0):
        for mine, its in zip(flow.layers[0].weights, gaussian.layers[0].weights, strict=True):
            its.assign(mine)
        pair = flow(STATES)[0], gaussian(STATES)[0]
    actions = pair[1].sample(5, seed=tf.constant([0, 1]))
    np.testing.assert_allclose(*(policy.log_prob(actions) for policy in pair), rtol=1e-3)
    np.testing.assert_allclose(*(greedy_action(policy) for policy in pair), rtol=1e-5)
    np.testing.assert_allclose(*(policy.entropy() for policy in pair), rtol=1e-5)


def test_the_number_of_variables():
    # Two couplings, each of two networks with 3 layers and 2 normalizations, kept as one.
    for transformations in (0, 1, 4):
        network = FlowActorNetwork(OBSERVATION, ACTION, transformations)
        assert len(network.trainable_variables) == len(network.variables) == 6 + 20 * transformations


@pytest.mark.parametrize("condition_on_observation", [False, True])
def test_couplings_see_the_observation_only_if_asked_to(condition_on_observation):
    network = FlowActorNetwork(OBSERVATION, ACTION, 1, condition_on_observation=condition_on_observation)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        flow = network(STATES)[0].distribution.bijector
        log_dets = flow.forward_log_det_jacobian([[0.1, 0.2, 0.3]] * 4, 1).numpy()
    assert (np.ptp(log_dets) > 0.1) == condition_on_observation
    if not condition_on_observation:
        np.testing.assert_allclose(log_dets, log_dets[0], rtol=1e-6)


@pytest.mark.parametrize("squash", [False, True])
def test_fault_12_the_flow_of_sac_nf_is_splines_for_one_action_component(squash, caplog):
    action = tensor_spec.BoundedTensorSpec([1], tf.float32, -2.0, 1.0)
    conditioned, plain = (
        FlowActorNetwork(OBSERVATION, action, 2, condition_on_observation=condition, squash=squash)
        for condition in (True, False)
    )
    assert "condition_on_observation" in caplog.text and "2 splines" in caplog.text
    for variable, other in zip(conditioned.variables, plain.variables, strict=True):
        variable.assign(0.1 + other)
        other.assign(0.1 + other)
    actions = tf.constant([[-1.5], [-0.3], [0.2], [0.7]])
    log_prob = conditioned(STATES)[0].log_prob(actions)
    np.testing.assert_array_equal(log_prob, plain(STATES)[0].log_prob(actions))
    assert np.isfinite(log_prob).all()


def test_observations_in_double_precision_are_accepted():
    spec = array_spec.ArraySpec([3], np.float64)
    network = FlowActorNetwork(spec, ACTION, 1, condition_on_observation=True)
    policy, _ = network(tf.cast(STATES, tf.float64))
    assert policy.dtype == tf.float32 and policy.batch_shape == [4]


def test_a_copy_with_layers_of_the_original_is_refused():
    kept = AffineConditioner(1, 1)
    action = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
    network = FlowActorNetwork(OBSERVATION, action, 1, conditioner=lambda *args, **kwargs: kept)
    with pytest.raises(ConfigurationError, match="conditioner"):
        network.copy()
    other = FlowActorNetwork(
        OBSERVATION, action, 1, conditioner=functools.partial(AffineConditioner, units=(2,))
    )
    assert len(other.copy(name="Other").variables) == len(other.variables)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: FlowActorNetwork(OBSERVATION, ACTION, -1), ConfigurationError, "num_transformations"),
        (
            lambda: FlowActorNetwork(OBSERVATION, ACTION, hidden_units=(0,)),
            ConfigurationError,
            "hidden_units",
        ),
        (
            lambda: FlowActorNetwork(tensor_spec.TensorSpec([2, 3], tf.float32), ACTION),
            SpaceError,
            "observation_spec",
        ),
        (
            lambda: FlowActorNetwork(tensor_spec.TensorSpec([3], tf.int32), ACTION),
            SpaceError,
            "observation_spec",
        ),
        (lambda: FlowActorNetwork({"a": OBSERVATION}, ACTION), SpaceError, "observation_spec"),
        (
            lambda: FlowActorNetwork(OBSERVATION, tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)),
            SpaceError,
            "action_spec",
        ),
        (
            lambda: FlowActorNetwork(OBSERVATION, tensor_spec.BoundedTensorSpec([2], tf.float32, -np.inf, 1)),
            SpaceError,
            "finite bounds",
        ),
    ],
)
def test_mistakes_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
