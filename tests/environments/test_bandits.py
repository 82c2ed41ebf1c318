"""The bandits: rewards and optimal densities against references, Gymnasium's checks, wrong arguments."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from gymnasium.utils.env_checker import check_env

from expol_tf.environments import (
    BimodalBandit,
    GaussianBandit,
    QuadraticReward,
    box_quadrature,
    load_vector,
    target_log_density,
)
from expol_tf.errors import ConfigurationError, UnknownEnvironmentError

GAUSSIAN, BIMODAL = "expol/GaussianBandit-v0", "expol/BimodalBandit-v0"
SIGMA = np.array([[0.1, 0.08], [0.08, 0.1]])


@pytest.mark.parametrize("task", [GAUSSIAN, BIMODAL])
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_s_own_check_finds_nothing(task, render_mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(task, render_mode=render_mode).unwrapped)


@pytest.mark.parametrize("task", [GAUSSIAN, BIMODAL])
def test_an_episode_is_one_step(task):
    env = gymnasium.make(task)
    observation, info = env.reset(seed=0)
    np.testing.assert_array_equal(observation, np.ones(1, np.float32))
    assert info == {}
    successor, reward, terminated, truncated, _ = env.step(np.array([0.3, -0.2], np.float32))
    np.testing.assert_array_equal(successor, observation)
    assert isinstance(reward, float) and reward < 0 and terminated and not truncated


def test_a_step_before_the_first_reset_is_an_error():
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"reset\(\)"):
        GaussianBandit().step(np.zeros(2))


def test_gaussian_reward():
    env = GaussianBandit()
    env.reset(seed=0)
    for action in np.random.default_rng(0).uniform(-1.5, 1.5, (20, 2)):
        clipped = np.clip(action, -1, 1)
        assert env.step(action)[1] == pytest.approx(-clipped @ np.linalg.solve(SIGMA, clipped))


def test_bimodal_reward():
    env = BimodalBandit(modes=[(0.5, 0.1), (-0.5, 0.0)], matrices=[SIGMA, [[0.2, 0.0], [0.0, 0.01]]])
    env.reset(seed=0)
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 2)):
        first, second = action - [0.5, 0.1], action - [-0.5, 0.0]
        expected = max(
            -first @ np.linalg.solve(SIGMA, first), -(second[0] ** 2) / 0.2 - second[1] ** 2 / 0.01
        )
        assert env.step(action)[1] == pytest.approx(expected)


def test_the_specified_defaults():
    np.testing.assert_array_equal(GaussianBandit().reward.matrices, [SIGMA])
    bimodal = BimodalBandit().reward
    np.testing.assert_array_equal(bimodal.modes, [[-0.5, 0.0], [0.5, 0.0]])
    np.testing.assert_allclose(bimodal.matrices, [0.05 * np.eye(2)] * 2)


def integrate(function, num=1501):
    """The trapezoidal rule on a plain grid: slow, and independent of the library's quadrature."""
    nodes = np.linspace(-1, 1, num)
    points = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1)
    values = function(points)
    return scipy.integrate.trapezoid(scipy.integrate.trapezoid(values, nodes, axis=1), nodes, axis=0)


@pytest.mark.parametrize(
    ("reward", "temperature"),
    [(GaussianBandit().reward, 1.0), (BimodalBandit().reward, 2.0)],
    ids=["gaussian", "bimodal"],
)
def test_targets_are_densities_and_proportional_to_the_exponential_of_the_reward(reward, temperature):
    def density(points):
        return np.exp(target_log_density(reward, temperature, points))

    assert integrate(density) == pytest.approx(1.0, abs=2e-5)
    a, b = np.array([0.3, 0.1]), np.array([-0.7, 0.4])
    ratio = target_log_density(reward, temperature, a) - target_log_density(reward, temperature, b)
    assert ratio == pytest.approx((reward(a) - reward(b)) / temperature)


def test_the_gaussian_bandit_s_target_is_a_gaussian_of_half_the_matrix():
    points, weights = box_quadrature()
    log_density = target_log_density(GaussianBandit().reward, 1.0, points)
    mass = weights * np.exp(log_density)
    covariance = np.einsum("n,ni,nj->ij", mass, points, points)
    np.testing.assert_allclose(covariance, SIGMA / 2, rtol=1e-3)  # The box cuts off 4.5 deviations.
    assert covariance[0, 1] / covariance[0, 0] == pytest.approx(0.8, abs=1e-3)
    # Another temperature, where the box cuts off much: the exact truncated Gaussian.
    gaussian = scipy.stats.multivariate_normal(cov=5.0 * SIGMA / 2)
    inside = integrate(gaussian.pdf)
    assert inside < 0.95
    truncated = gaussian.logpdf(points) - np.log(inside)
    found = target_log_density(GaussianBandit().reward, 5.0, points)
    np.testing.assert_allclose(found, truncated, atol=1e-4)


def test_the_bimodal_target_has_half_its_mass_on_each_side():
    def left(points):
        return np.exp(target_log_density(BimodalBandit().reward, 2.0, points)) * (points[..., 0] < 0)

    assert integrate(left) == pytest.approx(0.5, abs=2e-3)


def test_the_optimum_beats_every_other_density():
    reward, temperature = BimodalBandit().reward, 2.0
    points, weights = box_quadrature()
    best = target_log_density(reward, temperature, points)

    def objective(log_density):
        return np.sum(weights * np.exp(log_density) * (reward(points) - temperature * log_density))

    direction = np.cos(3 * points[:, 0] + points[:, 1])
    for amount in (-0.3, -0.03, 0.03, 0.3):
        other = best + amount * direction
        other -= np.log(np.sum(weights * np.exp(other)))
        assert objective(other) < objective(best)


def test_quadrature_is_exact_for_polynomials():
    points, weights = box_quadrature(5)
    assert points.shape == (25, 2) and weights.sum() == pytest.approx(4.0)
    assert np.sum(weights * points[:, 0] ** 8 * points[:, 1] ** 2) == pytest.approx(4 / 9 / 3)


@pytest.mark.parametrize(
    ("task", "kwargs", "message"),
    [
        (GAUSSIAN, {"matrix": [[1.0, 2.0], [2.0, 1.0]]}, r"matrix must be symmetric and positive definite"),
        (GAUSSIAN, {"matrix": [[1.0, 0.5], [0.4, 1.0]]}, r"matrix must be symmetric"),
        (GAUSSIAN, {"matrix": np.eye(3)}, r"matrix must have shape \(2, 2\).*got shape \(3, 3\)"),
        (GAUSSIAN, {"matrix": [[1.0, np.nan], [0.0, 1.0]]}, r"matrix must be finite"),
        (GAUSSIAN, {"matrix": "wide"}, r"matrix must be an array of numbers; got 'wide'"),
        (GAUSSIAN, {"sigma": 1.0}, r"does not take make_kwargs"),
        (BIMODAL, {"modes": [(0.5, 1.5)]}, r"modes must lie in the action box"),
        (BIMODAL, {"modes": []}, r"modes must be points"),
        (BIMODAL, {"modes": [0.5, 0.0]}, r"modes must be points"),
        (BIMODAL, {"matrices": np.zeros((2, 2))}, r"matrices must be symmetric and positive definite"),
        (BIMODAL, {"matrices": np.ones((3, 2, 2))}, r"matrices must have shape \(2, 2\), or \(2, 2, 2\)"),
    ],
)
def test_wrong_arguments_are_named(task, kwargs, message):
    with pytest.raises(ConfigurationError, match=message):
        load_vector(task, make_kwargs=kwargs)


def test_a_wrong_render_mode_is_named():
    with pytest.raises(ConfigurationError, match="render_mode must be None or \"rgb_array\"; got 'ansi'"):
        GaussianBandit(render_mode="ansi")


def test_a_misspelt_bandit_is_recognized():
    with pytest.raises(UnknownEnvironmentError, match=GAUSSIAN):
        load_vector("expol/GausianBandit-v0")


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_the_temperature_is_positive(temperature):
    with pytest.raises(ConfigurationError, match="temperature must be positive"):
        target_log_density(QuadraticReward([(0.0, 0.0)], np.eye(2)), temperature, np.zeros(2))
    with pytest.raises(ConfigurationError, match="num_nodes"):
        box_quadrature(1)


def test_pictures_show_the_last_actions():
    env = GaussianBandit(render_mode="rgb_array")
    env.reset(seed=0)
    empty = env.render()
    assert empty.shape == (480, 480, 3) and empty.dtype == np.uint8
    env.step(np.array([0.5, -0.5]))
    assert (env.render() != empty).any()
    batched = load_vector(GAUSSIAN, 3, 0, make_kwargs={"render_mode": "rgb_array"})
    batched.reset()
    np.testing.assert_array_equal(batched.render(), empty)
    batched.step(np.array([[0.5, -0.5], [0.1, 0.1], [0.0, 0.0]], np.float32))
    np.testing.assert_array_equal(batched.render(), env.render())


def test_no_picture_without_a_render_mode():
    with pytest.raises(ConfigurationError, match="render_mode"):
        load_vector(BIMODAL).render()
