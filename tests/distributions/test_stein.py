"""Particles that SVGD moves, as a distribution, against slow loops, quadrature and finite differences."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats
from tf_agents.specs import tensor_spec

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
from expol_tf.samplers import DENSITY_CHANGES, JOINT_CHANGES, svgd
from tests.samplers.slow_svgd import SlowStep

tfd = tfp.distributions

BOX = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
MEAN = np.array([[0.3, -0.2], [1.0, 0.5], [-0.7, 0.0]])
STD = np.array([[0.5, 1.0], [0.2, 0.4], [1.5, 0.7]])
STRENGTH = np.array([1.0, 3.0, 0.3])
SEED = tf.constant([1, 2])
# Symmetric, as Hessians are.
SHEAR = np.array([[0.0, 1, -2, 1], [1, 0, 1, -1], [-2, 1, 0, 2], [1, -1, 2, 0]])


def make_base(dtype=tf.float64, batch=(3,)):
    mean, std = (each[: batch[-1]] if batch else each[0] for each in (MEAN, STD))
    mean, std = (tf.constant(np.broadcast_to(each, [*batch, 2]), dtype) for each in (mean, std))
    return tfd.MultivariateNormalDiag(mean, std)


def score(u):
    """Of ℓ = Σ −u⁴/4 + 2 sin(u), in every member of the batch with another strength."""
    strength = 1.0
    if u.shape.rank > 2:
        strength = tf.constant(STRENGTH[: u.shape[-3]], u.dtype)[:, tf.newaxis, tf.newaxis]
    return strength * (2.0 * tf.cos(u) - u**3)


def slow_sets(starts, strength, sampler, alpha, mean, std):
    """Sets of M + spares particles of one member of the batch, moved by slow steps.

    Returns for each what is left of it `[M, A]` and its change of log q `[M]`, where all ended, which stayed,
    the determinants det J of all steps and particles, and whether the steps were limited.
    """
    epsilon = sampler.step_size / (alpha if sampler.step == "per_temperature" else 1.0)
    step = SlowStep(
        lambda u: strength * (2.0 * np.cos(u) - u**3), epsilon, alpha, sampler.bandwidth, sampler.step_limit
    )
    assert step.floor == sampler.floor
    for u in starts:
        change, stays, determinants, limited = 0.0, np.ones(len(u), bool), [], []
        for _ in range(sampler.num_sampler_steps):
            determinants += list(np.linalg.det(step.frozen(u)))
            limited.append(step.factor(u) < 1)
            u, change = step.moved(u), change + step.changes(u)[sampler.density_change]
            if sampler.range is not None:
                stays &= np.all(np.abs(u - mean) <= sampler.range * std, axis=1)
        left = np.flatnonzero(stays) if stays.any() else np.arange(len(u))
        chosen = [left[i % len(left)] for i in range(sampler.num_particles)]
        yield SlowSet(chosen, u[chosen], change, u, stays, determinants, limited)


class SlowSet(NamedTuple):
    """What `slow_sets` knows of a set."""

    chosen: list
    particles: np.ndarray
    change: np.ndarray
    ends: np.ndarray
    stays: np.ndarray
    determinants: list
    limited: list


def starts_of(base, sampler, num_sets):
    """Where all particles, spare ones too, of so many sets start: `[B, S, M + spares, A]` and log q⁰."""
    total = sampler.num_particles + sampler.num_spares
    still = dataclasses.replace(sampler, num_particles=total, num_spares=0, num_sampler_steps=0)
    u, log_prob = SteinDistribution(base, score, still).experimental_sample_and_log_prob(
        num_sets * total, seed=SEED
    )
    u, log_prob = np.moveaxis(u.numpy(), 0, 1), np.moveaxis(log_prob.numpy(), 0, 1)
    return u.reshape([3, num_sets, total, 2]), log_prob.reshape([3, num_sets, total])


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
    assert np.trapz(np.exp(log_prob[order]), u[order, 0]) == pytest.approx(1.0, abs=1e-3)


def test_single_precision_keeps_the_range():
    for limit in (0.5, 3.0, 5.3, 8.0, 50.0):
        sampler = SteinSampler(num_sampler_steps=0, range=limit)
        base = tfd.MultivariateNormalDiag(tf.zeros([1]), tf.ones([1]))
        u, log_prob = SteinDistribution(base, score, sampler).experimental_sample_and_log_prob(
            200_000, seed=SEED
        )
        assert np.abs(u).max() <= limit * (1 + 2e-5) and np.isfinite(log_prob).all()


@pytest.mark.parametrize(
    "settings",
    [
        dict(range=None),
        dict(range=None, density_change="logdet", bandwidth=0.7),
        dict(range=None, density_change="joint_logdet", step_limit=0.25),
        dict(range=50.0, step="per_temperature"),
        dict(range=50.0, density_change="printed", step_limit=None),
    ],
)
def test_particles_and_density_are_those_of_svgd(settings):
    sampler = SteinSampler(num_particles=6, num_sampler_steps=4, step_size=0.2, **settings)
    policy = SteinDistribution(make_base(), score, sampler, temperature=0.6)
    u, log_prob = policy.experimental_sample_and_log_prob(12, seed=SEED)
    start, start_log_prob = starts_of(make_base(), sampler, 2)
    for index in range(2):
        moved = svgd(
            start[:, index],
            score,
            4,
            0.2 / 0.6 if sampler.step == "per_temperature" else 0.2,
            temperature=0.6,
            bandwidth=sampler.bandwidth,
            step_limit=sampler.step_limit,
            density_change=sampler.density_change,
        )
        rows = slice(6 * index, 6 * index + 6)
        np.testing.assert_allclose(np.moveaxis(u[rows], 0, 1), moved.particles, atol=1e-12)
        wanted = start_log_prob[:, index] + moved.log_density_change
        np.testing.assert_allclose(np.moveaxis(log_prob[rows], 0, 1), wanted, atol=1e-11)


@pytest.mark.parametrize(
    "settings",
    [
        dict(range=None),
        dict(range=1.2, num_spares=2, step_size=0.4),
        dict(range=None, density_change="joint_logdet", step_limit=0.1875),
        dict(range=0.7, step_size=0.5, density_change="logdet", step="per_temperature"),
        dict(range=1.2, density_change="printed", bandwidth=0.8, step_limit=None),
    ],
    ids=lambda settings: "_".join(settings),
)
def test_everything_against_a_slow_loop(settings):
    sampler = SteinSampler(**dict(num_particles=4, num_sampler_steps=3, step_size=0.3) | settings)
    alpha, base = 0.6, make_base()
    policy = SteinDistribution(base, score, sampler, lambda: tf.constant(alpha, tf.float64))
    u, log_prob, statistics = policy.sample_with_statistics(8, seed=SEED)
    again, log_prob_again = policy.experimental_sample_and_log_prob(8, seed=SEED)
    np.testing.assert_array_equal(again, u)
    np.testing.assert_array_equal(log_prob_again, log_prob)
    np.testing.assert_array_equal(policy.sample(8, seed=SEED), u)
    np.testing.assert_allclose(policy.entropy(seed=SEED).shape, [3])
    start, start_log_prob = starts_of(base, sampler, 2)
    all_sets = []
    for row in range(3):
        sets = list(slow_sets(start[row], STRENGTH[row], sampler, alpha, MEAN[row], STD[row]))
        all_sets += sets
        np.testing.assert_allclose(u[:, row], np.concatenate([each.particles for each in sets]), atol=1e-10)
        wanted = [
            (before + each.change)[each.chosen]
            for before, each in zip(start_log_prob[row], sets, strict=True)
        ]
        np.testing.assert_allclose(log_prob[:, row], np.concatenate(wanted), atol=1e-9)
        slope = STRENGTH[row] * (2.0 * np.cos(start[row]) - start[row] ** 3)
        ends = np.stack([each.ends for each in sets])
        for name, value in {
            "particle_spread": np.mean([np.std(each.particles, axis=0) for each in sets]),
            "displacement": np.mean(np.linalg.norm(ends - start[row], axis=-1)),
            "dropped_share": np.mean([~each.stays for each in sets]),
            "limited_share": np.mean([each.limited for each in sets]),
            "score_norm": np.mean(np.linalg.norm(slope, axis=-1)),
        }.items():
            assert float(statistics[name][row]) == pytest.approx(value, abs=1e-9), name
    found = np.concatenate([each.determinants for each in all_sets])
    assert float(statistics["smallest_determinant"]) == pytest.approx(found.min(), abs=1e-9)
    assert float(statistics["folded_share"]) == pytest.approx(np.mean(found <= 0))
    share = np.mean([each.limited for each in all_sets])
    assert 0 < share < 1 if sampler.step_limit else share == 0
    counts = [int(each.stays.sum()) for each in all_sets]
    if settings.get("num_spares"):
        # Spares were enough, were too few.
        assert any(4 <= count < 6 for count in counts) and any(0 < count < 4 for count in counts)
    elif sampler.range is not None:
        assert any(0 < count < 4 for count in counts)


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


def test_folding_is_seen_and_limited():
    base = tfd.MultivariateNormalDiag(tf.zeros([1]), tf.ones([1]))
    folds = {
        (epsilon, limit): SteinDistribution(
            base, lambda u: -50.0 * u, SteinSampler(5, 1, epsilon, range=None, step_limit=limit)
        ).sample_with_statistics(5, seed=SEED)[2]
        for epsilon, limit in ((0.001, None), (0.001, 0.75), (0.5, None), (0.5, 0.75))
    }
    for name in folds[0.001, None]:
        assert folds[0.001, None][name] == folds[0.001, 0.75][name], name
    assert folds[0.001, 0.75]["folded_share"] == 0 and folds[0.001, 0.75]["smallest_determinant"] > 0
    assert folds[0.5, None]["folded_share"] > 0 and folds[0.5, None]["smallest_determinant"] <= 0
    assert folds[0.5, 0.75]["folded_share"] == 0 and folds[0.5, 0.75]["smallest_determinant"] > 0
    assert [float(each["limited_share"]) for each in folds.values()] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("settings", "size", "count"),
    [
        (dict(), 1, None),
        (dict(), 2, None),
        (dict(), 3, 1),
        (dict(), 17, 1),
        (dict(num_probes=1), 2, 1),
        (dict(num_probes=5), 17, 5),
        (dict(density_change="joint_logdet"), 17, None),
    ],
)
def test_the_trace_is_exact_in_few_components_and_random_in_many(settings, size, count):
    assert SteinSampler(**settings).directions_of(size) == count


def of_four(count):
    """The same Gaussian of four components, `count` times."""
    mean = tf.constant([0.3, -0.2, 0.5, 0.0], tf.float64)
    return tfd.MultivariateNormalDiag(tf.broadcast_to(mean, [count, 4]), 0.6 * tf.ones([4], tf.float64))


def test_particles_are_the_same_whatever_their_density():
    for settings in (dict(), dict(num_probes=3), *(dict(density_change=each) for each in DENSITY_CHANGES)):
        policy = SteinDistribution(of_four(3), lambda u: -(u**3), SteinSampler(5, **settings))
        u, log_prob = policy.experimental_sample_and_log_prob(10, seed=SEED)
        np.testing.assert_array_equal(
            u, SteinDistribution(of_four(3), lambda u: -(u**3), SteinSampler(5)).sample(10, seed=SEED)
        )
        np.testing.assert_array_equal(u, policy.sample(10, seed=SEED))
        again = policy.experimental_sample_and_log_prob(10, seed=SEED)[1]
        np.testing.assert_array_equal(again, log_prob)


def test_random_directions_are_unbiased_and_those_of_each_member():
    found = {}
    for count in (None, 1, 4):
        # Four unit vectors are exact, which None is in two components alone.
        kind = "joint_logdet" if count is None else "joint_trace"
        sampler = SteinSampler(5, 2, 0.02, density_change=kind, num_probes=count)
        policy = SteinDistribution(of_four(2000), lambda u: -(u**3) + u @ SHEAR, sampler)
        found[count] = policy.experimental_sample_and_log_prob(5, seed=SEED)[1].numpy()
    for count in (1, 4):
        # The sum over a set; its second order is the same.
        error = (found[count] - found[None]).sum(axis=0)
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error)) + 1e-4
        assert len(np.unique(np.round(error, 9))) > 1000
    deviations = [(found[count] - found[None]).sum(axis=0).std() for count in (1, 4)]
    assert deviations[0] / deviations[1] == pytest.approx(2.0, rel=0.15)


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


@pytest.mark.parametrize("num_steps", [0, 1])
def test_densities_and_statistics_of_a_batch_of_unknown_size(num_steps):
    """With random directions, which have the shape of the batch too."""

    def draw(mean):
        base = tfd.MultivariateNormalDiag(mean, 0.5 * tf.ones_like(mean))
        policy = SteinDistribution(base, lambda u: -(u**3), SteinSampler(4, num_steps))
        return policy.sample_with_statistics(8, seed=SEED)

    mean = tf.constant(np.random.default_rng(0).normal(size=[5, 3]))
    signature = [tf.TensorSpec([None, 3], tf.float64)]
    found = tf.function(draw, input_signature=signature, autograph=False)(mean)
    for one, expected in zip(tf.nest.flatten(found), tf.nest.flatten(draw(mean)), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-11)


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


def steered(u):
    """The gradient of a function of which no derivative is 0 everywhere."""
    with tf.GradientTape() as tape:
        tape.watch(u)
        value = tf.reduce_sum(tf.sin(2.0 * u[..., :1]) * u[..., 1:] - u**4 / 4.0)
    return tape.gradient(value, u)


@pytest.mark.parametrize(
    "settings",
    [
        dict(range=None, curvature_gradient=True),
        dict(range=None, curvature_gradient=True, density_change="joint_logdet"),
        dict(range=None, density_change="printed"),
        dict(range=3.0, density_change="logdet", num_spares=2),
    ],
    ids=lambda settings: settings.get("density_change", "joint_trace"),
)
def test_gradients_through_all_steps_are_finite_differences(settings):
    sampler = SteinSampler(4, 3, 0.1, bandwidth=0.8, step_limit=None, **settings)
    weights = np.random.default_rng(0).normal(size=[8, 3, 2])
    squash = Squash(BOX, tf.float64)

    @tf.function(autograph=False)
    def total(parameters):
        base = tfd.MultivariateNormalDiag(parameters[0], tf.exp(parameters[1]))
        policy = SteinDistribution(base, steered, sampler, 0.5, bijector=squash)
        action, log_prob = policy.experimental_sample_and_log_prob(8, seed=SEED)
        return tf.reduce_sum(weights * action) + tf.reduce_sum(weights[..., 0] * log_prob)

    point = tf.constant(np.stack([MEAN, np.log(STD)]))
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = total(point)
    gradient = tape.gradient(value, point).numpy()
    for index in np.ndindex(gradient.shape):
        change = np.zeros(gradient.shape)
        change[index] = 1e-6
        difference = (total(point + change) - total(point - change)) / 2e-6
        assert gradient[index] == pytest.approx(float(difference), rel=1e-5, abs=1e-6)


def gradients_of(policy_of):
    """The gradients of samples and of log π, with weights, by the mean and the deviation of the base."""
    weights = np.random.default_rng(0).normal(size=[8, 3, 3])
    with tf.GradientTape(persistent=True) as tape:
        mean, std = tf.constant(MEAN), tf.constant(STD)
        tape.watch([mean, std])
        u, log_prob = policy_of(tfd.MultivariateNormalDiag(mean, std)).experimental_sample_and_log_prob(
            8, seed=SEED
        )
        of_u, of_log_prob = tf.reduce_sum(weights[..., :2] * u), tf.reduce_sum(weights[..., 2] * log_prob)
    return [*tape.gradient(of_u, [mean, std]), *tape.gradient(of_log_prob, [mean, std])]


@pytest.mark.parametrize("kind", JOINT_CHANGES)
def test_without_the_scores_gradient_they_are_constants(kind):
    sampler = SteinSampler(4, 1, 0.1, bandwidth=0.8, density_change=kind)
    found = gradients_of(
        lambda base: SteinDistribution(base, steered, dataclasses.replace(sampler, score_gradient=False))
    )
    through = gradients_of(lambda base: SteinDistribution(base, steered, sampler))
    assert all(np.abs(one - other).max() > 1e-3 for one, other in zip(found, through, strict=True))

    def held(u):
        return tf.stop_gradient(steered(u)) + 0.0 * u

    if kind == "joint_logdet":
        return  # ∇²ℓ is in the gradient of a determinant, which has none of `held`.
    for one, other in zip(
        found, gradients_of(lambda base: SteinDistribution(base, held, sampler)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_by_default_the_gradient_of_log_pi_is_the_papers():
    """In the first order alone and without ∇²ℓ, if the width is fixed; the values differ."""
    sampler = SteinSampler(4, 3, 0.1, bandwidth=0.8)
    printed = dataclasses.replace(sampler, density_change="printed")
    whole = dataclasses.replace(sampler, curvature_gradient=True)
    found, expected, more = (
        gradients_of(lambda base, each=each: SteinDistribution(base, steered, each))
        for each in (sampler, printed, whole)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    for one, other in zip(found[:2], more[:2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert all(np.abs(one - other).max() > 1e-3 for one, other in zip(found[2:], more[2:], strict=True))
    values = [
        SteinDistribution(make_base(), steered, each).entropy(seed=SEED).numpy()
        for each in (sampler, printed)
    ]
    assert np.abs(values[0] - values[1]).min() > 1e-2


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
        (dict(step_size=0.0), "step_size must be a positive number; got 0.0"),
        (dict(range=-3.0), "range must be a positive number; got -3.0"),
        (dict(range=float("inf")), "range must be a positive number; got inf"),
        (dict(floor=0.01), r"SteinSampler.floor is now 0.002 always"),
        (dict(step="adaptive"), "step must be one of .*got 'adaptive'"),
        (dict(density_change="exact"), "density_change must be one of .*got 'exact'"),
        (
            dict(density_change="trace"),
            "SteinSampler.density_change .*'trace'. What was .* is now \"printed\"",
        ),
        (
            dict(step_limit=0),
            "SteinSampler.step_limit must be between 0 and 1; got 0. .*None takes every step",
        ),
        (dict(step_limit=1.0), "SteinSampler.step_limit must be between 0 and 1; got 1.0"),
        (dict(step_limit=-1.0), "SteinSampler.step_limit must be between 0 and 1; got -1.0"),
        (dict(step_limit=float("nan")), "SteinSampler.step_limit must be between 0 and 1; got nan"),
        (dict(num_probes=0), "SteinSampler.num_probes must be 1 or more; got 0"),
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
        (dict(bandwidth=-1.0), "bandwidth must be positive.*got -1.0"),
        (dict(range=None, num_spares=1), "num_spares: nothing leaves without a range; got 1"),
    ],
    ids=lambda each: "_".join(each) if isinstance(each, dict) else "",
)
def test_errors_name_the_setting_the_rule_and_the_value(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        SteinSampler(**settings)
