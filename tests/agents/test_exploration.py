"""Exploration noise."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import GaussianNoise, OrnsteinUhlenbeckNoise
from expol_tf.errors import ConfigurationError

ROWS, ACTIONS = 4000, 2


def run(noise, steps, warm_up=0):
    """Noise `[steps, ROWS, ACTIONS]` of a compiled loop."""

    @tf.function(autograph=False)
    def step(state, seed):
        return noise.next(state, [ROWS, ACTIONS], seed)

    found, state = [], noise.initial([ROWS, ACTIONS])
    for index in range(warm_up + steps):
        value, state = step(state, tf.constant([index, 7]))
        found.append(value.numpy())
    return np.stack(found[warm_up:])


def test_gaussian_noise_is_white():
    noise = run(GaussianNoise(0.3), 20)
    assert noise.shape == (20, ROWS, ACTIONS)
    # 160,000 numbers: 4 standard errors of a mean are 0.003, of a deviation 0.002.
    assert abs(np.mean(noise)) < 0.003
    np.testing.assert_allclose(np.std(noise), 0.3, atol=0.0022)
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.3**2 * 4 / np.sqrt(noise[1:].size)
    assert GaussianNoise().state_spec(2) == () == GaussianNoise().initial([3, 2])


@pytest.mark.parametrize("arguments", [{}, dict(theta=0.5, std=0.2, dt=0.1), dict(theta=1.2, std=1.0)])
def test_ornstein_uhlenbeck_noise_is_stationary(arguments):
    process = OrnsteinUhlenbeckNoise(**arguments)
    decay = 1.0 - process.theta * process.dt
    noise = run(process, 6, warm_up=int(np.ceil(4 / (process.theta * process.dt))))
    variance = process.std**2 * process.dt / (1 - decay**2)
    np.testing.assert_allclose(process.stationary_std, np.sqrt(variance))
    # 8,000 independent numbers a step: 4 standard errors of a variance are 6.3 %.
    for each in noise:
        np.testing.assert_allclose(np.mean(each**2), variance, rtol=0.065)
    correlation = np.mean(noise[4] * noise[0]) / np.mean(noise[0] ** 2)
    np.testing.assert_allclose(correlation, decay**4, atol=0.05)


def test_ornstein_uhlenbeck_noise_begins_at_zero_and_follows_its_recursion():
    process = OrnsteinUhlenbeckNoise(theta=0.15, std=0.3)
    noise = run(process, 3)
    assert process.state_spec(5).shape == [5]
    np.testing.assert_allclose(np.std(noise[0]), 0.3, rtol=0.04)
    for step in (1, 2):
        kick = 0.3 * tf.random.stateless_normal([ROWS, ACTIONS], [step, 7]).numpy()
        np.testing.assert_allclose(noise[step], 0.85 * noise[step - 1] + kick, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianNoise(-0.1), "GaussianNoise.std must be 0 or more; got -0.1"),
        (lambda: OrnsteinUhlenbeckNoise(std=-1.0), "std must be 0 or more"),
        (lambda: OrnsteinUhlenbeckNoise(dt=0.0), "dt must be positive"),
        (lambda: OrnsteinUhlenbeckNoise(theta=0.0), "theta must be positive; got 0.0"),
        (lambda: OrnsteinUhlenbeckNoise(theta=1.0, dt=2.0), "theta·dt must be between 0 and 2"),
    ],
)
def test_a_wrong_setting_is_named(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()
