"""Distributions without a density."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import Squash
from expol_tf.distributions import (
    ImplicitDistribution,
    PointMass,
    entropy_estimate,
    greedy_action,
    has_analytic_kl,
    sample_action,
    split_squash,
)
from expol_tf.errors import CapabilityError

tfd = tfp.distributions

BOX = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
MIDDLE, HALF = np.array([0.0, 5.0]), np.array([0.4, 5.0])
CONTEXT = tf.constant(np.random.default_rng(0).standard_normal([4, 2]), tf.float32)
WEIGHTS = np.array([[0.5, 0.1], [-0.2, 0.7], [0.3, 0.0]], np.float32)
SEED = tf.constant([1, 2])


def affine(context, noise):
    """u = c + Wξ, Gaussian, so that its moments are known."""
    return context + tf.einsum("...n,na->...a", noise, WEIGHTS)


def implicit(squash=None, **options):
    return ImplicitDistribution(affine, CONTEXT, noise_size=3, bijector=squash, **options)


def point(squash=None):
    return PointMass(CONTEXT, squash)


@pytest.mark.parametrize("make", [implicit, point])
@pytest.mark.parametrize("shape", [(), (3,), (5, 3)])
def test_shapes_are_those_of_any_distribution(make, shape):
    policy = make(Squash(BOX))
    assert policy.batch_shape == [4] and policy.event_shape == [2] and policy.dtype == tf.float32
    assert list(policy.batch_shape_tensor()) == [4] and list(policy.event_shape_tensor()) == [2]
    assert policy.sample(shape, seed=SEED).shape == [*shape, 4, 2]
    assert policy[1:3].sample(shape, seed=SEED).shape == [*shape, 2, 2]
    assert policy[0].sample(shape, seed=SEED).shape == [*shape, 2]
    np.testing.assert_array_equal(greedy_action(policy[2]), greedy_action(policy)[2])


def test_samples_are_the_functions():
    samples = implicit().sample(100_000, seed=SEED).numpy()
    np.testing.assert_allclose(np.mean(samples, axis=0), CONTEXT, atol=0.012)
    for row in range(4):
        np.testing.assert_allclose(np.cov(samples[:, row].T), WEIGHTS.T @ WEIGHTS, atol=0.012)
    # Noise of different states is independent.
    assert abs(np.corrcoef(samples[:, 0, 0], samples[:, 1, 0])[0, 1]) < 0.015


def test_the_same_seed_draws_the_same():
    first, second = (implicit().sample(5, seed=seed) for seed in (SEED, SEED))
    np.testing.assert_array_equal(first, second)
    assert np.all(first != implicit().sample(5, seed=tf.constant([1, 3])))


@pytest.mark.parametrize("make", [implicit, point])
def test_actions_are_squashed_and_their_pre_images_known(make):
    policy = make(Squash(BOX))
    latent, squash = split_squash(policy)
    u = latent.sample(6, seed=SEED)
    np.testing.assert_allclose(policy.sample(6, seed=SEED), MIDDLE + HALF * np.tanh(u), rtol=1e-5, atol=1e-6)
    assert isinstance(squash, Squash) and split_squash(latent) == (latent, None)
    sample = sample_action(policy, SEED)
    assert sample.log_prob is None
    expected = MIDDLE + HALF * np.tanh(sample.pre_squash_action)
    np.testing.assert_allclose(sample.action, expected, rtol=1e-5, atol=1e-6)
    unsquashed = sample_action(make(), SEED)
    assert unsquashed.log_prob is None and unsquashed.pre_squash_action is None


def test_the_greedy_action_is_without_noise():
    np.testing.assert_allclose(greedy_action(implicit()), CONTEXT)
    expected = MIDDLE + HALF * np.tanh(CONTEXT)
    for make in (implicit, point):
        np.testing.assert_allclose(greedy_action(make(Squash(BOX))), expected, rtol=1e-5, atol=1e-6)


def test_the_greedy_action_may_be_another():
    policy = implicit(Squash(BOX), centre=lambda context: 2.0 * context)
    expected = MIDDLE + HALF * np.tanh(2.0 * CONTEXT)
    np.testing.assert_allclose(greedy_action(policy), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(greedy_action(policy.distribution), 2.0 * CONTEXT)
    np.testing.assert_allclose(greedy_action(policy[1:3]), expected[1:3], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(policy.sample(3, seed=SEED), implicit(Squash(BOX)).sample(3, seed=SEED))


@pytest.mark.parametrize("noises", [None, tf.eye(3)], ids=["normal", "of a set"])
def test_noise_may_be_shared_by_the_rows_of_a_sample(noises):
    policy = implicit(shared_noise=True, noise_set=noises)
    for of_batch, context in ((policy, CONTEXT), (policy[1:3], CONTEXT[1:3]), (policy[0], CONTEXT[:1])):
        noise = np.reshape(of_batch.sample([6, 5], seed=SEED), [30, -1, 2]) - context
        np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape), atol=1e-5)
        assert len(np.unique(np.round(noise[:, 0], 4), axis=0)) == (30 if noises is None else 3)
    np.testing.assert_allclose(greedy_action(policy), CONTEXT)
    np.testing.assert_array_equal(policy.distribution.sample(2, seed=SEED), policy.sample(2, seed=SEED))
    samples = policy.sample(50_000, seed=SEED).numpy()
    mean = 0.0 if noises is None else WEIGHTS.mean(0)
    np.testing.assert_allclose(np.mean(samples[:, 3] - CONTEXT[3], axis=0), mean + np.zeros(2), atol=0.015)


def test_a_point_mass_is_one_point():
    samples = point(Squash(BOX)).sample([3, 2], seed=SEED).numpy()
    np.testing.assert_array_equal(samples, np.broadcast_to(greedy_action(point(Squash(BOX))), [3, 2, 4, 2]))


def test_noise_can_be_one_of_a_set():
    noises = tf.constant([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 1.0]])
    samples = implicit(noise_set=noises).sample(3000, seed=SEED).numpy()
    for row in range(4):
        found, counts = np.unique(np.round(samples[:, row], 4), axis=0, return_counts=True)
        expected = CONTEXT[row].numpy() + noises.numpy() @ WEIGHTS
        np.testing.assert_allclose(found, expected[np.lexsort(expected.T[::-1])], atol=1e-3)
        np.testing.assert_allclose(counts / 3000, np.full(3, 1 / 3), atol=0.035)


def test_gradients_flow_through_samples():
    weights, context = tf.Variable(WEIGHTS), tf.Variable(CONTEXT)
    with tf.GradientTape() as tape:
        policy = ImplicitDistribution(
            lambda c, noise: c + tf.einsum("...n,na->...a", noise, weights), context, 3
        )
        total = tf.reduce_sum(policy.sample(7, seed=SEED))
    by_context, by_weights = tape.gradient(total, [context, weights])
    np.testing.assert_allclose(by_context, np.full([4, 2], 7.0), rtol=1e-5)
    noise = (policy.sample(7, seed=SEED) - CONTEXT).numpy() @ np.linalg.pinv(WEIGHTS)
    np.testing.assert_allclose(
        (by_weights.numpy().T @ WEIGHTS)[0], np.sum(noise @ WEIGHTS, (0, 1)), rtol=1e-3
    )


@pytest.mark.parametrize(
    "ask",
    [
        lambda policy: policy.log_prob(CONTEXT),
        lambda policy: policy.prob(CONTEXT),
        lambda policy: policy.entropy(),
        lambda policy: policy.experimental_sample_and_log_prob(seed=SEED),
        lambda policy: entropy_estimate(policy, seed=SEED),
    ],
)
@pytest.mark.parametrize("make", [implicit, point])
def test_what_needs_a_density_is_refused_with_what_to_use(make, ask):
    for squash in (None, Squash(BOX)):
        with pytest.raises(CapabilityError, match="has no density.*GaussianActorNetwork"):
            ask(make(squash))
    assert not has_analytic_kl(make())


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("make", [implicit, point])
def test_a_compiled_function_of_any_batch_draws_the_same(make, jit_compile):
    signature = [tf.TensorSpec([None, 2]), tf.TensorSpec([2], tf.int32)]

    @tf.function(autograph=False, jit_compile=jit_compile, input_signature=signature)
    def draw(context, seed):
        if make is point:
            policy = PointMass(context, Squash(BOX))
        else:
            policy = ImplicitDistribution(affine, context, 3, bijector=Squash(BOX))
        return policy.sample(3, seed=seed), greedy_action(policy)

    sample, greedy = draw(CONTEXT, SEED)
    policy = make(Squash(BOX))
    np.testing.assert_allclose(greedy, greedy_action(policy), rtol=1e-4, atol=1e-5)
    if jit_compile and make is implicit:  # XLA has random numbers of its own.
        assert sample.shape == [3, 4, 2] and len(np.unique(sample)) == 24
    else:
        np.testing.assert_allclose(sample, policy.sample(3, seed=SEED), rtol=1e-4, atol=1e-5)
