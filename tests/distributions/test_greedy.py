"""Greedy actions of every family, hand-made ones too."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import AffineCoupling, Squash
from expol_tf.distributions import greedy_action
from expol_tf.errors import CapabilityError

tfb = tfp.bijectors
tfd = tfp.distributions


def normal(mean, std):
    return tfd.Independent(tfd.Normal(tf.constant(mean), tf.constant(std)), 1)


def mixture(means, stds, probabilities=None):
    count = np.shape(means)[-2]
    weights = tfd.Categorical(probs=[1 / count] * count if probabilities is None else probabilities)
    return tfd.MixtureSameFamily(weights, normal(means, stds))


def test_a_gaussians_is_its_mean():
    policy = tfd.MultivariateNormalDiag([[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0]] * 2)
    np.testing.assert_array_equal(greedy_action(policy), [[1.0, 2.0], [3.0, 4.0]])


def test_a_flows_is_the_image_of_the_base_mode():
    coupling = AffineCoupling(lambda x: (x, 3 + x), 2)  # y₂ = x₂·exp(x₁) + 3 + x₁
    chain = tfb.Chain([tfb.Shift([10.0, 20.0]), coupling])
    policy = tfd.TransformedDistribution(normal([[0.5, 2.0]], [[1.0, 1.0]]), chain)
    np.testing.assert_allclose(greedy_action(policy), [[10.5, 20.0 + 2 * np.exp(0.5) + 3.5]], rtol=1e-6)
    box = tensor_spec.BoundedTensorSpec([2], tf.float32, 0.0, 100.0)
    squashed = tfd.TransformedDistribution(policy, Squash(box))
    np.testing.assert_allclose(greedy_action(squashed), Squash(box).forward(greedy_action(policy)))


def test_a_mixtures_is_its_densest_component_mean():
    means = [[[0.0, 0.0], [5.0, 5.0], [-5.0, 5.0]], [[1.0, 1.0], [2.0, 2.0], [1.5, 1.5]]]
    stds = [[[1.0, 1.0], [0.5, 0.5], [2.0, 2.0]], [[1.0, 1.0]] * 3]
    # In the second row all are equally wide: the middle one has most density of the others.
    np.testing.assert_array_equal(greedy_action(mixture(means, stds)), [[5.0, 5.0], [1.5, 1.5]])
    weighted = mixture(means, stds, [0.9, 0.05, 0.05])
    np.testing.assert_array_equal(greedy_action(weighted), [[0.0, 0.0], [1.0, 1.0]])


def test_ties_go_to_the_lowest_index():
    np.testing.assert_array_equal(greedy_action(mixture([[[3.0], [-3.0]]], [[[1.0], [1.0]]])), [[3.0]])


def test_components_shared_by_a_batch_of_weights():
    weights = tfd.Categorical(probs=[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    policy = tfd.MixtureSameFamily(weights, normal([[3.0, 0.0], [-3.0, 1.0]], [[1.0, 1.0]] * 2))
    np.testing.assert_array_equal(greedy_action(policy), [[3.0, 0.0], [-3.0, 1.0], [3.0, 0.0]])


def test_a_mixture_of_different_families():
    components = [
        tfd.Independent(tfd.Laplace([[1.0, 1.0]] * 2, [[1.0, 1.0]] * 2), 1),
        tfd.TransformedDistribution(
            normal([[0.0, 0.0]] * 2, [[0.5, 0.5]] * 2), AffineCoupling(lambda x: (x, 4 + x), 2)
        ),
    ]
    policy = tfd.Mixture(tfd.Categorical(probs=[[0.5, 0.5], [0.95, 0.05]]), components)
    np.testing.assert_array_equal(greedy_action(policy), [[0.0, 4.0], [1.0, 1.0]])


def test_a_distribution_may_decide_itself():
    policy = tfd.MultivariateNormalDiag([1.0, 2.0], [1.0, 1.0])
    policy.greedy_action = lambda: tf.constant([7.0, 8.0])
    np.testing.assert_array_equal(greedy_action(policy), [7.0, 8.0])


def test_one_without_a_centre_is_named():
    policy = tfd.Independent(tfd.TransformedDistribution(tfd.Normal([0.0, 0.0], 1.0), tfb.Softplus()), 1)
    with pytest.raises(CapabilityError, match="Independent.*greedy_action"):
        greedy_action(policy)
