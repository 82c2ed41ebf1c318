"""The soft values as parts: what they make of critics, and what they need of policies."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import DeterministicValue, ExpectedValue, LogSumExpValue, SoftValue, ValueInParts
from expol_tf.errors import ConfigurationError
from expol_tf.networks import GaussianActorNetwork
from expol_tf.objectives import deterministic_value, expected_soft_value, sampled_soft_value
from tests.agents import small_off_policy as small

STATES = tf.constant(np.random.default_rng(0).standard_normal([6, 3]), tf.float32)


def values(soft_value):
    actor = GaussianActorNetwork(small.OBSERVATION, small.ACTION, (4,), squash=True)
    for index, variable in enumerate(actor.variables):
        variable.assign(0.3 * tf.random.stateless_normal(variable.shape, [1, index]))
    critic = small.QuadraticCritic()

    def q(observation, action):
        if action.shape.rank == 3:
            observation = tf.repeat(observation[:, tf.newaxis], action.shape[1], axis=1)
        linear = tf.concat([observation, action], axis=-1) @ critic.weights_
        return linear - tf.reduce_sum(tf.square(action), axis=-1, keepdims=True)

    return soft_value(STATES, lambda s: actor(s)[0], q, tf.constant(0.3), tf.constant([1, 2]))


@pytest.mark.parametrize("reduction", ["min", "mean", "first"])
@pytest.mark.parametrize(
    ("soft_value", "expected"),
    [
        (ExpectedValue, functools.partial(expected_soft_value, box=small.ACTION)),
        (
            functools.partial(ExpectedValue, num_samples=7),
            functools.partial(expected_soft_value, box=small.ACTION, num_samples=7),
        ),
        (LogSumExpValue, functools.partial(sampled_soft_value, box=small.ACTION)),
        (
            functools.partial(LogSumExpValue, num_samples=8, proposal="mixture"),
            functools.partial(sampled_soft_value, box=small.ACTION, num_samples=8, proposal="mixture"),
        ),
        (DeterministicValue, deterministic_value),
    ],
    ids=["sac", "several", "sql", "mixture", "ddpg"],
)
def test_a_soft_value_is_its_function_on_the_box(soft_value, expected, reduction):
    found = values(functools.partial(soft_value(reduction=reduction), box=small.ACTION))
    slow = values(functools.partial(expected, reduction=reduction))
    np.testing.assert_array_equal(found, slow)
    if reduction != "min":
        assert np.all(found >= values(functools.partial(soft_value(), box=small.ACTION)) - 1e-6)


def test_the_value_of_a_batch_in_parts():
    one, two = (
        values(functools.partial(soft_value, box=small.ACTION))
        for soft_value in (DeterministicValue("first"), ValueInParts(DeterministicValue("first"), 1))
    )
    np.testing.assert_array_equal(one, two)
    assert values(functools.partial(ValueInParts(ExpectedValue(), 2), box=small.ACTION)).shape == [6]


def test_what_they_need():
    assert ExpectedValue().requires == ("sample_and_log_prob",)
    assert LogSumExpValue().requires == DeterministicValue().requires == SoftValue().requires == ()
    assert set(LogSumExpValue(proposal="mixture").requires) == {"sample_and_log_prob", "log_prob"}
    assert ValueInParts(ExpectedValue(), 2).requires == ("sample_and_log_prob",)


def test_they_are_values():
    assert ExpectedValue() == ExpectedValue("min") != ExpectedValue("mean")
    with pytest.raises(AttributeError):
        LogSumExpValue().num_samples = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("soft_value", "settings", "words"),
    [
        (ExpectedValue, dict(reduction="max"), "ExpectedValue.reduction must be one of .*got 'max'"),
        (ExpectedValue, dict(num_samples=0), "num_samples must be .*got 0"),
        (LogSumExpValue, dict(reduction="max"), "LogSumExpValue.reduction must be one of .*got 'max'"),
        (LogSumExpValue, dict(num_samples=0), "num_samples must be .*got 0"),
        (LogSumExpValue, dict(proposal="normal"), "proposal must be .*got 'normal'"),
        (DeterministicValue, dict(reduction="max"), "DeterministicValue.reduction must be one of"),
    ],
)
def test_settings_out_of_range_are_refused(soft_value, settings, words):
    with pytest.raises(ConfigurationError, match=words):
        soft_value(**settings)
