"""Checks that agents go on from checkpoints bit for bit."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.agents.small_agents import make_rollout, values_of


def iterate(agent, seed):
    """Collects and trains; returns all that came of it, bit for bit."""
    rollout = make_rollout(agent, seed=seed)
    metrics = agent.train_on_rollout(rollout).extra
    parameters = values_of([*agent.actor_network.variables, *agent.value_network.variables])
    numbers = [float(metrics[name]) for name in sorted(metrics)]
    return [rollout.action, rollout.policy_info["log_prob"], np.array(numbers), *parameters]


def assert_equal(found, expected):
    """Compares what two `iterate` returned."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def check_continuation(make, directory):
    """Trains an agent and, from its checkpoint, another with another seed.

    Args:
      make: Function of a seed that makes an agent.
      directory: For the checkpoint.

    Returns:
      The names in the checkpoint.
    """
    agent, other = make(0), make(5)
    results = [iterate(agent, seed) for seed in range(2)]
    path = tf.train.Checkpoint(agent=agent).write(str(directory / "checkpoint"))
    results += [iterate(agent, seed) for seed in (2, 3)]
    # The other agent has done something else entirely, to be forgotten.
    assert np.any(iterate(other, 9)[0] != results[0][0])
    tf.train.Checkpoint(agent=other).read(path).assert_existing_objects_matched().assert_consumed()
    assert int(other.train_step_counter) == 2
    for seed in (2, 3):
        assert_equal(iterate(other, seed), results[seed])
    return [name for name, _ in tf.train.list_variables(path)]
