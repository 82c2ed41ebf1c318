"""Seeds and checkpoints: the same start gives the same actions and the same updates."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.keras_api import keras
from expol_tf.networks import ObservationNormalizer
from expol_tf.optimizers import MinibatchRegression
from tests.agents.checkpoints import assert_equal, iterate
from tests.agents.small_agents import OBSERVATION, make_agent, set_values, values_of


def new_agent(kind="flow", seed=0):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, decay_steps=2, decay_rate=0.5)
    return make_agent(
        kind,
        squash=True,
        seed=seed,
        observation_normalizer=ObservationNormalizer(OBSERVATION),
        value_fit=MinibatchRegression(schedule, epochs=1, minibatch_size=8),
    )


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Three iterations of a flow agent, and checkpoints of it before each."""
    directory = tmp_path_factory.mktemp("checkpoints")
    agent = new_agent()
    results, paths = [], []
    for seed in range(3):
        paths.append(tf.train.Checkpoint(agent=agent).write(str(directory / str(seed))))
        results.append(iterate(agent, seed))
    return agent, results, paths


def test_a_checkpoint_goes_on_identically_in_another_agent(history):
    _, results, paths = history
    other = new_agent(seed=5)
    iterate(other, 9)  # Something else entirely, to be forgotten.
    tf.train.Checkpoint(agent=other).read(paths[1]).assert_consumed()
    assert int(other.train_step_counter) == 1
    for seed in (1, 2):
        assert_equal(iterate(other, seed), results[seed])


def test_the_same_seed_gives_the_same_run_and_another_seed_another(history):
    agent, results, paths = history
    assert_equal(iterate(new_agent(), 0), results[0])
    # From equal parameters, so that only the random numbers can differ.
    different = new_agent(seed=1)
    set_values(different.actor_network.variables, values_of(agent.actor_network.variables))
    observation = np.zeros((4, 3), np.float32)
    actions = [each.collect_policy.act(observation)[0] for each in (different, agent)]
    assert not np.allclose(*actions)


def test_without_a_seed_updates_differ():
    def draws(agent):
        return agent._generator.make_seeds(1).numpy()

    assert (draws(make_agent(seed=None)) != draws(make_agent(seed=None))).any()


def test_a_checkpoint_holds_the_optimizer_the_normalizer_and_the_generators(history):
    *_, paths = history
    names = [name for name, _ in tf.train.list_variables(paths[0])]
    for part in (
        "agent/_collect_policy/generator",
        "agent/_generator",
        "agent/_observation_normalizer/_mean",
        "agent/_train_step_counter",
        "agent/_value_fit/adam/optimizer/_first",
        "agent/_actor_network",
        "agent/_value_network",
    ):
        assert any(name.startswith(part) for name in names), (part, names)
