"""How policies act: greedily and clipped, or sampling with recorded densities."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import ActorPolicy
from expol_tf.distributions import greedy_action
from expol_tf.networks import ObservationNormalizer
from tests.agents.small_agents import NETWORKS, OBSERVATION, box, make_actor

KINDS = pytest.mark.parametrize("kind", NETWORKS)


def observations(count=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def make_policy(kind="gaussian", action=None, squash=False, **settings):
    action = action or box()
    actor = make_actor(kind, action=action, squash=squash)
    settings.setdefault("seed", 3)
    settings.setdefault("jit_compile", False)
    return ActorPolicy(ts.time_step_spec(OBSERVATION), action, actor, **settings), actor


@KINDS
@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
def test_sampling_reports_what_training_needs(kind, squash):
    policy, actor = make_policy(kind, box(-3.0, 5.0), squash)
    observation = observations()
    action, info = policy.act(observation)
    assert action.shape == (6, 2) and info["log_prob"].shape == (6,)
    distribution, _ = actor(observation)
    expected = distribution.log_prob(tf.identity(action))
    np.testing.assert_allclose(info["log_prob"], expected, rtol=1e-3, atol=1e-4)
    assert set(info) == set(policy.info_spec) == {"log_prob"} | ({"pre_squash_action"} if squash else set())
    if squash:
        np.testing.assert_allclose(action, 1.0 + 4.0 * np.tanh(info["pre_squash_action"]), rtol=1e-5)
    again, _ = policy.act(observation)
    assert not np.allclose(action, again)


@KINDS
def test_greedy_is_the_distributions_and_does_not_vary(kind):
    policy, actor = make_policy(kind, greedy=True)
    observation = observations()
    action, info = policy.act(observation)
    assert info == ()
    np.testing.assert_allclose(action, greedy_action(actor(observation)[0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(action, policy.act(observation)[0])


def test_only_the_greedy_policy_clips():
    # A box around 100 with a policy far outside of it.
    action_spec = box(99.0, 101.0)
    sampling, actor = make_policy(action=action_spec)
    greedy, _ = make_policy(action=action_spec, greedy=True)
    for network in (actor, greedy._actor_network):
        network._mean.layers[-1].bias.assign([50.0, -50.0])
    np.testing.assert_array_equal(greedy.act(observations())[0], np.tile([101.0, 99.0], (6, 1)))
    sampled = sampling.act(observations())[0].numpy()
    assert (sampled[:, 0] > 140.0).all() and (sampled[:, 1] < 60.0).all()


def test_a_seed_is_a_stream_of_actions():
    observation = observations()
    streams = []
    for seed in (3, 3, 4):
        policy, _ = make_policy(seed=seed)
        streams.append([policy.act(observation)[0].numpy() for _ in range(3)])
    np.testing.assert_array_equal(streams[0], streams[1])
    assert not np.allclose(streams[0], streams[2])


def test_without_a_seed_streams_differ():
    first, second = (make_policy(seed=None)[0].act(observations())[0] for _ in range(2))
    assert not np.allclose(first, second)


def test_action_is_act():
    policy, _ = make_policy()
    other, _ = make_policy()
    observation = observations()
    step = policy.action(ts.restart(tf.constant(observation), 6))
    action, info = other.act(observation)
    np.testing.assert_array_equal(step.action, action)
    np.testing.assert_array_equal(step.info["log_prob"], info["log_prob"])
    assert step.state == ()


@pytest.mark.parametrize("seed", [5, tf.constant([5, 5]), tf.constant(5, tf.int64)], ids=str)
def test_a_seed_given_to_action_decides_alone(seed):
    policy, _ = make_policy()
    time_step = ts.restart(tf.constant(observations()), 6)
    state = policy.generator.state.numpy()
    expected = policy.action(time_step, seed=tf.constant([5, 5])).action
    np.testing.assert_array_equal(policy.action(time_step, seed=seed).action, expected)
    np.testing.assert_array_equal(policy.generator.state, state)
    assert not np.allclose(policy.action(time_step, seed=6).action, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_observations_of_any_number_type(dtype):
    policy, _ = make_policy(greedy=True)
    observation = np.round(observations() * 4.0) / 4.0 if dtype != np.int32 else np.arange(18).reshape(6, 3)
    action, _ = policy.act(observation.astype(dtype))
    np.testing.assert_allclose(action, policy.act(observation.astype(np.float32))[0], rtol=1e-6)


def test_the_normalizer_stands_before_the_network():
    normalizer = ObservationNormalizer(OBSERVATION)
    normalizer.update(tf.constant(5.0 + 2.0 * observations(1000)))
    policy, actor = make_policy(greedy=True, observation_normalizer=normalizer)
    raw = 5.0 + 2.0 * observations()
    np.testing.assert_allclose(policy.act(raw)[0], greedy_action(actor(normalizer(raw))[0]), rtol=1e-5)
    assert not np.allclose(policy.act(raw)[0], greedy_action(actor(raw)[0]))


@pytest.mark.parametrize("greedy", [False, True])
def test_distribution_is_the_networks(greedy):
    policy, actor = make_policy("flow", greedy=greedy)
    observation = tf.constant(observations())
    step = policy.distribution(ts.restart(observation, 6))
    action = tf.constant(np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32))
    expected = actor(observation)[0].log_prob(action)
    np.testing.assert_allclose(step.action.log_prob(action), expected, rtol=1e-5)


def test_a_compiled_function_gets_no_distribution():
    # It could not return one, and PolicySaver would try to write it.
    policy, _ = make_policy()
    time_step = ts.restart(tf.constant(observations()), 6)
    with pytest.raises(NotImplementedError, match="call the actor network"):
        tf.function(lambda: policy.distribution(time_step).action.mean(), autograph=False)()


def test_a_checkpoint_holds_network_normalizer_and_generator(tmp_path):
    observation, path = observations(), str(tmp_path / "policy")
    normalizer = ObservationNormalizer(OBSERVATION)
    normalizer.update(tf.constant(5.0 + 2.0 * observation))
    policy, _ = make_policy(seed=3, observation_normalizer=normalizer)
    policy.act(observation)
    tf.train.Checkpoint(policy=policy).write(path)
    expected, _ = policy.act(observation)
    other, actor = make_policy(seed=4, observation_normalizer=ObservationNormalizer(OBSERVATION))
    for variable in actor.variables:
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(policy=other).read(path).assert_consumed()
    np.testing.assert_array_equal(other.act(observation)[0], expected)
