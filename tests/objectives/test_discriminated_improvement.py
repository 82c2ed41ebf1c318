"""What a policy and a discriminator learn from each other: losses and gradients against slow ones."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import Squash
from expol_tf.networks import DiscriminatorNetwork, GaussianActorNetwork, LogStd, NoisyActorNetwork
from expol_tf.objectives import (
    Contrast,
    density_ratio_improvement,
    deterministic_improvement,
    discriminator_loss,
    jsd,
    matching_improvement,
    reverse_kl,
    wasserstein,
)

tfd = tfp.distributions

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
WIDE = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
MIDDLE, HALF = np.array([0.0, 5.0]), np.array([0.4, 5.0])
STATES = tf.constant(np.random.default_rng(0).standard_normal([5, 3]), tf.float32)
VALID = tf.constant([True, False, True, True, False])
SEED = tf.constant([1, 2])
WEIGHTS = tf.constant([1.5, -0.3])


def linear(observation, action):
    return tf.linalg.matvec(action, WEIGHTS) + observation[:, 0]


def curved(observation, action):
    return tf.reduce_sum(tf.sin(2.0 * action) * observation[:, :2], axis=-1)


def gaussian(**options):
    tf.keras.utils.set_random_seed(0)
    options = dict(hidden_units=(8,), squash=True, log_std=LogStd(state_dependent=True)) | options
    return GaussianActorNetwork(OBSERVATION, WIDE, **options)


def improve(actor, discriminator=linear, matching=None, valid=VALID, states=STATES, **settings):
    return matching_improvement(
        states,
        lambda s: actor(s)[0],
        lambda s, a: 1 / 0,
        tf.constant(float("nan")),
        SEED,
        valid,
        box=WIDE,
        matching=matching or wasserstein(),
        discriminator=discriminator,
        **settings,
    )


@pytest.mark.parametrize("entropy_weight", [0.0, 0.7])
@pytest.mark.parametrize("discriminator", [linear, curved])
@pytest.mark.parametrize(
    ("matching", "slow_loss"),
    [
        (wasserstein(), lambda f: f),
        (reverse_kl(), lambda f: f),
        (jsd(), lambda f: -tf.math.log(tf.sigmoid(-f))),
        (jsd(saturating=True), lambda f: tf.math.log(tf.sigmoid(f))),
    ],
    ids=["wasserstein", "reverse KL", "jsd", "saturating"],
)
def test_the_gradient_is_that_of_the_plain_loss(matching, slow_loss, discriminator, entropy_weight):
    actor = gaussian()
    with tf.GradientTape(persistent=True) as tape:
        found = improve(actor, discriminator, matching, entropy_weight=entropy_weight)
        action, log_prob = actor(STATES)[0].experimental_sample_and_log_prob((), seed=SEED)
        log_prob += np.sum(np.log(HALF))
        loss = slow_loss(discriminator(STATES, action)) + entropy_weight * log_prob
        loss = tf.reduce_mean(tf.boolean_mask(loss, VALID))
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(found.log_prob, log_prob, rtol=1e-5)
    gradients = [tape.gradient(each, actor.trainable_variables) for each in (found.loss, loss)]
    for mine, slow in zip(*gradients, strict=True):
        assert np.abs(slow).max() > 0
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-6)


def test_the_gradient_by_differences():
    """Of the loss reported, in each component of the output layer's bias."""
    actor = gaussian()
    bias = actor.trainable_variables[-1]
    start = bias.numpy()
    settings = dict(discriminator=curved, matching=jsd(), entropy_weight=0.4)
    with tf.GradientTape() as tape:
        loss = improve(actor, **settings).loss
    gradient = tape.gradient(loss, bias).numpy()
    for index in range(start.size):
        losses = []
        for change in (1e-2, -1e-2):
            bias.assign(start + change * np.eye(start.size)[index].reshape(start.shape))
            losses.append(float(improve(actor, **settings).loss))
        bias.assign(start)
        assert gradient.flat[index] == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=0.02, abs=1e-4)


def test_a_linear_discriminator_in_closed_form():
    """E f = w·mean + …: of an unsquashed Gaussian the gradient in the mean is w, in the deviation 0."""
    mean, std = tf.Variable(tf.zeros([2])), tf.Variable(tf.ones([2]))

    def actor(observation):
        return tfd.MultivariateNormalDiag(mean + 0.0 * observation[:, :2], std), ()

    with tf.GradientTape() as tape:
        loss = improve(actor, states=tf.zeros([20_000, 3]), valid=None, entropy_weight=0.5).loss
    in_mean, in_std = tape.gradient(loss, [mean, std])
    np.testing.assert_allclose(in_mean, WEIGHTS, rtol=1e-3)
    # −w·∂H/∂σ = −w/σ.
    np.testing.assert_allclose(in_std, [-0.5, -0.5], atol=0.03)


def test_the_discriminator_learns_nothing_from_the_policys_loss():
    actor, network = gaussian(), DiscriminatorNetwork(OBSERVATION, WIDE, (8,))
    f = lambda s, a: network((s, a))[0]  # noqa: E731
    with tf.GradientTape(persistent=True) as tape:
        losses = [
            improve(actor, f, entropy_weight=1.0).loss,
            improve(actor, f, log_ratio=f, entropy_weight=1.0).loss,
            density_ratio_improvement(
                STATES, lambda s: actor(s)[0], critic, tf.constant(2.0), SEED, box=WIDE, log_ratio=f
            ).loss,
        ]
    for loss in losses:
        assert all(each is None for each in tape.gradient(loss, network.trainable_variables))
        assert all(np.any(each != 0) for each in tape.gradient(loss, actor.trainable_variables))


def test_what_does_not_count():
    spoilt = lambda s, a: tf.where(VALID, linear(s, a), float("nan"))  # noqa: E731
    actor = gaussian()
    with tf.GradientTape(persistent=True) as tape:
        losses = [improve(actor, f).loss for f in (linear, spoilt)]
    np.testing.assert_array_equal(*losses)
    bounded = [tape.gradient(loss, actor.trainable_variables)[-1] for loss in losses[:1]]
    assert np.all(np.isfinite(bounded[0]))


@pytest.mark.parametrize("wide", [0.0, 1.0])
def test_the_spread_of_the_entropy(wide):
    """Of Gaussians: H = log σ + const., so its deviation between states is that of log σ."""
    generator = np.random.default_rng(3)
    log_std = tf.constant(-1.0 + wide * 0.5 * generator.standard_normal([64, 1]), tf.float32)

    def actor(observation):
        count = observation.shape[0]
        return tfd.MultivariateNormalDiag(tf.zeros([count, 2]), tf.exp(log_std[:count]) * tf.ones([2])), ()

    spreads = []
    for index in range(20):
        found = matching_improvement(
            tf.zeros([64, 3]),
            lambda s: actor(s)[0],
            lambda s, a: 1 / 0,
            tf.constant(1.0),
            tf.constant([4, index]),
            box=WIDE,
            matching=wasserstein(),
            discriminator=linear,
        )
        spreads.append(float(found.metrics["entropy_spread"]))
    analytic = 2.0 * np.std(log_std.numpy())
    if wide:
        assert np.mean(spreads) == pytest.approx(analytic, rel=0.1)
    else:
        # Raw means of 8 would spread by √(A/2)/√8 = 0.35.
        assert analytic == 0.0 and np.mean(spreads) < 0.1


def test_only_some_states_tell_the_spread():
    actor = gaussian(log_std=LogStd(0.0, True, (-3.0, 1.0)))
    for index, variable in enumerate(actor.trainable_variables):
        variable.assign_add(tf.random.stateless_normal(variable.shape, [5, index]))
    many = tf.constant(np.random.default_rng(5).standard_normal([200, 3]), tf.float32)
    changed = tf.concat([many[:64], 100.0 * many[64:]], axis=0)
    spread = [improve(actor, states=each, valid=None).metrics["entropy_spread"] for each in (many, changed)]
    np.testing.assert_array_equal(*spread)
    assert float(spread[0]) > 0.0


def test_without_a_density():
    actor = NoisyActorNetwork(OBSERVATION, WIDE, (8,))
    with tf.GradientTape(persistent=True) as tape:
        found = improve(actor, curved, density=False)
        action = actor(STATES)[0].sample(seed=SEED)
        plain = tf.reduce_mean(tf.boolean_mask(curved(STATES, action), VALID))
    assert found.log_prob is None and not found.metrics
    np.testing.assert_allclose(found.loss, plain, rtol=1e-5)
    for mine, slow in zip(
        tape.gradient(found.loss, actor.trainable_variables),
        tape.gradient(plain, actor.trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-6)


def test_a_classifier_in_place_of_the_density():
    actor = NoisyActorNetwork(OBSERVATION, WIDE, (8,))
    with tf.GradientTape(persistent=True) as tape:
        found = improve(actor, linear, density=False, log_ratio=curved, entropy_weight=0.7)
        action = actor(STATES)[0].sample(seed=SEED)
        log_prob = curved(STATES, action) - 2 * np.log(2.0)
        plain = tf.reduce_mean(tf.boolean_mask(linear(STATES, action) + 0.7 * log_prob, VALID))
    np.testing.assert_allclose(found.loss, plain, rtol=1e-5)
    np.testing.assert_allclose(found.log_prob, log_prob, rtol=1e-5, atol=1e-6)
    for mine, slow in zip(
        tape.gradient(found.loss, actor.trainable_variables),
        tape.gradient(plain, actor.trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-6)


def critic(observation, action):
    q = linear(observation, action)
    return tf.stack([q, q - tf.reduce_sum(tf.square(action), axis=-1) + 3.0], axis=-1)


@pytest.mark.parametrize("reduction", ["min", "first", "mean"])
def test_value_and_entropy_by_a_classifier(reduction):
    actor = NoisyActorNetwork(OBSERVATION, WIDE, (8,))
    reduce = {"min": tf.reduce_min, "mean": tf.reduce_mean, "first": lambda q, axis: q[:, 0]}[reduction]
    beta = tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        found = density_ratio_improvement(
            STATES,
            lambda s: actor(s)[0],
            critic,
            beta,
            SEED,
            VALID,
            box=WIDE,
            log_ratio=curved,
            reduction=reduction,
        )
        action = actor(STATES)[0].sample(seed=SEED)
        each = 2.0 * curved(STATES, action) - reduce(critic(STATES, action), axis=-1)
        plain = tf.reduce_mean(tf.boolean_mask(each, VALID))
    np.testing.assert_allclose(found.loss, plain, rtol=1e-5)
    np.testing.assert_allclose(found.log_prob, curved(STATES, action) - 2 * np.log(2.0), rtol=1e-4, atol=1e-5)
    assert tape.gradient(found.loss, beta) is None
    for mine, slow in zip(
        tape.gradient(found.loss, actor.trainable_variables),
        tape.gradient(plain, actor.trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-5)


def test_without_a_classifier_it_is_the_deterministic_gradient():
    actor = NoisyActorNetwork(OBSERVATION, WIDE, (8,))
    arguments = STATES, lambda s: actor(s)[0], critic, tf.constant(0.0), SEED, VALID
    with tf.GradientTape(persistent=True) as tape:
        found = density_ratio_improvement(*arguments, box=WIDE)
        expected = deterministic_improvement(*arguments, reduction="min")
    assert found.log_prob is None and float(found.loss) == float(expected.loss)
    for one, other in zip(
        tape.gradient(found.loss, actor.trainable_variables),
        tape.gradient(expected.loss, actor.trainable_variables),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


CONTRAST = Contrast(
    tf.constant(np.random.default_rng(1).uniform(-0.4, 0.4, [5, 2]), tf.float32),
    tf.constant(np.random.default_rng(2).uniform(-0.4, 0.4, [5, 2]), tf.float32),
    {},
)


@pytest.mark.parametrize("valid", [None, VALID])
def test_the_discriminators_loss(valid):
    f = curved(STATES, CONTRAST.policy_action).numpy(), curved(STATES, CONTRAST.other_action).numpy()
    keep = np.ones(5, bool) if valid is None else valid.numpy()
    f_policy, f_other = (each[keep].astype(np.float64) for each in f)
    loss, metrics = discriminator_loss(curved, STATES, CONTRAST, jsd(), SEED, valid, box=WIDE)
    value = np.mean(-np.log1p(np.exp(-f_policy)) - np.log1p(np.exp(f_other)))
    assert float(loss) == pytest.approx(-value, rel=1e-5)
    assert float(metrics["divergence"]) == pytest.approx(value / 2 + math.log(2), rel=1e-4)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(f_policy > f_other))
    assert set(metrics) == {"divergence", "accuracy"}


def test_a_penalty():
    """λ(‖∇_x f‖ − 1)²: of a linear f the slope in scaled actions is w·half, wherever it is taken."""
    loss, _ = discriminator_loss(linear, STATES, CONTRAST, wasserstein(3.0), SEED, VALID, box=WIDE)
    bare, _ = discriminator_loss(linear, STATES, CONTRAST, wasserstein(0.0), SEED, VALID, box=WIDE)
    slope = np.linalg.norm(WEIGHTS.numpy() * HALF)
    assert float(loss - bare) == pytest.approx(3.0 * (slope - 1) ** 2, rel=1e-4)


def test_chance_is_a_half():
    constant = lambda s, a: tf.zeros(tf.shape(a)[:1])  # noqa: E731
    loss, metrics = discriminator_loss(constant, STATES, CONTRAST, jsd(), SEED, box=WIDE)
    assert float(metrics["accuracy"]) == 0.5 and float(loss) == pytest.approx(2 * math.log(2))
    assert float(metrics["divergence"]) == pytest.approx(0.0, abs=1e-6)


def test_the_discriminator_gets_the_plain_gradient():
    network = DiscriminatorNetwork(OBSERVATION, WIDE, (8,))
    f = lambda s, a: network((s, a))[0]  # noqa: E731
    with tf.GradientTape(persistent=True) as tape:
        loss, _ = discriminator_loss(f, STATES, CONTRAST, reverse_kl(), SEED, VALID, box=WIDE)
        policy, other = f(STATES, CONTRAST.policy_action), f(STATES, CONTRAST.other_action)
        plain = -tf.reduce_mean(tf.boolean_mask(policy - tf.exp(other - 1.0), VALID))
    for mine, slow in zip(
        tape.gradient(loss, network.trainable_variables[:-1]),
        tape.gradient(plain, network.trainable_variables[:-1]),
        strict=True,
    ):
        np.testing.assert_allclose(mine, slow, rtol=1e-4, atol=1e-7)


def test_the_policy_goes_where_the_particles_are():
    """With the exact log ratio f = log π/p and KL's loss, to the target's mean and deviation."""
    mean, log_std = tf.Variable([0.0]), tf.Variable([0.0])
    box = tensor_spec.BoundedTensorSpec([1], tf.float32, -1.0, 1.0)
    squash, target = Squash(box), tfd.Normal(0.8, 0.3)

    def distribution(observation, mean, log_std):
        shape = tf.ones([observation.shape[0], 1])
        latent = tfd.Independent(tfd.Normal(mean * shape, tf.exp(log_std) * shape), 1)
        return tfd.TransformedDistribution(latent, squash)

    def exact(observation, action):
        u = tf.atanh(tf.clip_by_value(action, -0.99999, 0.99999))[:, 0]
        held = tfd.Normal(tf.stop_gradient(mean[0]), tf.stop_gradient(tf.exp(log_std[0])))
        return 1.0 + held.log_prob(u) - target.log_prob(u)

    optimizer = tf.keras.optimizers.legacy.Adam(0.05)
    call = functools.partial(
        matching_improvement,
        tf.zeros([500, 3]),
        lambda s: distribution(s, mean, log_std),
        lambda s, a: 1 / 0,
        tf.constant(1.0),
        box=box,
        matching=reverse_kl(),
        discriminator=exact,
        density=False,
    )

    @tf.function(autograph=False)
    def step(index):
        with tf.GradientTape() as tape:
            loss = call(tf.stack([8, index])).loss
        optimizer.apply_gradients(zip(tape.gradient(loss, [mean, log_std]), [mean, log_std], strict=True))

    for index in range(150):
        step(tf.constant(index))
    assert float(mean[0]) == pytest.approx(0.8, abs=0.05) and math.exp(log_std[0]) == pytest.approx(
        0.3, abs=0.05
    )
