"""The density of particles that SVGD has moved, its gradients, and statistics of their way."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import Squash
from expol_tf.distributions import SteinDistribution, SteinSampler, stein
from expol_tf.samplers import DENSITY_CHANGES, JOINT_CHANGES, directions_of_step, svgd
from tests.distributions.stein_cases import BOX, MEAN, SEED, STD, STRENGTH, make_base, score, starts_of
from tests.samplers.slow_svgd import SlowStep

tfd = tfp.distributions

# Symmetric, as Hessians are.
SHEAR = np.array([[0.0, 1, -2, 1], [1, 0, 1, -1], [-2, 1, 0, 2], [1, -1, 2, 0]])


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
    assert SteinSampler(**settings).probes_of(size) == count


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


def test_random_directions_are_drawn_anew_by_every_step_and_seed(monkeypatch):
    drawn = []

    def recorded(particles, num_probes, seed, index):
        drawn.append(directions_of_step(particles, num_probes, seed, index).numpy())
        return tf.constant(drawn[-1])

    monkeypatch.setattr(stein, "directions_of_step", recorded)
    policy = SteinDistribution(of_four(50), lambda u: -(u**3), SteinSampler(5, 2, 0.02))
    for seed in ((0, 1), (0, 2), (0, 1)):
        policy.experimental_sample_and_log_prob(5, seed=tf.constant(seed, tf.int32))
    one, other, again = drawn[:2], drawn[2:4], drawn[4:]
    np.testing.assert_array_equal(one, again)
    different = [np.mean(x != y) for x, y in ((one[0], one[1]), (one[0], other[0]), (other[0], other[1]))]
    np.testing.assert_allclose(different, 0.5, atol=0.15)


@pytest.mark.parametrize("kind", JOINT_CHANGES)
def test_the_largest_curvature_is_seen(kind):
    """Of a score that is bent ten times as much in one place: (ε/M)·‖∇²ℓ‖ of the particle nearest to it."""
    sampler = SteinSampler(5, 1, 0.02, density_change=kind, num_probes=None, step_limit=None, range=None)
    base = tfd.MultivariateNormalDiag(tf.zeros([3, 2], tf.float64), tf.ones([3, 2], tf.float64))
    policy = SteinDistribution(base, lambda u: -u - tf.tanh(9.0 * u), sampler)
    _, _, statistics = policy.sample_with_statistics(10, seed=SEED)
    start = base.sample(10, seed=SEED).numpy()
    bent = 1.0 + 9.0 / np.cosh(9.0 * start) ** 2
    largest = 0.02 / 5 * np.linalg.norm(bent, axis=-1).max()
    assert float(statistics["largest_curvature"]) == pytest.approx(largest, rel=1e-9)
    printed = dataclasses.replace(sampler, density_change="printed")
    found = SteinDistribution(base, lambda u: -u, printed).sample_with_statistics(10, seed=SEED)[2]
    assert "largest_curvature" not in found


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


def test_the_same_seed_gives_the_same_density_to_the_last_bit():
    # TensorFlow adds three terms in whichever order they are ready, which only many calls show.
    base = tfd.MultivariateNormalDiag(tf.zeros([16, 1]), tf.ones([16, 1]))
    sampler = SteinSampler(3, 2, density_change="joint_trace")
    weights = [tf.random.stateless_normal(shape, [shape[0], 0]) for shape in ([1, 16], [16, 16], [16, 1])]

    def of_network(u):
        with tf.GradientTape() as tape:
            tape.watch(u)
            value = u
            for weight in weights:
                value = tf.nn.elu(value @ weight)
        return tape.gradient(value, u)

    @tf.function
    def density():
        return SteinDistribution(base, of_network, sampler).experimental_sample_and_log_prob(3, SEED)[1]

    densities = {density().numpy().tobytes() for _ in range(500)}
    assert len(densities) == 1
