"""Seeds and checkpoints: the same start gives the same actions and the same updates."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from expol_tf.agents import Acting
from expol_tf.keras_api import keras
from expol_tf.networks import ObservationNormalizer
from expol_tf.optimizers import MinibatchRegression
from tests.agents import small_off_policy as small
from tests.agents.checkpoints import assert_equal, iterate
from tests.agents.small_agents import OBSERVATION, make_agent, make_rollout, set_values, values_of


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


def test_a_reset_from_a_seed_gives_the_run_of_an_agent_made_with_it():
    made, reset = new_agent("gaussian", seed=5), new_agent("gaussian", seed=0)
    set_values(reset.actor_network.variables, values_of(made.actor_network.variables))
    set_values(reset.value_network.variables, values_of(made.value_network.variables))
    # Randomness to be forgotten. Another batch size would compile another program, which rounds otherwise.
    make_rollout(reset, seed=9)
    reset.reset_from_seed(5)
    for seed in range(2):
        assert_equal(iterate(reset, seed), iterate(made, seed))


def train_off_policy(agent):
    """Returns actions, the metrics of two updates from trajectories, and what they made of the policy."""
    observation = np.random.default_rng(0).normal(size=[6, 2, 3]).astype(np.float32)
    results = []
    for _ in range(2):
        action, info = agent.collect_policy.act(observation.reshape(12, 3))
        info = {name: tf.reshape(value, [6, 2, *value.shape[1:]]) for name, value in dict(info).items()}
        frames = tf.fill([6, 2], ts.StepType.MID)
        experience = trajectory.Trajectory(
            step_type=frames,
            observation=tf.constant(observation),
            action=tf.reshape(action, [6, 2, 2]),
            policy_info=info,
            next_step_type=frames,
            reward=tf.constant(observation[..., 0]),
            discount=tf.ones([6, 2]),
        )
        metrics = agent.train(experience).extra
        results += [action.numpy(), *(metrics[name].numpy() for name in sorted(metrics))]
    return [*results, *values_of(agent.actor_network.variables)]


def test_a_reset_off_policy_gives_the_run_of_an_agent_made_with_the_seed():
    def make(seed):
        keras.utils.set_random_seed(0)
        return small.sac(acting=Acting(seed=seed, jit_compile=False))

    made, reset, other = make(5), make(None), make(0)
    reset.collect_policy.act(np.zeros((12, 3), np.float32))  # Randomness to be forgotten.
    reset.reset_from_seed(5)
    expected, found, different = (train_off_policy(agent) for agent in (made, reset, other))
    assert_equal(found, expected)
    assert any(np.any(one != two) for one, two in zip(different, expected, strict=True))


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
