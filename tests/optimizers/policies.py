"""Small policies whose Fisher matrix and divergence are known, for the optimizers' tests."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class LinearGaussian:
    """a ~ N(Wᵀs, diag σ²), with θ = (W `[O, A]`, log σ `[A]`), at a fixed set of observations `[S, O]`."""

    def __init__(self, observation_size=3, action_size=2, num_observations=7, seed=0, dtype=tf.float64):
        generator = np.random.default_rng(seed)
        self.observation = tf.constant(generator.normal(size=(num_observations, observation_size)), dtype)
        self.weights = tf.Variable(generator.normal(size=(observation_size, action_size)), dtype=dtype)
        self.log_std = tf.Variable(generator.normal(0.0, 0.3, action_size), dtype=dtype)
        self.variables = [self.weights, self.log_std]

    def distribution(self, observation=None):
        mean = (self.observation if observation is None else observation) @ self.weights
        return tfd.MultivariateNormalDiag(mean, tf.broadcast_to(tf.exp(self.log_std), tf.shape(mean)))

    def fisher(self):
        """The Fisher matrix `[P, P]` over the observations, every action taken into account."""
        observation = self.observation.numpy()
        second_moment = observation.T @ observation / len(observation)
        precision = np.diag(np.exp(-2.0 * self.log_std.numpy()))
        of_weights = np.kron(second_moment, precision)
        size, rest = len(of_weights), len(precision)
        zeros = np.zeros((size, rest))
        return np.block([[of_weights, zeros], [zeros.T, 2.0 * np.eye(rest)]])

    def quadrature(self):
        """Observations, actions and weights `[N]` exact for polynomials of degree 5 in actions."""
        action_size = self.log_std.shape[0]
        nodes, node_weights = np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0]), np.array([1.0, 4.0, 1.0]) / 6.0
        grid = np.array(list(itertools.product(nodes, repeat=action_size)))
        grid_weights = np.prod(list(itertools.product(node_weights, repeat=action_size)), axis=1)
        mean, std = self.distribution().mean().numpy(), np.exp(self.log_std.numpy())
        count = len(mean)
        actions = (mean[:, np.newaxis] + grid * std).reshape(-1, mean.shape[1])
        observation = np.repeat(self.observation.numpy(), len(grid), axis=0)
        weights = np.tile(grid_weights, count) / count
        return tuple(tf.constant(array, self.weights.dtype) for array in (observation, actions, weights))
