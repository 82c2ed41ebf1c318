"""The backups as parts: what they make of critics, and what they need of policies."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import SacBackup, SqlBackup
from expol_tf.networks import GaussianActorNetwork
from expol_tf.objectives import expected_soft_value, sampled_soft_value
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
    ("backup", "expected"),
    [
        (SacBackup, expected_soft_value),
        (SqlBackup, sampled_soft_value),
        (
            functools.partial(SqlBackup, num_samples=8, proposal="mixture"),
            functools.partial(sampled_soft_value, num_samples=8, proposal="mixture"),
        ),
    ],
    ids=["sac", "sql", "mixture"],
)
def test_a_backup_is_its_function_on_the_box(backup, expected, reduction):
    found = values(backup(reduction=reduction).soft_value(small.ACTION))
    slow = values(functools.partial(expected, box=small.ACTION, reduction=reduction))
    np.testing.assert_array_equal(found, slow)
    if reduction != "min":
        assert np.all(found >= values(backup().soft_value(small.ACTION)) - 1e-6)


def test_what_they_need():
    assert SacBackup().capabilities == ("sample_and_log_prob",)
    assert SqlBackup().capabilities == ()
    assert set(SqlBackup(proposal="mixture").capabilities) == {"sample_and_log_prob", "log_prob"}


def test_they_are_values():
    assert SacBackup() == SacBackup("min") != SacBackup("mean")
    with pytest.raises(AttributeError):
        SqlBackup().num_samples = 3  # type: ignore[misc]
