"""Losses that improve policies: their gradients against slow ones, and what they lead to."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import Squash
from expol_tf.distributions import ImplicitDistribution
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    MixtureActorNetwork,
    SamplingActorNetwork,
)
from expol_tf.objectives import (
    amortized_svgd,
    deterministic_improvement,
    reparameterized_improvement,
)
from expol_tf.optimizers import Adam
from expol_tf.samplers import svgd_direction

tfd = tfp.distributions

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
WIDE = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
MIDDLE, HALF = np.array([0.0, 5.0]), np.array([0.4, 5.0])
UNIT = tensor_spec.BoundedTensorSpec([1], tf.float32, -1.0, 1.0)
STATES = tf.constant(np.random.default_rng(0).standard_normal([5, 3]), tf.float32)
VALID = tf.constant([True, False, True, True, False])
SEED = tf.constant([1, 2])

svgd = functools.partial(amortized_svgd, direction=svgd_direction)


def networks(make_actor, **options):
    tf.keras.utils.set_random_seed(0)
    actor = make_actor(OBSERVATION, WIDE, hidden_units=(8,), **options)
    return actor, CriticNetwork(OBSERVATION, WIDE, hidden_units=(16,))


def callables(actor, critic):
    return lambda s: actor(s)[0], lambda s, a: critic((s, a))[0]


def slow_min(critic, action):
    return tf.reduce_min(critic(STATES, action), axis=-1)


@pytest.mark.parametrize(
    ("make", "num_samples"),
    [
        (GaussianActorNetwork, 1),
        (GaussianActorNetwork, 3),
        (MixtureActorNetwork, 1),
        (functools.partial(FlowActorNetwork, num_transformations=1), 3),
    ],
)
def test_the_reparameterized_gradient_is_that_of_the_plain_loss(make, num_samples):
    actor, critic_network = networks(make, squash=True)
    policy, critic = callables(actor, critic_network)
    with tf.GradientTape(persistent=True) as tape:
        found = reparameterized_improvement(
            STATES, policy, critic, tf.constant(0.3), SEED, VALID, box=WIDE, num_samples=num_samples
        )
        shape = () if num_samples == 1 else (num_samples,)
        action, log_prob = policy(STATES).experimental_sample_and_log_prob(shape, seed=SEED)
        log_prob = tf.reshape(log_prob, [num_samples, 5]) + np.sum(np.log(HALF))
        action = tf.reshape(action, [num_samples, 5, 2])
        q = tf.stack([slow_min(critic, each) for each in tf.unstack(action)])
        each_state = tf.reduce_mean(0.3 * log_prob - q, axis=0)
        plain = tf.reduce_mean(tf.boolean_mask(each_state, VALID))
    np.testing.assert_allclose(found.loss, plain, rtol=1e-5)
    np.testing.assert_allclose(found.log_prob, np.mean(log_prob, axis=0), rtol=1e-5)
    for mine, slow in zip(
        tape.gradient(found.loss, actor.trainable_variables),
        tape.gradient(plain, actor.trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-6)
    assert all(each is None for each in tape.gradient(found.loss, critic_network.trainable_variables))
    assert any(each is not None for each in tape.gradient(plain, critic_network.trainable_variables))


@pytest.mark.parametrize("reduction", ["min", "mean", "first"])
def test_the_deterministic_gradient_is_that_of_the_plain_loss(reduction):
    actor, critic_network = networks(DeterministicActorNetwork)
    policy, critic = callables(actor, critic_network)
    reduce = {"min": tf.reduce_min, "mean": tf.reduce_mean, "first": lambda q, axis: q[:, 0]}[reduction]
    with tf.GradientTape(persistent=True) as tape:
        found = deterministic_improvement(
            STATES, policy, critic, tf.constant(7.0), SEED, VALID, reduction=reduction
        )
        q = reduce(critic(STATES, policy(STATES).greedy_action()), axis=-1)
        plain = -tf.reduce_mean(tf.boolean_mask(q, VALID))
    np.testing.assert_allclose(found.loss, plain, rtol=1e-5)
    assert found.log_prob is None
    for mine, slow in zip(
        tape.gradient(found.loss, actor.trainable_variables),
        tape.gradient(plain, actor.trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-7)
    assert all(each is None for each in tape.gradient(found.loss, critic_network.trainable_variables))


@pytest.mark.parametrize("alpha", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("make", [DeterministicActorNetwork, SamplingActorNetwork])
def test_one_particle_as_both_sets_gives_the_deterministic_gradient(make, alpha):
    actor, critic_network = networks(make)
    policy, critic = callables(actor, critic_network)
    with tf.GradientTape(persistent=True) as tape:
        one = svgd(
            STATES,
            policy,
            critic,
            tf.constant(alpha),
            SEED,
            VALID,
            box=WIDE,
            num_particles=1,
            separate=False,
            space="action",
        )
        own_seed = tf.random.experimental.stateless_split(SEED, 2)[0]  # The particle's.
        deterministic = deterministic_improvement(
            STATES, policy, critic, tf.constant(alpha), own_seed, VALID, reduction="min"
        )
    np.testing.assert_allclose(one.loss, deterministic.loss, rtol=1e-5)
    for mine, slow in zip(
        tape.gradient(one.loss, actor.trainable_variables),
        tape.gradient(deterministic.loss, actor.trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-7)


def slow_delta(y, moved, q_slope, alpha, space):
    """Δ for one state, by loops: y and moved are u, or scaled actions."""
    score = np.zeros_like(y)
    for i, point in enumerate(y):
        scaled = np.tanh(point) if space == "latent" else point
        slope = q_slope(MIDDLE + HALF * scaled) * HALF
        score[i] = slope * (1 - scaled**2) - 2 * alpha * scaled if space == "latent" else slope
    distances = np.sum((y[:, None] - moved[None]) ** 2, axis=-1)
    pairs = distances if moved is not y else distances[~np.eye(len(y), dtype=bool)]
    width = max(np.median(pairs) / np.log(len(y) + 1), 1e-3)
    delta = np.zeros_like(moved)
    for j in range(len(moved)):
        for i in range(len(y)):
            kernel = np.exp(-distances[i, j] / width)
            delta[j] += kernel * score[i] - alpha * 2 / width * (y[i] - moved[j]) * kernel
    return delta / len(y)


@pytest.mark.parametrize("space", ["latent", "action"])
@pytest.mark.parametrize("separate", [False, True])
def test_the_amortized_gradient_is_that_of_a_loop(space, separate):
    """u = b + Wξ for all states, so that ∂u/∂b is 1 and ∂u/∂W is ξ; Q = wᵀa − ‖a‖²/2 and something worse."""
    alpha, num_particles = 0.4, 4
    bias, weights = tf.Variable([0.3, -0.2]), tf.Variable([[0.5, 0.1], [-0.2, 0.7]])
    w = np.array([1.5, 0.4])

    def policy(observation):
        context = tf.zeros([tf.shape(observation)[0], 1])
        squash = Squash(WIDE)
        return ImplicitDistribution(
            lambda _, noise: bias + tf.einsum("...n,nm->...m", noise, weights), context, 2, 2, bijector=squash
        )

    def critic(observation, action):
        q = tf.reduce_sum(tf.constant(w, tf.float32) * action - 0.5 * action**2, axis=-1)
        return tf.stack([q, q + 1.0], axis=-1)

    with tf.GradientTape() as tape:
        found = svgd(
            STATES,
            policy,
            critic,
            tf.constant(alpha),
            SEED,
            VALID,
            box=WIDE,
            num_particles=num_particles,
            separate=separate,
            space=space,
        )
    gradient = tape.gradient(found.loss, [bias, weights])

    seeds = tf.random.experimental.stateless_split(SEED, 2)
    latent = policy(STATES).distribution
    u, fixed_u = (
        np.float64(latent.sample(num_particles, seed=each)) for each in tf.unstack(seeds)
    )  # [M, N, 2]
    fixed_u = fixed_u if separate else u
    noise = (u - bias.numpy()) @ np.linalg.inv(np.float64(weights.numpy()))
    expected_bias, expected_weights, value = np.zeros(2), np.zeros([2, 2]), 0.0
    for state in np.flatnonzero(VALID):
        moved = u[:, state] if space == "latent" else np.tanh(u[:, state])
        fixed = moved
        if separate:
            fixed = fixed_u[:, state] if space == "latent" else np.tanh(fixed_u[:, state])
        delta = slow_delta(fixed, moved, lambda a: w - a, alpha, space)
        for j in range(num_particles):
            slope = delta[j] if space == "latent" else delta[j] * (1 - moved[j] ** 2)
            expected_bias -= slope / num_particles / 3
            expected_weights -= np.outer(noise[j, state], slope) / num_particles / 3
            action = MIDDLE + HALF * np.tanh(fixed_u[j, state])
            value -= np.sum(w * action - 0.5 * action**2) / num_particles / 3
    np.testing.assert_allclose(gradient[0], expected_bias, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(gradient[1], expected_weights, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.loss, value, rtol=1e-4)
    assert found.log_prob is None and found.metrics["particle_spread"] > 0


def train_a_sampler(critic, alpha, space="latent", steps=600, num_particles=32):
    """Returns 2,000 actions for a state, of a sampling network trained by the improvement alone."""
    tf.keras.utils.set_random_seed(0)
    spec = tensor_spec.TensorSpec([1], tf.float32)
    actor = SamplingActorNetwork(spec, UNIT, hidden_units=(64, 64))
    optimizer = Adam(1e-3)
    optimizer.build(actor.trainable_variables)
    states = tf.zeros([4, 1])

    @tf.function(autograph=False)
    def step(seed):
        with tf.GradientTape() as tape:
            improvement = svgd(
                states,
                lambda s: actor(s)[0],
                critic,
                tf.constant(alpha),
                seed,
                box=UNIT,
                num_particles=num_particles,
                space=space,
            )
        gradients = tape.gradient(improvement.loss, actor.trainable_variables)
        optimizer.apply_gradients(zip(gradients, actor.trainable_variables, strict=True))

    for index in range(steps):
        step(tf.constant([index, 5]))
    return actor(states[:1])[0].sample(2000, seed=SEED).numpy()[:, 0, 0]


def test_a_sampler_finds_both_modes():
    alpha = 2.0

    def critic(observation, action):
        """α log of ½N(−0.5, 0.3²) + ½N(0.5, 0.3²), up to a constant."""
        terms = tf.concat([-0.5 * ((action - mode) / 0.3) ** 2 for mode in (-0.5, 0.5)], axis=-1)
        return alpha * tf.reduce_logsumexp(terms, axis=-1, keepdims=True)

    actions = train_a_sampler(critic, alpha)
    assert np.mean(actions > 0) >= 0.35 and np.mean(actions < 0) >= 0.35
    # The density itself, cut off at the box, has 0.52 about the modes and 0.11 between them.
    np.testing.assert_allclose(np.mean(np.abs(np.abs(actions) - 0.5) < 0.2), 0.52, atol=0.08)
    np.testing.assert_allclose(np.mean(np.abs(actions) < 0.15), 0.11, atol=0.06)


def no_preference(observation, action):
    return 0.0 * action


def test_without_preferences_the_latent_space_fills_the_box():
    actions = train_a_sampler(no_preference, 1.0, steps=2400)
    assert 0.02 <= np.mean(np.abs(actions) > 0.95) <= 0.08
    histogram = np.histogram(actions, bins=4, range=(-1, 1))[0] / len(actions)
    np.testing.assert_allclose(histogram, np.full(4, 0.25), atol=0.07)


def test_without_preferences_the_action_space_piles_up_at_the_edges():
    actions = train_a_sampler(no_preference, 1.0, space="action")
    assert np.mean(np.abs(actions) > 0.95) > 0.2


@pytest.mark.parametrize(
    "make",
    [
        GaussianActorNetwork,
        pytest.param(MixtureActorNetwork, marks=pytest.mark.slow),
        functools.partial(FlowActorNetwork, num_transformations=1),
        SamplingActorNetwork,
    ],
)
def test_any_squashed_policy_can_be_moved(make):
    squashed = {} if make is SamplingActorNetwork else {"squash": True}
    actor, critic_network = networks(make, **squashed)
    policy, critic = callables(actor, critic_network)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 3])])
    def differentiate(states):
        with tf.GradientTape() as tape:
            improvement = svgd(states, policy, critic, tf.constant(1.0), SEED, box=WIDE, num_particles=5)
        return improvement.loss, tape.gradient(improvement.loss, actor.trainable_variables)

    loss, gradients = differentiate(STATES)
    assert math.isfinite(loss)
    assert all(np.all(np.isfinite(each)) for each in gradients)
    assert any(np.any(each != 0) for each in gradients)


@pytest.mark.parametrize("make", [GaussianActorNetwork, MixtureActorNetwork, FlowActorNetwork])
def test_the_latent_space_needs_a_squash(make):
    actor, critic_network = networks(make)
    policy, critic = callables(actor, critic_network)
    with pytest.raises(CapabilityError, match="squash=True"):
        svgd(STATES, policy, critic, tf.constant(1.0), SEED, box=WIDE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(dict(num_particles=0), "num_particles must be 1"), (dict(space="u"), "space must be one of")],
)
def test_a_wrong_setting_is_named(arguments, words):
    policy, critic = callables(*networks(SamplingActorNetwork))
    with pytest.raises(ConfigurationError, match=words):
        svgd(STATES, policy, critic, tf.constant(1.0), SEED, box=WIDE, **arguments)
