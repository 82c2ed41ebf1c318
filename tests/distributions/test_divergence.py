"""Entropies and divergences against closed forms and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import AffineConditioner, AffineCoupling, Squash
from expol_tf.distributions import analytic_kl, entropy_estimate, has_analytic_kl, sampled_kl
from expol_tf.errors import ConfigurationError

tfb = tfp.bijectors
tfd = tfp.distributions

SEED = tf.constant([1, 2])
MANY = 100_000


def gaussian(mean, std):
    return tfd.MultivariateNormalDiag(tf.constant(mean), tf.constant(std))


def gaussian_entropy(std):
    return np.sum(0.5 * np.log(2 * np.pi * np.e) + np.log(std))


def gaussian_kl(mean_p, std_p, mean_q, std_q):
    mean_p, std_p, mean_q, std_q = map(np.array, (mean_p, std_p, mean_q, std_q))
    return np.sum(np.log(std_q / std_p) + (std_p**2 + (mean_p - mean_q) ** 2) / (2 * std_q**2) - 0.5)


def squash(low=-1.0, high=1.0, size=1):
    return Squash(tensor_spec.BoundedTensorSpec([size], tf.float32, low, high))


def entropy_by_quadrature(log_prob, points):
    density = np.exp(log_prob(tf.constant(points[:, np.newaxis], tf.float32)).numpy().astype(np.float64))
    return -np.sum(density * np.log(np.maximum(density, 1e-300))) * (points[1] - points[0])


def test_an_entropy_in_closed_form_is_exact():
    found = entropy_estimate(gaussian([[0.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [0.1, 0.5]]), 1, SEED)
    np.testing.assert_allclose(found, [gaussian_entropy([1.0, 2.0]), gaussian_entropy([0.1, 0.5])], rtol=1e-5)


def test_the_entropy_of_a_flow_is_estimated():
    # The map of the second component moves and scales it by functions of the first: the entropy gains E[s] =
    # 0.3.
    coupling = AffineCoupling(lambda x: (0.3 + 0.1 * x, tf.sin(3 * x)), 2)
    flow = tfd.TransformedDistribution(gaussian([0.0, 0.0], [1.0, 0.5]), coupling)
    found = entropy_estimate(flow, MANY, SEED)
    np.testing.assert_allclose(found, gaussian_entropy([1.0, 0.5]) + 0.3, atol=0.015)


def test_the_entropy_of_a_squashed_gaussian_is_estimated_in_action_units():
    policy = tfd.TransformedDistribution(gaussian([0.2], [0.6]), squash(0.0, 10.0))
    expected = entropy_by_quadrature(policy.log_prob, np.linspace(1e-3, 10 - 1e-3, 20001))
    np.testing.assert_allclose(entropy_estimate(policy, MANY, SEED), expected, atol=0.015)
    wider = tfd.TransformedDistribution(gaussian([0.2], [0.6]), squash(0.0, 20.0))
    difference = entropy_estimate(wider, 10, SEED) - entropy_estimate(policy, 10, SEED)
    np.testing.assert_allclose(difference, np.log(2), atol=1e-4)


def test_the_number_of_samples_counts():
    flow = tfd.TransformedDistribution(
        gaussian(np.zeros([500, 1], np.float32), np.ones([500, 1], np.float32)), squash()
    )
    spread = [np.std(entropy_estimate(flow, count, SEED)) for count in (4, 64)]
    np.testing.assert_allclose(spread[0] / spread[1], 4, rtol=0.15)


@pytest.mark.parametrize("reparameterize", [True, False])
def test_the_gradient_of_an_estimated_entropy(reparameterize):
    start = np.array([-0.3, 1.2], np.float32)
    parameters = tf.Variable(start)  # log σ of both components, and the logit of the first

    def make():
        weights = tfd.Categorical(logits=tf.stack([parameters[1], 0.0]))
        std = tf.exp(parameters[0]) * tf.ones([2, 1])
        components = tfd.Independent(tfd.Normal(tf.constant([[-0.5], [1.0]]), std), 1)
        return tfd.MixtureSameFamily(weights, components, reparameterize=reparameterize)

    with tf.GradientTape() as tape:
        value = entropy_estimate(make(), MANY, SEED)
    gradient = tape.gradient(value, parameters)
    for index in range(2):
        exact = []
        for step in (1e-2, -1e-2):
            parameters.assign(start + step * np.eye(2, dtype=np.float32)[index])
            exact.append(entropy_by_quadrature(make().log_prob, np.linspace(-8, 9, 4001)))
        np.testing.assert_allclose(gradient[index], (exact[0] - exact[1]) / 2e-2, atol=0.03)
        np.testing.assert_allclose(value, np.mean(exact), atol=0.01)


@pytest.mark.parametrize("estimator", ["k1", "k3"])
@pytest.mark.parametrize("distance", [0.05, 0.5])
def test_a_sampled_divergence_is_unbiased(estimator, distance):
    parameters = ([0.0, 0.0], [1.0, 0.5], [distance, 0.0], [1.0 + distance / 2, 0.5])
    p, q = gaussian(*parameters[:2]), gaussian(*parameters[2:])
    sample = p.sample(MANY, seed=SEED)
    terms = sampled_kl(p.log_prob(sample), q.log_prob(sample), estimator).numpy().astype(np.float64)
    error = np.mean(terms) - gaussian_kl(*parameters)
    assert abs(error) < 4 * np.std(terms) / np.sqrt(MANY)
    assert np.std(terms) < 2 * distance
    if estimator == "k3":
        assert np.all(terms >= 0)


def test_k3_is_the_formula_and_keeps_its_digits_near_equality():
    log_p, log_q = tf.constant([0.0, 1.0, -2.0]), tf.constant([0.5, 0.0, -2.001])
    ratio = np.exp(np.float64(log_q) - np.float64(log_p))
    np.testing.assert_allclose(sampled_kl(log_p, log_q, "k3"), ratio - 1 - np.log(ratio), rtol=2e-3)
    # r − 1 − log r = 5e-9 there, which float32 would round to 0 or to 1e-7 when computed as written.
    np.testing.assert_allclose(sampled_kl(tf.constant([0.0]), tf.constant([1e-3])), [5e-7], rtol=1e-2)
    with pytest.raises(ConfigurationError, match="estimator"):
        sampled_kl(log_p, log_q, "k2")


def test_a_divergence_in_closed_form_ignores_a_common_squash():
    parameters = ([0.3, -0.2], [1.0, 0.5], [0.0, 0.1], [0.7, 0.6])
    p, q = gaussian(*parameters[:2]), gaussian(*parameters[2:])
    np.testing.assert_allclose(analytic_kl(p, q), gaussian_kl(*parameters), rtol=1e-5)
    squashed = [tfd.TransformedDistribution(each, squash(0.0, 5.0, 2)) for each in (p, q)]
    np.testing.assert_allclose(analytic_kl(*squashed), gaussian_kl(*parameters), rtol=1e-5)


def test_which_divergences_have_a_closed_form():
    normal = gaussian([0.0, 0.0], [1.0, 1.0])
    flow = tfd.TransformedDistribution(normal, AffineCoupling(AffineConditioner(1, 1), 2))
    scaled = tfd.TransformedDistribution(tfd.Normal([0.0, 0.0], 1.0), tfb.Scale(tf.Variable(2.0)))
    assert has_analytic_kl(normal)
    assert has_analytic_kl(tfd.TransformedDistribution(normal, squash(size=2)))
    assert has_analytic_kl(tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1))
    assert not has_analytic_kl(flow)
    assert not has_analytic_kl(tfd.TransformedDistribution(flow, squash(size=2)))
    assert not has_analytic_kl(
        tfd.TransformedDistribution(normal, tfb.Chain([squash(size=2), flow.bijector]))
    )
    assert not has_analytic_kl(tfd.Independent(scaled, 1))
    components = tfd.Independent(tfd.Normal([[0.0], [1.0]], 1.0), 1)
    assert not has_analytic_kl(tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0, 0.0]), components))
