"""Fisher-vector products against the analytic matrix and against explicit Jacobians."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.optimizers import assign, conjugate_gradient, fisher_product, flatten
from tests.optimizers.policies import LinearGaussian


def matrix_of(product, size, dtype=tf.float64):
    return np.stack([product(row).numpy() for row in tf.unstack(tf.eye(size, dtype=dtype))], axis=1)


def jacobian(log_prob, variables):
    with tf.GradientTape() as tape:
        values = log_prob()
    parts = tape.jacobian(values, variables)
    return np.concatenate([part.numpy().reshape(len(values), -1) for part in parts], axis=1)


def test_equal_to_the_analytic_matrix_of_a_linear_gaussian():
    policy = LinearGaussian()
    observation, action, weights = policy.quadrature()
    product = fisher_product(
        lambda _: policy.distribution(observation).log_prob(action), action, policy.variables, weights
    )
    np.testing.assert_allclose(matrix_of(product, 8), policy.fisher(), rtol=1e-10, atol=1e-10)


def test_close_to_the_analytic_matrix_at_sampled_actions():
    policy = LinearGaussian()
    observation = tf.repeat(policy.observation, 20_000, axis=0)
    action = policy.distribution(observation).sample(seed=[1, 1])
    product = fisher_product(
        lambda _: policy.distribution(observation).log_prob(action), action, policy.variables
    )
    exact = policy.fisher()
    np.testing.assert_allclose(matrix_of(product, 8), exact, atol=0.03 * np.abs(exact).max())


def test_equal_to_the_outer_products_of_scores():
    policy = LinearGaussian(num_observations=11, seed=2)
    action = policy.distribution().sample(seed=[3, 1])
    weights = np.random.default_rng(4).uniform(size=11)
    weights[::3] = 0.0
    weights /= weights.sum()

    def log_prob(action):
        return policy.distribution().log_prob(action)

    scores = jacobian(lambda: log_prob(action), policy.variables)
    expected = scores.T @ (weights[:, np.newaxis] * scores)
    product = fisher_product(log_prob, action, policy.variables, tf.constant(weights), damping=0.3)
    np.testing.assert_allclose(matrix_of(product, 8), expected + 0.3 * np.eye(8), rtol=1e-10, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(matrix_of(fisher_product(log_prob, action, policy.variables), 8))
    assert eigenvalues.min() > -1e-10


def test_a_variable_without_part_has_a_row_of_zeros():
    policy = LinearGaussian()
    bystander = tf.Variable(tf.ones([2], tf.float64))
    action = policy.distribution().sample(seed=[3, 1])
    product = fisher_product(
        policy.distribution().log_prob, action, [bystander, *policy.variables], damping=0.5
    )
    matrix = matrix_of(product, 10)
    np.testing.assert_array_equal(matrix[:2], 0.5 * np.eye(2, 10))
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_products_inside_a_solve_stay_at_the_linearization(jit_compile):
    policy = LinearGaussian(dtype=tf.float32)
    observation, action, weights = policy.quadrature()
    b = tf.random.stateless_normal([8], [1, 2])
    exact = policy.fisher()
    old = flatten(policy.variables)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def solve():
        product = fisher_product(
            lambda _: policy.distribution(observation).log_prob(action),
            action,
            policy.variables,
            weights,
            damping=0.1,
        )
        assign(policy.variables, old + 1.0)  # As a line search does, later.
        return conjugate_gradient(product, b, 8).solution

    np.testing.assert_allclose(solve(), np.linalg.solve(exact + 0.1 * np.eye(8), b), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(flatten(policy.variables), old + 1.0)
