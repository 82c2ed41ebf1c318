"""What an on-policy agent hands to its policy update and to its value network, whatever the update is."""

from __future__ import annotations

import operator
import warnings

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.agents import (
    Acting,
    GaussianNoise,
    OnPolicyAgent,
    PolicyObjective,
    PolicyUpdate,
    TrpoAgent,
)
from expol_tf.errors import CapabilityError, ConfigurationError, SpaceError
from expol_tf.networks import GaussianActorNetwork, ObservationNormalizer, ValueNetwork
from expol_tf.objectives import AdvantageEstimation, generalized_advantages, scale_advantages
from expol_tf.optimizers import MinibatchRegression
from tests.agents.small_agents import OBSERVATION, box, make_actor, make_agent, make_rollout, values_of
from tests.agents.unusual_networks import CustomActorNetwork, NotReparameterized, Unseen


class Record(PolicyUpdate):
    """A policy update that leaves the policy alone and reports all that it was given."""

    def __call__(self, objective, batch, seed):
        given = {name: part for name, part in batch._asdict().items() if part is not None}
        return {"surrogate": tf.constant(0.25), "seed": seed, **given}


def make_recorder(kind="gaussian", **settings):
    return make_agent(kind, cls=OnPolicyAgent, policy_update=Record(), **settings)


def test_the_update_receives_the_batch():
    agent = make_recorder(squash=True)
    rollout = make_rollout(agent)
    value = agent.value_network(rollout.observation.reshape(-1, 3))[0].numpy().reshape(4, 16)
    next_value = agent.value_network(rollout.next_observation.reshape(-1, 3))[0].numpy().reshape(4, 16)
    advantage = generalized_advantages(
        rollout.reward, rollout.discount, value, next_value, rollout.episode_end, 0.99, 0.95
    )
    scaled = scale_advantages(tf.reshape(advantage, [-1]), rollout.valid.reshape(-1), "standardize").advantage
    loss, batch = agent.train_on_rollout(rollout)
    np.testing.assert_allclose(batch["advantage"], scaled, rtol=1e-4, atol=1e-5)
    for name, expected in (
        ("observation", rollout.observation.reshape(-1, 3)),
        ("action", rollout.action.reshape(-1, 2)),
        ("valid", rollout.valid.reshape(-1)),
        ("log_prob", rollout.policy_info["log_prob"].reshape(-1)),
        ("pre_squash_action", rollout.policy_info["pre_squash_action"].reshape(-1, 2)),
    ):
        np.testing.assert_array_equal(batch[name], expected, err_msg=name)
    assert float(loss) == -0.25


def test_old_densities_are_the_recorded_ones():
    # Densities that no network gives: they must reach the update and the entropy as they are.
    agent = make_recorder(action=box(0.0, 10.0))
    rollout = make_rollout(agent)
    recorded = np.random.default_rng(5).normal(size=(4, 16)).astype(np.float32)
    metrics = agent.train_on_rollout(rollout._replace(policy_info={"log_prob": recorded})).extra
    np.testing.assert_array_equal(metrics["log_prob"], recorded.reshape(-1))
    # Of the action in [−1, 1], which is 5 times as small in each of two components.
    expected = -recorded[rollout.valid].mean() - 2.0 * np.log(5.0)
    assert float(metrics["entropy"]) == pytest.approx(expected, rel=1e-4)


def test_frames_between_episodes_change_nothing():
    results = []
    for junk in (0.0, 1e3):
        agent = make_recorder(observation_normalizer=ObservationNormalizer(OBSERVATION))
        rollout = make_rollout(agent, end_probability=0.4)
        assert (~rollout.valid).sum() > 5
        rollout.reward[~rollout.valid] = junk
        rollout.action[~rollout.valid] = junk
        rollout.observation[~rollout.valid] = junk
        rollout.policy_info["log_prob"][~rollout.valid] = junk
        metrics = agent.train_on_rollout(rollout).extra
        results.append(
            [
                *values_of(agent.value_network.variables),
                *values_of(agent.observation_normalizer.variables),
                *(metrics[name] for name in ("entropy", "explained_variance", "value_loss", "advantage")),
            ]
        )
    for clean, dirty in zip(*results, strict=True):
        np.testing.assert_array_equal(clean, dirty)


def test_the_normalizer_is_frozen_during_the_update_and_learns_after_it():
    normalizer = ObservationNormalizer(OBSERVATION)
    agent = make_recorder(observation_normalizer=normalizer)
    first, second = make_rollout(agent, seed=1), make_rollout(agent, seed=2)
    batch = agent.train_on_rollout(first).extra
    np.testing.assert_allclose(batch["observation"], np.clip(first.observation.reshape(-1, 3), -5.0, 5.0))
    seen = first.observation[first.valid]
    assert float(normalizer.count) == len(seen) < 64
    np.testing.assert_allclose(normalizer.mean, seen.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(normalizer.std, seen.std(axis=0), rtol=1e-5)
    batch = agent.train_on_rollout(second).extra
    expected = (second.observation.reshape(-1, 3) - seen.mean(axis=0)) / seen.std(axis=0)
    np.testing.assert_allclose(batch["observation"], expected, rtol=1e-4, atol=1e-5)
    assert float(normalizer.count) == len(seen) + second.valid.sum()


@pytest.mark.parametrize("truncated", [True, False], ids=["truncated", "terminated"])
def test_a_truncated_state_is_worth_the_infinite_sum(truncated):
    # One state, reward 1, episodes of 5 steps.
    agent = make_recorder(
        value_network=ValueNetwork(OBSERVATION, hidden_units=()),
        value_fit=MinibatchRegression(0.1, epochs=10, minibatch_size=20),
        advantages=AdvantageEstimation(gamma=0.9),
    )
    rollout = make_rollout(agent, 1, 20)
    end = np.tile([[False, False, False, False, True]], (1, 4))
    state = np.ones((1, 20, 3), np.float32)
    rollout = rollout._replace(
        observation=state,
        next_observation=state,
        reward=np.ones((1, 20), np.float32),
        discount=np.where(end & (not truncated), 0.0, 1.0).astype(np.float32),
        episode_end=end,
        valid=np.ones((1, 20), bool),
    )
    for _ in range(60):
        agent.train_on_rollout(rollout)
    value = float(agent.value_network(state[0, :1])[0][0])
    if truncated:
        assert value == pytest.approx(10.0, rel=1e-2)
    else:
        assert value < 4.1


def test_each_agent_counts_its_own_steps():
    first, second = make_recorder(), make_recorder()
    first.train_on_rollout(make_rollout(first))
    first.train_on_rollout(make_rollout(first))
    assert int(first.train_step_counter) == 2
    assert int(second.train_step_counter) == 0
    counter = tf.Variable(7, dtype=tf.int64)
    third = make_recorder(train_step_counter=counter)
    third.train_on_rollout(make_rollout(third))
    assert int(counter) == 8


def test_the_updates_seed_moves_on():
    agent = make_recorder()
    rollout = make_rollout(agent)
    first, second = (agent.train_on_rollout(rollout).extra["seed"].numpy() for _ in range(2))
    assert first.shape == (2,) and (first != second).any()
    other = make_recorder()
    np.testing.assert_array_equal(other.train_on_rollout(rollout).extra["seed"], first)


def test_weights_are_refused():
    agent = make_recorder()
    with pytest.raises(ConfigurationError, match="weights: this agent weighs all transitions alike"):
        agent.train(None, weights=tf.ones([4]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\]; got 1.5"),
        ({"gae_lambda": -0.1}, r"gae_lambda must be in \[0, 1\]; got -0.1"),
        ({"scaling": "whiten"}, "scaling must be one of .*got 'whiten'"),
    ],
)
def test_settings_outside_their_rule_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        AdvantageEstimation(**settings)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (tensor_spec.BoundedTensorSpec([], tf.int64, 0, 3), "must be one floating-point vector"),
        (tensor_spec.BoundedTensorSpec([2], tf.int32, 0, 3), "must be one floating-point vector"),
        ({"left": box(), "right": box()}, "must be one floating-point vector"),
        (box(-np.inf, np.inf), "must have finite bounds"),
        (box(-3.4e38, 3.4e38), "must have finite bounds"),
        (tensor_spec.TensorSpec([2], tf.float32), "must be a bounded spec"),
        (box(1.0, 1.0), "maximum > minimum"),
    ],
    ids=["discrete", "integers", "nested", "infinite", "float32 limits", "no bounds", "empty"],
)
def test_an_action_space_that_does_not_do_is_named(action, message):
    with pytest.raises(SpaceError, match=f"action_spec:? .*{message}"):
        make_agent(action=action, actor_network=make_actor())


def test_an_observation_space_that_does_not_do_is_named():
    image = tensor_spec.TensorSpec([8, 8, 3], tf.float32)
    networks = {"actor_network": make_actor(), "value_network": ValueNetwork(OBSERVATION)}
    with pytest.raises(SpaceError, match="observation_spec must be one floating-point vector"):
        make_agent(observation=image, **networks)


def test_a_policy_without_density_is_named_with_what_to_use_instead():
    with pytest.raises(CapabilityError) as caught:
        make_agent(actor_network=CustomActorNetwork(Unseen))
    for part in ("TrpoAgent needs", "log_prob", "CustomActorNetwork's Unseen", "FlowActorNetwork"):
        assert part in str(caught.value)


def test_an_entropy_bonus_needs_an_entropy_with_a_gradient():
    actor = CustomActorNetwork(NotReparameterized)
    make_agent(actor_network=actor)
    with pytest.raises(CapabilityError, match="entropy_weight=0.1 needs .*reparameterized_sample.*Custom"):
        make_agent(actor_network=actor, entropy_weight=0.1)


@pytest.mark.parametrize("kind", ["gaussian", "flow"])
def test_an_entropy_bonus_without_squash_warns(kind):
    with pytest.warns(UserWarning, match="entropy_weight: .*not squashed; got 0.01.*squash=True"):
        make_agent(kind, entropy_weight=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        make_agent(kind, entropy_weight=0.01, squash=True)
        make_agent(kind, entropy_weight=0.0)


def test_one_value_fit_serves_one_agent():
    fit = MinibatchRegression()
    make_agent(value_fit=fit)
    with pytest.raises(ConfigurationError, match="MinibatchRegression: it holds the moments of one network"):
        make_agent(value_fit=fit)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            lambda: dict(policy_update=lambda batch, seed: {}),
            "policy_update must be a PolicyUpdate; got the function <lambda>",
        ),
        (lambda: dict(policy_update=Record), "policy_update must be a PolicyUpdate; got the class Record"),
        (
            lambda: dict(policy_update=Record(), value_fit=object()),
            "value_fit must be a Regression or None; got <object",
        ),
        (
            lambda: dict(policy_update=Record(), objective=PolicyObjective(make_actor())),
            "objective must measure the agent's actor_network",
        ),
    ],
)
def test_parts_of_another_kind_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        make_agent(cls=OnPolicyAgent, **settings())


@pytest.mark.parametrize(
    ("name", "given"),
    [("exploration", GaussianNoise(0.1)), ("selection", lambda distribution, seed: distribution.mode())],
)
def test_actions_without_a_density_are_refused(name, given):
    with pytest.raises(ConfigurationError, match=f"acting.{name} must be None for TrpoAgent; got"):
        make_agent(acting=Acting(**{name: given}))


def test_a_misspelt_keyword_of_an_update_is_an_error():
    with pytest.raises(TypeError, match="suports_replicas"):

        class Misspelt(PolicyUpdate, suports_replicas=True):
            pass

    assert not Record.supports_replicas and not Record.compiles_itself


def test_a_reset_from_a_seed_is_construction_with_it():
    made, reset = make_agent(seed=7), make_agent(seed=None)
    reset.reset_from_seed(7)
    for generator in ("_generator", "collect_policy.generator"):
        states = [operator.attrgetter(generator)(agent).state.numpy() for agent in (made, reset)]
        np.testing.assert_array_equal(*states)


def test_the_evaluation_network_acts_greedily():
    actor, other = make_actor(seed=0), make_actor(seed=1)
    agent = make_agent(actor_network=actor, acting=Acting(evaluation_network=other, jit_compile=False))
    expected = make_agent(actor_network=other)
    observation = np.ones([2, 3], np.float32)
    np.testing.assert_array_equal(agent.policy.act(observation)[0], expected.policy.act(observation)[0])


def test_what_an_agent_offers():
    normalizer = ObservationNormalizer(OBSERVATION)
    actor, value = GaussianActorNetwork(OBSERVATION, box()), ValueNetwork(OBSERVATION)
    agent = make_agent(actor_network=actor, value_network=value, observation_normalizer=normalizer)
    assert isinstance(agent, TrpoAgent)
    assert agent.actor_network is actor
    assert agent.value_network is value
    assert agent.observation_normalizer is normalizer
    assert agent.collect_data_spec.policy_info == agent.collect_policy.info_spec
    assert agent.action_spec == agent.policy.action_spec == agent.collect_policy.action_spec
