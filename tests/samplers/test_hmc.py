"""Hamiltonian Monte Carlo, against what is known in closed form, quadrature and TFP's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.errors import ConfigurationError
from expol_tf.samplers import hmc, langevin, leapfrog

PRECISION = np.array([[2.0, 0.6], [0.6, 0.8]])


def score(u):
    return -tf.matmul(u, tf.constant(PRECISION, u.dtype))


def log_density(u):
    return 0.5 * tf.reduce_sum(u * score(u), axis=-1)


def double_well(u):
    return -tf.reduce_sum((u**2 - 1.0) ** 2 - 0.3 * u, axis=-1)


def double_well_score(u):
    return -4.0 * u * (u**2 - 1.0) + 0.3


def particles(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("num_leapfrog", [1, 7, 40])
def test_the_leapfrog_is_reversible_and_keeps_volumes(num_leapfrog):
    u, v = particles(5, 1), particles(5, 1, seed=1)
    there = leapfrog(u, v, double_well_score, num_leapfrog, 0.05)
    back = leapfrog(there[0], -there[1], double_well_score, num_leapfrog, 0.05)
    np.testing.assert_allclose(back[0], u, atol=1e-10)
    np.testing.assert_allclose(back[1], -v, atol=1e-10)
    both = tf.Variable(np.concatenate([u, v], axis=-1))
    with tf.GradientTape() as tape:
        after = leapfrog(both[:, :1], both[:, 1:], double_well_score, num_leapfrog, 0.05)
        after = tf.concat(after, axis=-1)
    np.testing.assert_allclose(np.linalg.det(tape.batch_jacobian(after, both)), np.ones(5), atol=1e-9)


def test_the_energy_errs_by_the_square_of_the_step():
    u, v = particles(50, 1), particles(50, 1, seed=1)

    def error(epsilon):
        x, w = leapfrog(u, v, double_well_score, round(1 / epsilon), epsilon)
        energy = -double_well(x) + tf.reduce_sum(w**2, -1) / 2
        return np.abs(energy + double_well(u) - np.sum(v**2, -1) / 2).mean()

    assert error(0.02) < 0.01
    assert error(0.02) / error(0.01) == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
@pytest.mark.parametrize("tested", [False, True])
def test_stationary_variances(alpha, tested):
    """Without the test α/λ/(1 − ε²λ/4), which the leapfrog keeps exactly; with it α/λ."""
    epsilon = 0.9
    values, vectors = np.linalg.eigh(PRECISION)
    biased = (vectors * (alpha / values / (1 - epsilon**2 * values / 4))) @ vectors.T
    exact = alpha * np.linalg.inv(PRECISION)
    assert np.abs(biased - exact).max() > 0.15 * alpha

    @tf.function(autograph=False)
    def run(u):
        fn = log_density if tested else None
        return hmc(u, score, 30, epsilon, num_leapfrog=1, temperature=alpha, seed=1, log_density_fn=fn)

    moved = run(tf.zeros([4, 10_000, 2]))
    found = np.cov(moved.particles.numpy().reshape(-1, 2).T)
    np.testing.assert_allclose(found, exact if tested else biased, atol=0.03 * alpha)
    assert moved.log_density_change is None
    if tested:
        assert 0.6 < np.mean(moved.acceptance) < 0.99
    else:
        assert moved.acceptance is None


def test_a_density_that_is_no_gaussian():
    """Moments of exp(ℓ/α) of a double well by quadrature; TFP's sampler accepts as often."""
    alpha, epsilon = 0.5, 0.3
    nodes = np.linspace(-3, 3, 6001)[:, None]
    weight = np.exp(double_well(nodes) / alpha)
    weight /= weight.sum()
    run = tf.function(
        lambda u: hmc(
            u, double_well_score, 60, epsilon, num_leapfrog=5, temperature=alpha, seed=2,
            log_density_fn=double_well,
        ),
        autograph=False,
    )  # fmt: skip
    # Not from further out, where the leapfrog is unstable and nothing would be accepted.
    moved = run(tf.constant(0.5 * particles(20_000, 1).clip(-3, 3)))
    for power in (1, 2, 4):
        expected = np.sum(weight * nodes[:, 0] ** power)
        assert np.mean(moved.particles.numpy() ** power) == pytest.approx(expected, abs=0.02)

    # With velocities of variance 1 instead of α the same path takes the step √α·ε.
    kernel = tfp.mcmc.HamiltonianMonteCarlo(lambda u: double_well(u) / alpha, np.sqrt(alpha) * epsilon, 5)

    @tf.function(autograph=False)
    def reference(u):
        _, ratio = tfp.mcmc.sample_chain(
            20, u, kernel=kernel, seed=[0, 1], trace_fn=lambda _, r: r.log_accept_ratio
        )
        return tf.reduce_mean(tf.exp(tf.minimum(ratio, 0.0)))

    start = moved.particles
    assert np.mean(run(start).acceptance) == pytest.approx(float(reference(start)), abs=0.01)


def test_one_leapfrog_step_is_a_langevin_step():
    """Of half the square of the step: seen in the stationary variance, λ⁻¹/(1 − ελ/2) for both."""

    def cov(found):
        return np.cov(found.particles.numpy().reshape(-1, 2).T)

    start = tf.zeros([40_000, 2])
    one = tf.function(lambda u: hmc(u, score, 60, 0.8, num_leapfrog=1, seed=0), autograph=False)(start)
    other = tf.function(lambda u: langevin(u, score, 60, 0.32, seed=1), autograph=False)(start)
    np.testing.assert_allclose(cov(one), cov(other), atol=0.05)


def test_moves_out_of_the_numbers_are_refused():
    u = tf.constant(3.0 + particles(20, 1), tf.float32)
    moved = hmc(u, double_well_score, 3, 5.0, seed=0, log_density_fn=double_well)
    np.testing.assert_array_equal(moved.particles, u)
    np.testing.assert_array_equal(moved.acceptance, np.zeros(20))


def test_seeds_are_the_same_everywhere():
    u = tf.zeros([3, 4, 2])

    def run(u, seed):
        return hmc(u, score, 6, 0.3, num_leapfrog=3, seed=seed, log_density_fn=log_density).particles

    eager = run(u, 5)
    np.testing.assert_array_equal(eager, run(u, 5))
    graph = tf.function(run, autograph=False)
    np.testing.assert_allclose(graph(u, tf.constant([0, 5])), eager, rtol=1e-4, atol=1e-5)
    # XLA makes other numbers of a seed.
    compiled = tf.function(run, autograph=False, jit_compile=True)
    np.testing.assert_array_equal(compiled(u, tf.constant([0, 5])), compiled(u, tf.constant([0, 5])))
    assert not np.any(np.isclose(eager, run(u, 6), atol=1e-4))


def test_gradients_flow_to_the_particles():
    u = tf.Variable(particles(4, 2))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(hmc(u, score, 3, 0.3, seed=0).particles)
    step = 1e-6 * np.eye(2)[0]
    ends = [tf.reduce_sum(hmc(u + sign * step, score, 3, 0.3, seed=0).particles) for sign in (1, -1)]
    np.testing.assert_allclose(np.sum(tape.gradient(total, u)[:, 0]), (ends[0] - ends[1]) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_leapfrog": 0}, "num_leapfrog must be 1 or more; got 0"),
        ({"temperature": 0.0}, "hmc.temperature must be positive; got 0.0"),
        ({"seed": None}, "seed must be an integer"),
        ({"num_steps": -2}, "num_steps must be 0 or more"),
    ],
)
def test_mistakes_are_named(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        hmc(tf.zeros([3, 2]), score, **{"num_steps": 2, "step_size": 0.1, "seed": 0, **arguments})
