"""NBP: DDPG without entropy, with it a policy without density that keeps its modes."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    Acting,
    CriticFit,
    DdpgAgent,
    DensityRatioImprovement,
    DeterministicImprovement,
    DiscriminatorFit,
    FixedTemperature,
    LearnedTemperature,
    NbpAgent,
    ScheduledTemperature,
    TargetUpdate,
    Transitions,
)
from expol_tf.bijectors import Squash
from expol_tf.distributions import ImplicitDistribution
from expol_tf.environments import load_vector, time_step_spec
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    DiscriminatorNetwork,
    GaussianActorNetwork,
    NoisyActorNetwork,
    SamplingActorNetwork,
)
from expol_tf.optimizers import Adam
from tests.agents import small_off_policy as small

CLASSIFIER = functools.partial(DiscriminatorNetwork, hidden_units=(16,), activation="elu")
FIT = DiscriminatorFit(CLASSIFIER)
BASIC = {"critic_loss", "q_mean", "actor_loss", "temperature"}
WITH_ENTROPY = BASIC | {"entropy", "classifier_loss", "classifier_divergence", "classifier_accuracy"}


def make_agent(
    cls=NbpAgent,
    actor=NoisyActorNetwork,
    num_critics=1,
    seed=0,
    temperature=None,
    classifier=FIT,
    rate=0.01,
    target_update=None,
):
    keras.utils.set_random_seed(seed)
    if cls is NbpAgent:
        improvement = DensityRatioImprovement(classifier=classifier, optimizer=Adam(rate))
    else:
        improvement = DeterministicImprovement(optimizer=Adam(rate))
    return cls(
        *small.SPECS,
        actor(small.OBSERVATION, small.ACTION, hidden_units=(8,)),
        CriticNetwork(small.OBSERVATION, small.ACTION, (8,), num_critics=num_critics),
        improvement=improvement,
        temperature=temperature,
        critic_fit=CriticFit(Adam(0.01), target_update=target_update),
        acting=Acting(seed=seed, jit_compile=False),
    )


def batch(seed=0, count=20):
    return small.as_tensors(small.make_transitions(count, seed=seed))


def copies(variables):
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("num_critics", [1, 2])
@pytest.mark.parametrize("actor", [NoisyActorNetwork, DeterministicActorNetwork])
def test_without_entropy_it_is_ddpg_to_the_last_bit(actor, num_critics):
    make = functools.partial(
        make_agent, actor=actor, num_critics=num_critics, target_update=TargetUpdate(0.1)
    )
    nbp, ddpg = make(NbpAgent), make(DdpgAgent)
    assert not nbp._discriminators
    for i in range(3):
        found, expected = (each.update(batch(i), tf.constant([3, i])) for each in (nbp, ddpg))
        assert set(found) == set(expected) == BASIC
        for name in BASIC:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)

    def parts(agent):
        networks = (
            agent.actor_network,
            agent.critic_network,
            agent._target_critic_network,
            agent._target_actor_network,
        )
        return [variable for each in networks for variable in each.variables]

    for one, other in zip(parts(nbp), parts(ddpg), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.name)
    # Only DDPG adds noise to what the policy draws.
    assert nbp.collect_policy._exploration is None and ddpg.collect_policy._exploration is not None


def test_what_is_trained_and_told():
    agent = make_agent(temperature=FixedTemperature(0.5))
    (discriminator,) = agent._discriminators
    trained = [
        *agent.critic_network.trainable_variables,
        *discriminator.network.trainable_variables[:-1],
        agent.actor_network.trainable_variables[0],
    ]
    before = copies(trained)
    metrics = agent.update(batch(), tf.constant([1, 2]))
    assert set(metrics) == WITH_ENTROPY
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.any(new != old) for new, old in zip(copies(trained), before, strict=True))


def test_steps_of_the_classifier_and_a_scheduled_temperature():
    temperature = ScheduledTemperature(lambda step: 1.0 / (1.0 + tf.cast(step, tf.float32)))
    agent = make_agent(temperature=temperature, classifier=DiscriminatorFit(CLASSIFIER, num_steps=3))
    found = [float(agent.update(batch(i), tf.constant([1, i]))["temperature"]) for i in range(2)]
    assert found == [1.0, 0.5]
    assert int(agent._discriminators[0].optimizer.step) == 6


def test_the_loss_is_by_the_new_classifier():
    agent = make_agent(temperature=FixedTemperature(0.5), rate=1e-12)
    transitions = batch()
    metrics = agent.update(transitions, tf.constant([1, 2]))
    valid = transitions.valid
    seed = tf.random.experimental.stateless_split(tf.constant([1, 2]), 2)[1]
    action = agent.actor_network(transitions.observation)[0].sample(seed=seed)
    c = agent._discriminators[0].network((transitions.observation, action))[0]
    q = agent.critic(transitions.observation, action)[:, 0]
    loss = tf.reduce_mean(tf.boolean_mask(0.5 * c - q, valid))
    assert float(metrics["actor_loss"]) == pytest.approx(float(loss), abs=1e-5)
    entropy = 2 * math.log(2.0) - float(tf.reduce_mean(tf.boolean_mask(c, valid)))
    assert float(metrics["entropy"]) == pytest.approx(entropy, abs=1e-5)


class UniformActor(network.Network):
    """Actions uniform on the box: u = artanh(2Φ(ξ) − 1)."""

    def __init__(self, observation_spec, action_spec, hidden_units=(), name="UniformActor"):
        super().__init__(observation_spec, state_spec=(), name=name)
        self._box = action_spec

    def call(self, observation, step_type=None, network_state=(), training=False):
        def latent(context, noise):
            scaled = tf.math.erf(noise / 2.0**0.5)
            return tf.atanh(tf.clip_by_value(scaled, -0.999999, 0.999999)) + 0.0 * context[..., :1]

        return ImplicitDistribution(latent, observation, 2, 2, bijector=Squash(self._box)), network_state


def train(agent, transitions, updates):
    @tf.function(autograph=False)
    def loop():
        def step(i):
            agent.update(transitions, tf.stack([5, i]))
            return (i + 1,)

        return tf.while_loop(lambda i: i < updates, step, [0], parallel_iterations=1)

    loop()


def test_the_entropy_of_a_uniform_policy():
    agent = make_agent(
        actor=UniformActor,
        temperature=FixedTemperature(1.0),
        classifier=DiscriminatorFit(CLASSIFIER, optimizer=Adam(0.003)),
    )
    train(agent, batch(count=512), 500)
    metrics = agent.update(batch(1, count=2000), tf.constant([1, 2]))
    assert float(metrics["entropy"]) == pytest.approx(2 * math.log(2.0), abs=0.05)
    assert float(metrics["classifier_divergence"]) == pytest.approx(0.0, abs=0.02)
    assert float(metrics["classifier_accuracy"]) == pytest.approx(0.5, abs=0.06)


def test_a_checkpoint_holds_the_classifier(tmp_path):
    make = functools.partial(make_agent, temperature=FixedTemperature(0.5))
    agent, other = make(seed=0), make(seed=5)
    agent.update(batch(), tf.constant([1, 0]))
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(agent=other).read(path).assert_existing_objects_matched().assert_consumed()
    found, expected = (each.update(batch(2), tf.constant([1, 2])) for each in (other, agent))
    for name in WITH_ENTROPY:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_it_keeps_both_modes():
    """On the bandit with two best actions, ±0.5, where the values are known from the start."""
    env = load_vector("expol/BimodalBandit-v0", 1, seed=0)
    observation, action_spec = time_step_spec(env).observation, tensor_spec.from_spec(env.action_spec)
    generator = np.random.default_rng(0)
    actions = generator.uniform(-1, 1, [256, 2]).astype(np.float32)
    modes = np.array([[-0.5, 0.0], [0.5, 0.0]])
    rewards = -np.min(np.sum((actions[:, np.newaxis] - modes) ** 2, axis=-1), axis=-1) / 0.1
    keras.utils.set_random_seed(0)
    agent = NbpAgent(
        ts.time_step_spec(tensor_spec.from_spec(observation)),
        action_spec,
        SamplingActorNetwork(observation, action_spec, (32, 32)),
        CriticNetwork(observation, action_spec, (32, 32), num_critics=1),
        improvement=DensityRatioImprovement(
            classifier=DiscriminatorFit(
                functools.partial(DiscriminatorNetwork, hidden_units=(32, 32)), 3, Adam(0.01)
            ),
            # Slower than the classifier: one that lags behind lets go of a mode, or not, by rounding alone.
            optimizer=Adam(0.001),
        ),
        temperature=FixedTemperature(1.0),
        critic_fit=CriticFit(Adam(0.01)),
        acting=Acting(seed=0, jit_compile=False),
    )
    ones = tf.ones([256, 1])
    transitions = Transitions(
        ones, tf.constant(actions), tf.constant(rewards, tf.float32), tf.zeros([256]), ones
    )
    train(agent, transitions, 1000)
    drawn = agent.collect_policy.act(np.ones([1000, 1]))[0].numpy()
    near = np.mean(np.linalg.norm(drawn[:, np.newaxis] - modes, axis=-1) < 0.4, axis=0)
    # Of exp(Q/β), 0.42 are near either of them; of uniform actions, 0.13.
    assert near.min() > 0.15 and near.sum() > 0.6, near


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (
            dict(temperature=FixedTemperature(0.1), actor=GaussianActorNetwork),
            CapabilityError,
            "GaussianActorNetwork draws .* outside.*squash=True.*NbpAgent .with temperature 0",
        ),
        (dict(temperature=LearnedTemperature(0.1)), CapabilityError, "LearnedTemperature.*FixedTemperature"),
    ],
    ids=["unsquashed", "temperature"],
)
def test_what_is_refused(settings, error, words):
    with pytest.raises(error, match=words):
        make_agent(**settings)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigurationError, match="DiscriminatorFit.num_steps must be 1 or more; got 0"):
        make_agent(classifier=DiscriminatorFit(num_steps=0))
    with pytest.raises(
        ConfigurationError, match="DensityRatioImprovement.reduction must be one of .*got 'max'"
    ):
        DensityRatioImprovement(reduction="max")
