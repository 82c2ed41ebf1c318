"""Particles that SVGD moves, as a distribution: their start, shapes, choices and errors."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, stats

from expol_tf.bijectors import Squash
from expol_tf.distributions import (
    SteinDistribution,
    SteinSampler,
    capabilities,
    entropy_estimate,
    greedy_action,
    sample_action,
    split_squash,
)
from expol_tf.errors import CapabilityError, ConfigurationError
from tests.distributions.stein_cases import BOX, MEAN, SEED, STD, make_base, score, starts_of

tfd = tfp.distributions


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("squashed", [False, True])
def test_without_steps_and_range_it_is_the_base_to_the_last_bit(size, squashed):
    base, bijector = make_base(tf.float32), Squash(BOX) if squashed else None
    sampler = SteinSampler(num_particles=size, num_sampler_steps=0, range=None)
    policy = SteinDistribution(base, score, sampler, bijector=bijector)
    expected = tfd.TransformedDistribution(base, bijector) if squashed else base
    for shape in [(), 3, (2, 3)] if size == 1 else [4, (2, 4)]:
        action, log_prob = policy.experimental_sample_and_log_prob(shape, seed=SEED)
        wanted, wanted_log_prob = expected.experimental_sample_and_log_prob(shape, seed=SEED)
        np.testing.assert_array_equal(action, wanted)
        np.testing.assert_array_equal(log_prob, wanted_log_prob)
        np.testing.assert_array_equal(policy.sample(shape, seed=SEED), expected.sample(shape, seed=SEED))


@pytest.mark.parametrize("limit", [0.8, 3.0])
def test_particles_start_from_the_truncated_gaussian(limit):
    base = make_base()
    policy = SteinDistribution(base, score, SteinSampler(num_sampler_steps=0, range=limit))
    u, log_prob = (each.numpy() for each in policy.experimental_sample_and_log_prob(20_000, seed=SEED))
    noise = (u - MEAN) / STD
    assert np.abs(noise).max() <= limit + 1e-12
    for row in range(3):
        for component in range(2):
            assert stats.kstest(noise[:, row, component], stats.truncnorm(-limit, limit).cdf).pvalue > 1e-3
    np.testing.assert_allclose(
        log_prob, stats.truncnorm(-limit, limit).logpdf(noise).sum(-1) - np.log(STD).sum(-1), atol=1e-9
    )


def test_the_truncated_density_integrates_to_one():
    base = tfd.MultivariateNormalDiag(tf.constant([0.7], tf.float64), tf.constant([0.3], tf.float64))
    policy = SteinDistribution(base, score, SteinSampler(num_sampler_steps=0, range=1.5))
    u, log_prob = (each.numpy() for each in policy.experimental_sample_and_log_prob(50_000, seed=SEED))
    order = np.argsort(u[:, 0])
    assert integrate.trapezoid(np.exp(log_prob[order]), u[order, 0]) == pytest.approx(1.0, abs=1e-3)


def test_single_precision_keeps_the_range():
    for limit in (0.5, 3.0, 5.3, 8.0, 50.0):
        sampler = SteinSampler(num_sampler_steps=0, range=limit)
        base = tfd.MultivariateNormalDiag(tf.zeros([1]), tf.ones([1]))
        u, log_prob = SteinDistribution(base, score, sampler).experimental_sample_and_log_prob(
            200_000, seed=SEED
        )
        assert np.abs(u).max() <= limit * (1 + 2e-5) and np.isfinite(log_prob).all()


def test_where_none_stayed_all_are_kept_and_none_is_clipped():
    base = tfd.MultivariateNormalDiag(tf.zeros([2, 1], tf.float64), tf.ones([2, 1], tf.float64))
    push = tf.constant([[[100.0]], [[0.0]]], tf.float64)
    sampler = SteinSampler(
        5, num_sampler_steps=1, step_size=1.0, range=2.0, num_spares=3, bandwidth=9.0, step_limit=None
    )
    policy = SteinDistribution(base, lambda u: push + 0.0 * u, sampler, temperature=1e-9)
    u, log_prob, statistics = policy.sample_with_statistics(5, seed=SEED)
    assert u[:, 0].numpy().min() > 50 and len(np.unique(u[:, 0])) == 5
    np.testing.assert_array_equal(statistics["dropped_share"], [1.0, 0.0])
    assert np.isfinite(log_prob).all()


def test_the_start_alone_is_the_spares_too():
    sampler = SteinSampler(num_particles=4, num_sampler_steps=0, num_spares=3)
    u = SteinDistribution(make_base(), score, sampler).sample(8, seed=SEED)
    start, _ = starts_of(make_base(), sampler, 2)
    np.testing.assert_array_equal(np.moveaxis(u, 0, 1).reshape([3, 2, 4, 2]), start[:, :, :4])


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("shape", [(), (3,), (4,), (10,), (2, 3)])
def test_shapes_are_those_of_any_distribution(batch, shape):
    base = make_base(tf.float32, batch)
    policy = SteinDistribution(
        base, score, SteinSampler(4, 2), value=lambda u: tf.reduce_sum(u, -1), bijector=Squash(BOX)
    )
    assert policy.batch_shape == list(batch) and policy.event_shape == [2] and policy.dtype == tf.float32
    assert list(policy.batch_shape_tensor()) == list(batch) and list(policy.event_shape_tensor()) == [2]
    sample = policy.sample(shape, seed=SEED)
    assert sample.shape == [*shape, *batch, 2]
    both, log_prob = policy.experimental_sample_and_log_prob(shape, seed=SEED)
    np.testing.assert_array_equal(both, sample)
    assert log_prob.shape == [*shape, *batch]
    flat = policy.sample(int(np.prod(shape)), seed=SEED)
    np.testing.assert_array_equal(tf.reshape(sample, flat.shape), flat)
    assert greedy_action(policy).shape == [*batch, 2] and policy.entropy().shape == list(batch)
    for rule in ("random", "softmax", "argmax"):
        assert policy.select(rule, SEED).shape == [*batch, 2]


@pytest.mark.parametrize("count", [1, 7])
def test_a_batch_of_unknown_size(count):
    @tf.function(
        input_signature=[tf.TensorSpec([None, 2], tf.float64), tf.TensorSpec([], tf.int32)], autograph=False
    )
    def draw(mean, number):
        policy = make(mean)
        fixed = policy.experimental_sample_and_log_prob(count, seed=SEED)
        counted = policy.experimental_sample_and_log_prob(tf.reshape(number, [1]), seed=SEED)
        return (
            fixed,
            counted,
            policy.sample(number, seed=SEED),
            greedy_action(policy),
            policy.select("softmax", SEED),
        )

    def make(mean):
        return SteinDistribution(
            tfd.MultivariateNormalDiag(mean, 0.5 * tf.ones_like(mean)),
            lambda u: -u,
            SteinSampler(4, 2, num_spares=2, range=1.0, density_change="printed"),
            value=lambda u: -tf.reduce_sum(u**2, -1),
        )

    policy = make(tf.constant(MEAN))
    sample, log_prob = policy.experimental_sample_and_log_prob(count, seed=SEED)
    found = draw(MEAN, count)
    for each in found[:2]:
        np.testing.assert_allclose(each[0], sample, atol=1e-12)
        np.testing.assert_allclose(each[1], log_prob, atol=1e-11)
    np.testing.assert_allclose(found[2], sample, atol=1e-12)
    np.testing.assert_allclose(found[3], greedy_action(policy), atol=1e-12)
    np.testing.assert_allclose(found[4], policy.select("softmax", SEED), atol=1e-12)


def test_samples_and_density_of_the_squashed_are_the_bijectors():
    policy = SteinDistribution(make_base(tf.float32), score, SteinSampler(5), bijector=Squash(BOX))
    latent, squash = split_squash(policy)
    assert latent.bijector is None and squash is policy.bijector
    action, log_prob = policy.experimental_sample_and_log_prob(10, seed=SEED)
    u, latent_log_prob = latent.experimental_sample_and_log_prob(10, seed=SEED)
    np.testing.assert_array_equal(action, squash.forward(tf.identity(u)))
    slope = squash.forward_log_det_jacobian(tf.identity(u), event_ndims=1)
    np.testing.assert_allclose(log_prob, latent_log_prob - slope, atol=1e-6)
    drawn = sample_action(policy, SEED)
    np.testing.assert_array_equal(drawn.action, squash.forward(drawn.pre_squash_action))
    assert drawn.log_prob.shape == [3]


def test_the_entropy_is_that_of_the_particles():
    policy = SteinDistribution(make_base(), score, SteinSampler(8), temperature=0.5)
    log_prob = policy.experimental_sample_and_log_prob(8, seed=SEED)[1]
    np.testing.assert_allclose(policy.entropy(seed=SEED), -np.mean(log_prob, axis=0), atol=1e-12)
    # Of a Gaussian that was only moved, by steps that keep its volume, it is the Gaussian's.
    still = SteinDistribution(make_base(), score, SteinSampler(2000, 0, range=None))
    np.testing.assert_allclose(still.entropy(), make_base().entropy(), atol=0.06)
    np.testing.assert_allclose(entropy_estimate(still, 4000, SEED), make_base().entropy(), atol=0.05)


def test_the_greedy_action_is_a_particle_of_the_highest_value():
    def best_near(point):
        return lambda u: -tf.reduce_sum(tf.square(u - point), -1)

    base = make_base(tf.float32)
    mean = tf.constant(MEAN[:, np.newaxis], tf.float32)
    # μ itself is one of those that start.
    policy = SteinDistribution(base, score, SteinSampler(10, 0), value=best_near(mean), bijector=Squash(BOX))
    np.testing.assert_allclose(
        greedy_action(policy), Squash(BOX).forward(tf.constant(MEAN, tf.float32)), atol=1e-6
    )
    policy = SteinDistribution(base, lambda u: -(u - 1.0), SteinSampler(10, 3), value=best_near(1.0))
    action = greedy_action(policy).numpy()
    np.testing.assert_array_equal(greedy_action(policy), action)
    # With steps, and a value that differs from it, better than the mean.
    assert (np.linalg.norm(action - 1.0, axis=-1) < np.linalg.norm(MEAN - 1.0, axis=-1)).all()
    # In another place of another batch.
    order = [2, 0, 1, 2, 2]
    other = tfd.MultivariateNormalDiag(*(tf.constant(each[order], tf.float32) for each in (MEAN, STD)))
    policy = SteinDistribution(other, lambda u: -(u - 1.0), SteinSampler(10, 3), value=best_near(1.0))
    np.testing.assert_allclose(greedy_action(policy), action[order], atol=1e-6)


def test_selection_follows_the_value():
    """Of three particles, each positive in half of the cases, where those are worth 1 and others 0."""
    count, alpha = 20_000, 0.7
    base = tfd.MultivariateNormalDiag(tf.zeros([count, 1]), tf.ones([1]))
    policy = SteinDistribution(
        base, score, SteinSampler(3, 0), alpha, value=lambda u: tf.cast(u[..., 0] > 0, tf.float32)
    )
    gain = np.exp(1 / alpha)
    expected = {
        "random": 0.5,
        "softmax": sum(stats.binom(3, 0.5).pmf(k) * k * gain / (k * gain + 3 - k) for k in range(4)),
        "argmax": 7 / 8,
    }
    for rule, share in expected.items():
        chosen = policy.select(rule, SEED).numpy()
        assert np.mean(chosen > 0) == pytest.approx(share, abs=0.015), rule
        np.testing.assert_array_equal(policy.select(rule, SEED), chosen)
        assert (policy.select(rule, [3, 4]).numpy() != chosen).any()


def test_steps_may_be_measured_by_the_temperature():
    def draw(alpha, step, step_size):
        sampler = SteinSampler(5, 3, step_size, step=step, range=None)
        return SteinDistribution(make_base(), score, sampler, alpha).sample(5, seed=SEED).numpy()

    np.testing.assert_allclose(draw(20.0, "per_temperature", 0.2), draw(20.0, "plain", 0.01), atol=1e-12)
    assert np.abs(draw(20.0, "per_temperature", 0.2) - draw(20.0, "plain", 0.2)).max() > 0.1


def test_what_it_can_do_and_what_it_cannot():
    own = {"sample", "reparameterized_sample", "sample_and_log_prob"}
    plain = SteinDistribution(make_base(), score)
    assert capabilities(plain) == own and plain.sampler == SteinSampler()
    valued = SteinDistribution(make_base(), score, value=lambda u: u[..., 0])
    assert capabilities(valued) == own | {"greedy_action"}
    for call, words in (
        (lambda: plain.log_prob(tf.zeros([3, 2], tf.float64)), "log_prob.*experimental_sample_and_log_prob"),
        (lambda: plain[0], "slices: .*the whole batch"),
        (lambda: plain.greedy_action(), 'value: .*select\\("random"\\)'),
        (lambda: plain.select("argmax", SEED), "value: "),
    ):
        with pytest.raises(CapabilityError, match=words):
            call()
    with pytest.raises(ConfigurationError, match="selection must be one of .*got 'best'"):
        valued.select("best", SEED)
    with pytest.raises(ConfigurationError, match="base must be a MultivariateNormalDiag.*got a Normal"):
        SteinDistribution(tfd.Normal(0.0, 1.0), score)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(num_particles=0), "num_particles must be 1 or more; got 0"),
        (dict(num_sampler_steps=-1), "num_sampler_steps must be 0 or more; got -1"),
        (dict(num_spares=-2), "num_spares must be 0 or more; got -2"),
        (dict(step_size=0.0), "step_size must be positive; got 0.0"),
        (dict(range=-3.0), "range must be positive or None; got -3.0"),
        (dict(range=float("inf")), "range must be positive and finite, or None; got inf"),
        (dict(floor=0.01), r"SteinSampler.floor is now 0.002 always"),
        (dict(step="adaptive"), "step must be one of .*got 'adaptive'"),
        (dict(density_change="exact"), "density_change must be one of .*got 'exact'"),
        (
            dict(density_change="trace"),
            "SteinSampler.density_change .*'trace'. What was .* is now \"printed\"",
        ),
        (
            dict(step_limit=0),
            "SteinSampler.step_limit must be between 0 and 1, or None; got 0. The default is 0.75",
        ),
        (dict(step_limit=1.0), "SteinSampler.step_limit must be between 0 and 1, or None; got 1.0"),
        (dict(step_limit=-1.0), "SteinSampler.step_limit must be between 0 and 1, or None; got -1.0"),
        (dict(step_limit=float("nan")), "SteinSampler.step_limit must be between 0 and 1, or None; got nan"),
        (dict(num_probes=0), "SteinSampler.num_probes must be 1 or more, or None; got 0"),
        (
            dict(num_probes=2, density_change="printed"),
            "SteinSampler.num_probes are .*\"joint_trace\" alone; got 2 with density_change 'printed'",
        ),
        (dict(num_probes=2, density_change="joint_logdet"), "got 2 with density_change 'joint_logdet'"),
        (
            dict(curvature_gradient=True, density_change="printed"),
            "SteinSampler.curvature_gradient must be False .*'printed'.*'joint_trace', 'joint_logdet'",
        ),
        (dict(bandwidth="wide"), "bandwidth must be one of .*got 'wide'"),
        (dict(bandwidth=-1.0), "SteinSampler.bandwidth must be positive; got -1.0"),
        (dict(bandwidth=1e-8), "SteinSampler.bandwidth must be 1e-06 or more.*; got 1e-08"),
        (dict(density_change=None), "SteinSampler.density_change must be .*got None"),
        (dict(range=None, num_spares=1), "num_spares: nothing leaves without a range; got 1"),
    ],
    ids=lambda each: "_".join(each) if isinstance(each, dict) else "",
)
def test_errors_name_the_setting_the_rule_and_the_value(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        SteinSampler(**settings)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda u: tf.transpose(u, [1, 0, 2]), r"score\(particles\) must "),
        (lambda u: u[..., :1], r"score\(particles\) must "),
        (lambda u: tf.concat([u, u], -2), r"score\(particles\) must "),
        (lambda u: None, r"score\(particles\) must "),
        (lambda u: 0.0, r"score\(particles\) must "),
    ],
    ids=["transposed", "sliced", "doubled", "none", "number"],
)
def test_scores_of_another_shape_are_refused(wrong, words):
    policy = SteinDistribution(make_base(), wrong, SteinSampler(4, 1, density_change="printed"))
    with pytest.raises(ConfigurationError, match=words):
        policy.sample(8, seed=SEED)


def test_values_of_another_shape_are_refused():
    policy = SteinDistribution(make_base(), lambda u: -u, SteinSampler(4, 1), value=lambda u: u)
    with pytest.raises(ConfigurationError, match=r"value\(particles\) must "):
        policy.greedy_action()


def test_a_step_per_temperature_needs_one():
    with pytest.raises(ConfigurationError, match="temperature must be positive; got 0"):
        SteinDistribution(make_base(), lambda u: -u, SteinSampler(step="per_temperature"), 0.0)
    with pytest.raises(ConfigurationError, match="temperature must be a number, 0 or more; got None"):
        SteinDistribution(make_base(), lambda u: -u, temperature=None)
    SteinDistribution(make_base(), lambda u: -u, SteinSampler(), 0.0)
