"""The noise of NoisyObservation."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from expol_tf.environments import NoisyObservation
from expol_tf.errors import ConfigurationError, SpaceError
from tests.environments.tasks import CountingTask


def observations(env, seed, num_steps=400):
    """Returns the observations `[T, O]` of one episode of zero actions."""
    rows = [env.reset(seed=seed)[0]]
    rows += [env.step(np.zeros(env.action_space.shape, env.action_space.dtype))[0] for _ in range(num_steps)]
    return np.array(rows)


def test_the_noise_is_normal_and_independent_of_the_task_s_randomness():
    noise = observations(NoisyObservation(CountingTask(), 0.1), 4, 2000) - observations(
        CountingTask(), 4, 2000
    )
    flat = np.sort(noise.ravel() / 0.1)
    assert abs(flat.mean()) < 5 / np.sqrt(flat.size)
    # Kolmogorov-Smirnov: 6,003 draws are nowhere 0.03 away from their distribution (p > 1e-4).
    erf = np.vectorize(math.erf)
    distance = np.abs((1 + erf(flat / np.sqrt(2))) / 2 - (np.arange(flat.size) + 0.5) / flat.size).max()
    assert distance < 0.03
    correlations = np.corrcoef(noise.T) - np.eye(3)
    assert np.abs(correlations).max() < 5 / np.sqrt(len(noise))
    lagged = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert abs(lagged) < 5 / np.sqrt(noise.size)


def test_the_noise_is_not_the_draws_that_the_task_makes_from_the_same_seed():
    draws = observations(CountingTask(), 9)[:, 2]
    noise = (observations(NoisyObservation(CountingTask(), 1.0), 9) - observations(CountingTask(), 9)).ravel()
    assert not np.isin(np.round(noise, 9), np.round(draws, 9)).any()


def test_the_same_seed_gives_the_same_noise_and_another_another():
    first, same, other = (observations(NoisyObservation(CountingTask()), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    env = NoisyObservation(CountingTask())
    second_episode = [observations(env, seed) for seed in (1, None)][1]
    assert not np.array_equal(first[:, :2], other[:, :2])
    assert not np.array_equal(first[:, :2], second_episode[:, :2])


def test_no_noise_changes_nothing():
    np.testing.assert_array_equal(
        observations(NoisyObservation(CountingTask(), 0.0), 3), observations(CountingTask(), 3)
    )


def test_the_space_loses_its_bounds_and_keeps_shape_and_dtype():
    box = spaces.Box(0, 1, (3,), np.float32)
    env = NoisyObservation(CountingTask(observation_space=box))
    assert env.observation_space == spaces.Box(-np.inf, np.inf, (3,), np.float32)
    assert env.reset(seed=0)[0].dtype == np.float32


def test_the_wrapper_survives_in_the_specification_of_a_registered_task():
    env = NoisyObservation(gymnasium.make("Pendulum-v1"), sigma=0.3)
    remade = gymnasium.make(env.spec)
    np.testing.assert_array_equal(observations(remade, 5, 20), observations(env, 5, 20))


@pytest.mark.parametrize("sigma", [-0.1, np.nan, np.inf])
def test_wrong_deviations_are_named(sigma):
    with pytest.raises(ConfigurationError, match="sigma"):
        NoisyObservation(CountingTask(), sigma)


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Box(0, 255, (3,), np.uint8)])
def test_observations_that_cannot_be_noisy_are_named(space):
    with pytest.raises(SpaceError, match="Box of floats"):
        NoisyObservation(CountingTask(observation_space=space))
