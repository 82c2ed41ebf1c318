"""Densities of all policies: they integrate to 1, and samples follow them."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.keras_api import keras
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork, MixtureActorNetwork
from expol_tf.testing.assertions import perturbed

FAMILIES = {
    "gaussian": GaussianActorNetwork,
    "mixture": functools.partial(MixtureActorNetwork, num_components=3),
    "flow": functools.partial(FlowActorNetwork, num_transformations=2),
}
BOUNDS = {1: ([0.0], [1.0]), 2: ([-0.4, 0.0], [0.4, 10.0])}
CELLS, POINTS_PER_CELL, NUM_SAMPLES = 24, {1: 256, 2: 16}, 200_000


def make_distribution(family, action_size, squash):
    """The distribution over actions of one state, of a network well away from its initialization."""
    keras.utils.set_random_seed(action_size)
    low, high = BOUNDS[action_size]
    network = FAMILIES[family](
        tensor_spec.TensorSpec([3], tf.float32),
        tensor_spec.BoundedTensorSpec([action_size], tf.float32, low, high),
        hidden_units=(8,),
        squash=squash,
    )
    # The distribution of a network holds values, not variables; it outlives the perturbation.
    with perturbed(network.trainable_variables, 0.3, seed=3):
        return network(tf.constant([[0.5, -1.0, 0.2]]))[0]


def quadrature(distribution, action_size, squash, samples):
    """Midpoint nodes `[n, …, A]`, their weights, and the edges of the cells that they fill, per component."""
    low, high = (np.array(bound) for bound in BOUNDS[action_size])
    middle, half = (low + high) / 2, (high - low) / 2
    normalized = (samples - middle) / half
    nodes, weights, edges = [], [], []
    for component in range(action_size):
        # In u for squashed policies, whose density may peak at the edges of the box.
        u = (
            np.arctanh(np.clip(normalized[:, component], -1 + 1e-6, 1 - 1e-6))
            if squash
            else normalized[:, component]
        )
        start, stop = np.quantile(u, [1e-5, 1 - 1e-5])
        margin = 0.5 * (stop - start)
        start, stop = start - margin, stop + margin
        if squash:
            start, stop = max(start, -7.5), min(stop, 7.5)  # As far as float32 tells actions apart.
        count = CELLS * POINTS_PER_CELL[action_size]
        step = (stop - start) / count
        points = start + step * (np.arange(count) + 0.5)
        borders = np.linspace(start, stop, CELLS + 1)
        nodes.append(middle[component] + half[component] * (np.tanh(points) if squash else points))
        weights.append(
            step * half[component] * ((1 - np.tanh(points) ** 2) if squash else np.ones_like(points))
        )
        edges.append(middle[component] + half[component] * (np.tanh(borders) if squash else borders))
    grid = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    return grid, functools.reduce(np.multiply.outer, weights), edges


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("action_size", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_density_integrates_to_one_and_samples_follow_it(family, action_size, squash):
    distribution = make_distribution(family, action_size, squash)
    samples = distribution.sample(NUM_SAMPLES, seed=tf.constant([0, 1])).numpy()[:, 0].astype(np.float64)
    grid, weights, edges = quadrature(distribution, action_size, squash, samples)
    log_prob = distribution.log_prob(tf.constant(grid.reshape(-1, 1, action_size), tf.float32)).numpy()
    mass = np.exp(log_prob.astype(np.float64)).reshape(weights.shape) * weights
    np.testing.assert_allclose(np.sum(mass), 1, atol=1e-3)

    cells = mass
    for axis in range(action_size):
        shape = [*cells.shape[:axis], CELLS, -1, *cells.shape[axis + 1 :]]
        cells = cells.reshape(shape).sum(axis=axis + 1)
    expected = NUM_SAMPLES * cells
    found, _ = np.histogramdd(samples, bins=edges)
    counted = expected > 20
    assert np.sum(expected[counted]) > 0.99 * NUM_SAMPLES and np.sum(counted) > 8
    chi_squared = np.sum((found - expected)[counted] ** 2 / expected[counted])
    degrees = np.sum(counted)
    assert chi_squared < degrees + 5 * np.sqrt(2 * degrees)


@pytest.mark.parametrize("squash", [False, True])
def test_the_gaussian_density_is_the_formula(squash):
    network = GaussianActorNetwork(
        tensor_spec.TensorSpec([3], tf.float32),
        tensor_spec.BoundedTensorSpec([2], tf.float32, *BOUNDS[2]),
        hidden_units=(8,),
        squash=squash,
    )
    observation = np.random.default_rng(0).standard_normal([4, 3]).astype(np.float32)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        check_density(network, observation, squash, [mean_network(network.layers[0])], [log_stds(network)])


@pytest.mark.parametrize("squash", [False, True])
def test_the_mixture_density_is_the_logsumexp_of_its_components(squash):
    network = MixtureActorNetwork(
        tensor_spec.TensorSpec([3], tf.float32),
        tensor_spec.BoundedTensorSpec([2], tf.float32, *BOUNDS[2]),
        num_components=3,
        hidden_units=(8,),
        squash=squash,
    )
    observation = np.random.default_rng(0).standard_normal([4, 3]).astype(np.float32)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        means = [mean_network(layer) for layer in network.layers]
        check_density(network, observation, squash, means, log_stds(network))
        assert len(means) == 3


def mean_network(trunk):
    """A trunk as a NumPy function of one observation."""
    first, first_bias, last, last_bias = (weight.numpy().astype(np.float64) for weight in trunk.weights)
    return lambda observation: np.tanh(observation @ first + first_bias) @ last + last_bias


def log_stds(network):
    return (
        next(variable for variable in network.variables if "log_std" in variable.name)
        .numpy()
        .astype(np.float64)
    )


def check_density(network, observation, squash, means, log_std_rows):
    distribution = network(tf.constant(observation))[0]
    actions = distribution.sample(5, seed=tf.constant([0, 1])).numpy()
    found = distribution.log_prob(tf.constant(actions)).numpy()
    low, high = (np.array(bound) for bound in BOUNDS[2])
    middle, half = (low + high) / 2, (high - low) / 2
    for sample, row in np.ndindex(5, 4):
        u = (actions[sample, row].astype(np.float64) - middle) / half
        log_det = np.sum(np.log(half))
        if squash:
            if np.any(np.abs(u) > 0.98):  # Where float32 does not tell the pre-image.
                continue
            log_det += np.sum(np.log(1 - u**2))
            u = np.arctanh(u)
        components = [
            np.sum(
                -0.5 * ((u - mean(observation[row])) / np.exp(log_std)) ** 2
                - log_std
                - 0.5 * np.log(2 * np.pi)
            )
            for mean, log_std in zip(means, log_std_rows, strict=True)
        ]
        expected = np.log(np.mean(np.exp(components))) - log_det
        np.testing.assert_allclose(found[sample, row], expected, rtol=2e-3, atol=2e-3)
