"""The Stein policy's network, where its particles start, and critics asked for many actions of a state."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.ddpg import critic_network as tf_agents_critic
from tf_agents.specs import tensor_spec

from expol_tf.agents import FixedTemperature, LearnedTemperature
from expol_tf.distributions import SteinSampler, capabilities, greedy_action
from expol_tf.errors import CapabilityError, ConfigurationError, SpaceError
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticEnsemble,
    CriticNetwork,
    FixedGaussianActorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    LogStd,
    MixtureActorNetwork,
    SamplingActorNetwork,
    SteinActorNetwork,
    values_at,
)

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32, "observation")
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0], "action")
MIDDLE, HALF = np.array([0.0, 5.0]), np.array([0.4, 5.0])
OBSERVATIONS = tf.constant(np.random.default_rng(0).standard_normal([5, 3]), tf.float32)
SEED = tf.constant([1, 2])
# One particle takes a whole step along its own score: where it ends tells the score.
LONE = SteinSampler(1, 1, 1.0, range=None)


def gaussian():
    return GaussianActorNetwork(OBSERVATION, ACTION, (8,), squash=True, log_std=LogStd(state_dependent=True))


def tf_agents_style(name="critic"):
    specs = OBSERVATION, ACTION
    critic = tf_agents_critic.CriticNetwork(specs, joint_fc_layer_params=(8,), activation_fn="elu", name=name)
    critic.create_variables()
    return critic


CRITICS = {
    "own": lambda: CriticNetwork(OBSERVATION, ACTION, (8, 8), activation="elu"),
    "of_three": lambda: CriticNetwork(OBSERVATION, ACTION, (8,), num_critics=3, activation="tanh"),
    "tf_agents": tf_agents_style,
    "ensemble": lambda: CriticEnsemble(tf_agents_style()),
}


def make(critic="own", initial=None, **arguments):
    keras.utils.set_random_seed(0)
    initial = initial or gaussian()
    for variable in initial.trainable_variables:
        variable.assign_add(tf.random.stateless_normal(variable.shape, [0, 1], stddev=0.3))
    arguments = dict(temperature=FixedTemperature(0.5)) | arguments
    return SteinActorNetwork(initial, CRITICS[critic](), **arguments)


def critic_values(network, observation, action):
    """Q `[N, C]` row by row, as any critic network gives it."""
    q = network((observation, action))[0]
    return q[:, tf.newaxis] if q.shape.rank == 1 else q


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("reduction", ["first", "min", "mean"])
def test_the_score_is_that_of_the_critic_and_the_squash(critic, reduction):
    network = make(critic, sampler=LONE, score_reduction=reduction)
    latent = network(OBSERVATIONS)[0].distribution
    end, log_prob = latent.experimental_sample_and_log_prob(40, seed=SEED)
    start, start_log_prob = latent.base.experimental_sample_and_log_prob(40, seed=SEED)
    u = tf.reshape(start, [-1, 2])
    rows = tf.tile(OBSERVATIONS, [40, 1])
    with tf.GradientTape(persistent=True) as second, tf.GradientTape() as tape:
        second.watch(u)
        tape.watch(u)
        action = MIDDLE.astype(np.float32) + HALF.astype(np.float32) * tf.tanh(u)
        q = critic_values(network._critic_network, rows, action)
        reduced = {"first": q[:, 0], "min": tf.reduce_min(q, -1), "mean": tf.reduce_mean(q, -1)}[reduction]
        density = reduced + 0.5 * tf.reduce_sum(tf.math.log(1 - tf.tanh(u) ** 2), -1)
        slope = tape.gradient(density, u)
    np.testing.assert_allclose(end - start, tf.reshape(slope, end.shape), atol=2e-5, rtol=1e-4)
    # The particle is moved by itself alone, and so its density changes by ∇²ℓ.
    hessian = second.batch_jacobian(slope, u, experimental_use_pfor=False).numpy()
    change = 0.5 * np.trace(hessian @ hessian, axis1=1, axis2=2) - np.trace(hessian, axis1=1, axis2=2)
    np.testing.assert_allclose(
        log_prob - start_log_prob, change.reshape(log_prob.shape), atol=1e-4, rtol=1e-4
    )
    if q.shape[1] > 1 and reduction == "min":
        # Neither critic is the lesser one everywhere.
        assert len(set(np.argmin(q, axis=-1))) > 1


def test_it_follows_the_critic_and_the_temperature():
    temperature = LearnedTemperature(0.5)
    temperature.build(2)
    network = make(temperature=temperature, sampler=LONE)

    def end():
        return network(OBSERVATIONS)[0].distribution.sample(4, seed=SEED).numpy()

    first = end()
    temperature.variables[0].assign_add(1.0)
    second = end()
    start = network(OBSERVATIONS)[0].base.sample(4, seed=SEED)
    # Of ∇ℓ only the squash's part changes with α.
    np.testing.assert_allclose(second - first, -2.0 * 0.5 * (np.e - 1) * np.tanh(start), atol=1e-5)
    for variable in network._critic_network.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    assert np.abs(end() - second).max() > 1e-4


@pytest.mark.parametrize("critic", CRITICS)
def test_the_greedy_action_has_the_best_value_of_its_set(critic):
    network = make(critic, sampler=SteinSampler(20, 2))
    greedy = greedy_action(network(OBSERVATIONS)[0])
    still = make(critic, sampler=SteinSampler(20, 0))
    at_mean = still._initial_network(OBSERVATIONS)[0]
    at_mean = at_mean.bijector.forward(at_mean.distribution.mean())

    def value(action):
        return tf.reduce_min(critic_values(network._critic_network, OBSERVATIONS, action), -1).numpy()

    # Without steps, one of the particles is the Gaussian's greedy action.
    assert (value(greedy_action(still(OBSERVATIONS)[0])) >= value(at_mean) - 1e-6).all()
    assert (value(greedy) > value(at_mean)).mean() > 0.5
    alone = greedy_action(network(OBSERVATIONS[3:4])[0])
    np.testing.assert_allclose(alone[0], greedy[3], atol=1e-5)


def test_without_steps_it_is_the_initial_networks_policy():
    network = make(sampler=SteinSampler(1, 0, range=None))
    policy, expected = network(OBSERVATIONS)[0], network.initial_network(OBSERVATIONS)[0]
    found = policy.experimental_sample_and_log_prob(6, seed=SEED)
    for one, other in zip(found, expected.experimental_sample_and_log_prob(6, seed=SEED), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_trains_the_initial_network_alone():
    temperature = LearnedTemperature(0.5)
    temperature.build(2)
    network = make(temperature=temperature)
    critic, initial = network._critic_network, network.initial_network
    refs = [each.ref() for each in network.trainable_variables]
    assert refs == [each.ref() for each in initial.trainable_variables] and refs
    others = {each.ref() for each in network.variables} - set(refs)
    assert others == {each.ref() for each in [*critic.variables, *temperature.variables]}
    with tf.GradientTape() as tape:
        tape.watch(network.trainable_variables)
        action, log_prob = network(OBSERVATIONS)[0].experimental_sample_and_log_prob(10, seed=SEED)
        total = tf.reduce_sum(action) + tf.reduce_sum(log_prob)
    for gradient in tape.gradient(total, network.trainable_variables):
        assert np.isfinite(gradient).all() and np.any(gradient != 0)
    assert capabilities(network(OBSERVATIONS)[0]) == {
        "sample",
        "reparameterized_sample",
        "sample_and_log_prob",
        "greedy_action",
    }


def test_what_is_refused():
    with pytest.raises(ConfigurationError, match="copy: .* the same critic"):
        make().copy()
    with pytest.raises(ConfigurationError, match="reduction must be one of .*got 'max'"):
        make(score_reduction="max")


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (GaussianActorNetwork, {}),
        (MixtureActorNetwork, {"squash": True}),
        (FlowActorNetwork, {"squash": True, "num_transformations": 1}),
        (SamplingActorNetwork, {}),
    ],
)
def test_other_initial_networks_are_refused(network, options):
    initial = network(OBSERVATION, ACTION, hidden_units=(4,), **options)
    message = f"initial_network: must give a squashed Gaussian.*{network.__name__} does not.*squash=True"
    with pytest.raises(CapabilityError, match=message):
        make(initial=initial)


def test_the_fixed_start_is_the_same_everywhere_and_has_no_variables():
    network = FixedGaussianActorNetwork(OBSERVATION, ACTION, variance=0.3)
    assert not network.variables
    policy = network(OBSERVATIONS)[0]
    sample = policy.sample(20_000, seed=SEED).numpy()
    u = np.arctanh(np.clip((sample - MIDDLE) / HALF, -1 + 1e-6, 1 - 1e-6))
    np.testing.assert_allclose(u.mean(0), np.zeros([5, 2]), atol=0.015)
    np.testing.assert_allclose(u.var(0), np.full([5, 2], 0.3), rtol=0.05)
    np.testing.assert_allclose(greedy_action(policy), np.tile(MIDDLE, [5, 1]), atol=1e-6)
    assert not make(initial=network).trainable_variables
    copy = network.copy()
    np.testing.assert_array_equal(copy(OBSERVATIONS)[0].sample(3, seed=SEED), policy.sample(3, seed=SEED))


def test_the_fixed_start_refuses_what_is_no_variance_and_no_box():
    for variance in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigurationError, match="variance must be positive.*; got"):
            FixedGaussianActorNetwork(OBSERVATION, ACTION, variance)
    endless = tensor_spec.BoundedTensorSpec([2], tf.float32, -np.inf, np.inf)
    with pytest.raises(SpaceError, match="finite bounds"):
        FixedGaussianActorNetwork(OBSERVATION, endless)


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("num_critics", [None, 1])
def test_values_of_many_actions_are_those_of_rows(critic, num_critics):
    keras.utils.set_random_seed(1)
    network = CRITICS[critic]()
    action = np.random.default_rng(2).uniform([-0.4, 0], [0.4, 10], [5, 7, 2]).astype(np.float32)
    rows = critic_values(network, tf.repeat(OBSERVATIONS, 7, axis=0), tf.reshape(action, [-1, 2]))
    expected = tf.reshape(rows, [5, 7, -1])[..., :num_critics]
    found = values_at(network, OBSERVATIONS, num_critics)
    np.testing.assert_allclose(found(tf.constant(action)), expected, atol=2e-6, rtol=1e-5)
    # A function of actions, as often as it is wanted.
    np.testing.assert_allclose(found(tf.constant(action[:, :1])), expected[:, :1], atol=2e-6, rtol=1e-5)
    if hasattr(network, "at") and num_critics is None:
        np.testing.assert_allclose(network((OBSERVATIONS, tf.constant(action)))[0], expected, atol=2e-6)

    @functools.partial(tf.function, input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None, 7, 2])])
    def compiled(observation, action):
        return values_at(network, observation, num_critics)(action)

    np.testing.assert_allclose(compiled(OBSERVATIONS, action), expected, atol=2e-6, rtol=1e-5)


def test_gradients_reach_the_critics_parameters_by_many_actions_too():
    network = CRITICS["own"]()
    action = tf.constant(np.random.default_rng(2).uniform([-0.4, 0], [0.4, 10], [5, 7, 2]), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(action)
        many = tf.reduce_sum(network((OBSERVATIONS, action))[0] ** 2)
        rows = tf.repeat(OBSERVATIONS, 7, axis=0), tf.reshape(action, [-1, 2])
        single = tf.reduce_sum(network(rows)[0] ** 2)
    for one, other in zip(
        tape.gradient(many, [action, *network.trainable_variables]),
        tape.gradient(single, [action, *network.trainable_variables]),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4)
