"""PPO as an agent: its wiring, its defaults, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import ClippedUpdate, OnPolicyAgent, PpoAgent
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import ObservationNormalizer
from expol_tf.objectives import AdvantageEstimation
from expol_tf.optimizers import MinibatchAdam, MinibatchRegression
from tests.agents.checkpoints import check_continuation
from tests.agents.slow_ppo import LinearGaussianActorNetwork, SlowPpo
from tests.agents.small_agents import (
    OBSERVATION,
    make_agent,
    make_batch,
    make_rollout,
    set_values,
    values_of,
)
from tests.agents.unusual_networks import CustomActorNetwork, LateActorNetwork, LateValueNetwork, Unseen


def make_ppo(kind="gaussian", **settings):
    settings.setdefault("policy_update", clipped(1e-2, 2, 16))
    return make_agent(kind, cls=PpoAgent, **settings)


def clipped(*adam, max_gradient_norm=0.5, **settings):
    return ClippedUpdate(MinibatchAdam(*adam, max_gradient_norm=max_gradient_norm), **settings)


def slow_standardized_advantages(rollout, value, next_value, gamma, gae_lambda):
    """GAE by a loop from each row's end, centred and divided by the deviation of the valid frames."""
    advantage = np.zeros_like(value)
    for row in range(len(value)):
        trace = 0.0
        for t in reversed(range(value.shape[1])):
            bootstrap = gamma * rollout.discount[row, t] * next_value[row, t]
            delta = rollout.reward[row, t] + bootstrap - value[row, t]
            trace = delta + (0.0 if rollout.episode_end[row, t] else gamma * gae_lambda * trace)
            advantage[row, t] = trace
    chosen = advantage[rollout.valid]
    return np.where(rollout.valid, (advantage - chosen.mean()) / chosen.std(), 0.0)


def test_a_whole_update_equals_the_slow_one():
    actor = LinearGaussianActorNetwork()
    settings = {"max_norm": 0.5, "clip_range": 0.1}
    slow = SlowPpo(actor, 0.02, 3, 16, **settings)
    agent = make_ppo(
        actor_network=actor,
        policy_update=clipped(0.02, 3, 16, clip_range=0.1),
    )
    twin = make_ppo(actor_network=LinearGaussianActorNetwork())  # Draws the seeds that the agent will draw.
    for _ in range(2):
        rollout = make_rollout(agent)
        assert not rollout.valid.all()
        states = rollout.observation.reshape(-1, 3), rollout.next_observation.reshape(-1, 3)
        values = [agent.value_network(each)[0].numpy().reshape(4, 16) for each in states]
        advantage = slow_standardized_advantages(rollout, *values, 0.99, 0.95)
        batch = make_batch(actor, 64)._replace(
            observation=states[0],
            action=rollout.action.reshape(-1, 2),
            log_prob=rollout.policy_info["log_prob"].reshape(-1),
            advantage=advantage.reshape(-1),
            valid=rollout.valid.reshape(-1),
        )
        expected = slow.update(batch, tf.bitcast(twin._generator.make_seeds(2), tf.int32)[0][0])
        metrics = agent.train_on_rollout(rollout).extra
        for name, value in expected.items():
            assert float(metrics[name]) == pytest.approx(value, rel=5e-3, abs=1e-4), name
        np.testing.assert_allclose(actor.weights_of_mean, slow.weights, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(actor.log_std, slow.log_std, rtol=1e-3, atol=1e-4)


def test_the_defaults_are_those_of_the_parts_composed_by_hand():
    agents = [make_ppo(policy_update=None, value_fit=MinibatchRegression(3e-4, 10, 64, 0.5))]
    actor = make_ppo().actor_network
    set_values(actor.variables, values_of(agents[0].actor_network.variables))
    update = ClippedUpdate(MinibatchAdam(3e-4, 10, 64, 0.5), 0.2, None)
    agents.append(
        make_agent(
            actor_network=actor,
            cls=OnPolicyAgent,
            policy_update=update,
            advantages=AdvantageEstimation(0.99, 0.95),
            value_fit=MinibatchRegression(3e-4, 10, 64, 0.5),
        )
    )
    rollout = make_rollout(agents[0])
    one, other = (agent.train_on_rollout(rollout).extra for agent in agents)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert float(value) == float(other[name]), name
    for mine, composed in zip(*(agent.actor_network.variables for agent in agents), strict=True):
        np.testing.assert_array_equal(mine, composed)


def test_tampered_densities_change_the_update():
    # They are what tells how far the policy may still go: nothing is recomputed in their place.
    results = []
    for factor in (0.0, 1.0):
        agent = make_ppo()
        rollout = make_rollout(agent)
        rollout.policy_info["log_prob"] += factor * np.linspace(-0.5, 0.5, 16, dtype=np.float32)
        metrics = agent.train_on_rollout(rollout).extra
        results.append(
            [float(metrics["clip_fraction"]), *values_of(agent.actor_network.variables)[0].ravel()]
        )
    assert results[1][0] > results[0][0] + 0.2
    assert np.abs(np.subtract(*results)[1:]).max() > 1e-3


def test_it_stops_where_it_is_told():
    agent = make_ppo(policy_update=clipped(0.03, 10, 16, max_gradient_norm=None, max_kl=1e-4))
    metrics = agent.train_on_rollout(make_rollout(agent)).extra
    assert 0.0 < float(metrics["accepted_step_fraction"]) < 0.5


def test_networks_may_make_their_variables_when_first_called():
    agent = make_ppo(actor_network=LateActorNetwork(), value_network=LateValueNetwork())
    before = values_of(agent.actor_network.variables)
    agent.train_on_rollout(make_rollout(agent))
    assert len(before) == 2
    for variable, value in zip(agent.actor_network.variables, before, strict=True):
        assert np.any(variable.numpy() != value)


def test_one_optimizer_serves_one_policy():
    optimizer = MinibatchAdam()
    make_ppo(policy_update=ClippedUpdate(optimizer))
    with pytest.raises(ConfigurationError, match="MinibatchAdam: it holds the moments of one network"):
        make_ppo(policy_update=ClippedUpdate(optimizer))


def test_a_policy_without_density_is_named():
    with pytest.raises(CapabilityError, match="PpoAgent needs .*log_prob.*CustomActorNetwork's Unseen"):
        make_ppo(actor_network=CustomActorNetwork(Unseen))


def test_it_learns():
    # One-step episodes: the first component of the action is to be the first of the observation.
    agent = make_ppo(
        policy_update=clipped(1e-2, 5, 64),
        advantages=AdvantageEstimation(gamma=0.0),
    )
    rewards = []
    for seed in range(30):
        rollout = make_rollout(agent, batch=16, seed=seed)
        rewards.append(rollout.reward[rollout.valid].mean())
        metrics = agent.train_on_rollout(rollout).extra
        assert float(metrics["kl"]) < 0.5
    # At first 1 − 1 − 1 = −1 (the policy's variance and the observation's); 1 is the most there is.
    assert np.mean(rewards[:2]) < -0.6 and np.mean(rewards[-3:]) > 0.6


def new_ppo(seed=0):
    return make_ppo(
        squash=True,
        seed=seed,
        entropy_weight=0.01,
        policy_update=clipped(1e-2, 2, 16, max_kl=0.05),
        observation_normalizer=ObservationNormalizer(OBSERVATION),
    )


@pytest.mark.slow  # The contract's tests do much the same.
def test_a_checkpoint_goes_on_identically(tmp_path):
    names = check_continuation(new_ppo, tmp_path)
    assert any("_policy_update/optimizer/optimizer/_first" in name for name in names), names
