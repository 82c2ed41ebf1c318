"""The off-policy agent against one in NumPy, and what it says of parts that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.ddpg import critic_network as tf_agents_critic
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from expol_tf.agents import (
    Acting,
    CriticFit,
    DdpgAgent,
    DeterministicImprovement,
    ExpectedValue,
    FixedTemperature,
    LearnedTemperature,
    LogSumExpValue,
    OrnsteinUhlenbeckNoise,
    SqlAgent,
    TargetUpdate,
    transitions_from_trajectory,
)
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticEnsemble,
    CriticNetwork,
    DeterministicActorNetwork,
    ObservationNormalizer,
    SamplingActorNetwork,
)
from expol_tf.optimizers import Adam
from tests.agents.small_off_policy import (
    ACTION,
    OBSERVATION,
    SPECS,
    QuadraticCritic,
    as_tensors,
    linear_agent,
    make_transitions,
    sac,
)
from tests.optimizers.slow_adam import SlowAdam


class SlowAgent:
    """DDPG with linear actor and quadratic critics: gradients by hand, one state after the other."""

    def __init__(self, actor, critic, gamma, tau, rate):
        self.actor, self.critic = np.array(actor, np.float64), np.array(critic, np.float64)
        self.target_actor, self.target_critic = self.actor.copy(), self.critic.copy()
        self.gamma, self.tau = gamma, tau
        self.actor_adam, self.critic_adam = SlowAdam(rate), SlowAdam(rate)

    @staticmethod
    def q(critic, state, action):
        return np.concatenate([state, action]) @ critic - action @ action

    def update(self, batch):
        rows = [i for i in range(len(batch.reward)) if batch.valid[i]]
        gradient, errors, values = np.zeros_like(self.critic), [], []
        for i in rows:
            following = batch.next_observation[i]
            value = self.q(self.target_critic, following, following @ self.target_actor).min()
            target = batch.reward[i] + self.gamma * batch.discount[i] * value
            inputs = np.concatenate([batch.observation[i], batch.action[i]])
            q = self.q(self.critic, batch.observation[i], batch.action[i])
            gradient += np.outer(inputs, q - target) / len(rows)
            errors.append(0.5 * np.mean((q - target) ** 2))
            values.append(q.mean())
        self.critic -= self.critic_adam.step(gradient)
        gradient, losses = np.zeros_like(self.actor), []
        for i in rows:
            state = batch.observation[i]
            action = state @ self.actor
            q = self.q(self.critic, state, action)
            # The critics differ in what is linear; the smaller one leads.
            slope = self.critic[3:, np.argmin(q)] - 2 * action
            gradient -= np.outer(state, slope) / len(rows)
            losses.append(-q.min())
        self.actor -= self.actor_adam.step(gradient)
        self.target_critic += self.tau * (self.critic - self.target_critic)
        self.target_actor += self.tau * (self.actor - self.target_actor)
        return {"critic_loss": np.mean(errors), "q_mean": np.mean(values), "actor_loss": np.mean(losses)}


def test_updates_equal_those_of_a_slow_agent():
    agent = linear_agent(
        critic_fit=CriticFit(Adam(0.03), gamma=0.9, target_update=TargetUpdate(0.1)),
        improvement=DeterministicImprovement(optimizer=Adam(0.03)),
    )
    slow = SlowAgent(agent.actor_network.weights_, agent.critic_network.weights_, 0.9, 0.1, 0.03)
    update = tf.function(agent.update, autograph=False)
    for i in range(5):
        batch = make_transitions(seed=i)
        metrics = update(as_tensors(batch), tf.constant([0, i]))
        for name, value in slow.update(batch).items():
            np.testing.assert_allclose(metrics[name], value, rtol=2e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(agent.actor_network.weights_, slow.actor, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(agent.critic_network.weights_, slow.critic, rtol=1e-3, atol=1e-4)
    assert int(agent.train_step_counter) == 5


def test_normalizer_is_applied_to_all_observations_and_learns_from_valid_ones():
    normalizer = ObservationNormalizer(OBSERVATION)
    agent = linear_agent(observation_normalizer=normalizer)
    batch = make_transitions()
    agent.update(as_tensors(batch), tf.constant([0, 0]))
    expected = batch.observation[batch.valid].mean(axis=0)
    shifted = normalizer(tf.constant(expected[np.newaxis]))
    np.testing.assert_allclose(shifted, np.zeros([1, 3]), atol=0.1)
    q = agent.critic(batch.observation, batch.action)
    raw = agent.critic_network((normalizer(batch.observation), batch.action))[0]
    np.testing.assert_allclose(q, raw)


def test_transitions_of_a_trajectory_mask_boundaries_and_keep_true_successors():
    first, mid, last = ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST
    step_type = np.array([[first, mid, last, first, mid]], np.int32)
    observation = np.arange(15, dtype=np.float32).reshape(1, 5, 3)
    experience = trajectory.Trajectory(
        step_type=tf.constant(step_type),
        observation=tf.constant(observation),
        action=tf.zeros([1, 5, 2]),
        policy_info=(),
        next_step_type=tf.constant(np.roll(step_type, -1)),
        reward=tf.constant([[1.0, 2.0, 99.0, 3.0, 99.0]]),
        discount=tf.constant([[1.0, 0.0, 1.0, 1.0, 1.0]]),
    )
    found = transitions_from_trajectory(experience)
    np.testing.assert_array_equal(found.valid, [True, True, False, True])
    np.testing.assert_array_equal(found.reward[found.valid], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found.discount[found.valid], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(found.next_observation, observation[0, 1:])
    with pytest.raises(ConfigurationError, match="num_steps=2"):
        transitions_from_trajectory(tf.nest.map_structure(lambda each: each[:, :1], experience))


def test_hard_targets_copy_at_every_period():
    agent = linear_agent(critic_fit=CriticFit(gamma=0.9, target_update=TargetUpdate(1.0, period=3)))
    slow = SlowAgent(agent.actor_network.weights_, agent.critic_network.weights_, 0.9, 0.0, 3e-4)
    for i in range(4):
        batch = make_transitions(seed=i)
        metrics = agent.update(as_tensors(batch), tf.constant([0, i]))
        np.testing.assert_allclose(metrics["critic_loss"], slow.update(batch)["critic_loss"], rtol=1e-4)
        if (i + 1) % 3 == 0:
            slow.target_actor, slow.target_critic = slow.actor.copy(), slow.critic.copy()


@pytest.mark.parametrize("ensemble", [False, True])
def test_particles_have_the_values_of_single_actions(ensemble):
    critic = CriticNetwork(OBSERVATION, ACTION, (8, 8), activation="elu")
    if ensemble:
        single = tf_agents_critic.CriticNetwork((OBSERVATION, ACTION), joint_fc_layer_params=(8,))
        critic = CriticEnsemble(single, 3)
    agent = DdpgAgent(
        *SPECS, DeterministicActorNetwork(OBSERVATION, ACTION, (4,)), critic, acting=Acting(seed=0)
    )
    generator = np.random.default_rng(0)
    observation = tf.constant(generator.normal(size=[4, 3]), tf.float32)
    action = tf.constant(generator.uniform(size=[4, 5, 2]), tf.float32)
    together = agent.critic(observation, action)
    assert together.shape == [4, 5, 3 if ensemble else 2]
    for j in range(5):
        alone = agent.critic(observation, action[:, j])
        np.testing.assert_allclose(together[:, j], alone, rtol=1e-5, atol=1e-6)


def test_critics_of_an_ensemble_are_independent():
    single = tf_agents_critic.CriticNetwork((OBSERVATION, ACTION), joint_fc_layer_params=(8,))
    critic = CriticEnsemble(single)
    example = tf.ones([2, 3]), tf.ones([2, 2])
    q = critic(example)[0]
    assert np.all(q[:, 0] != q[:, 1])
    single.create_variables()
    assert len(critic.variables) == 2 * len(single.variables)


def test_a_critic_sees_actions_in_units_of_the_box():
    wide = tensor_spec.BoundedTensorSpec([2], tf.float32, -1000.0, 1000.0)
    narrow = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
    values = []
    for box, scale in ((wide, 1000.0), (narrow, 1.0)):
        keras.utils.set_random_seed(3)
        critic = CriticNetwork(OBSERVATION, box, (4,))
        values.append(critic((tf.ones([1, 3]), scale * tf.constant([[0.3, -0.5]])))[0])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)


def test_learned_temperature_moves_toward_its_target():
    for target, rises in ((100.0, True), (-100.0, False)):
        temperature = LearnedTemperature(0.5, target, Adam(0.01))
        agent = sac(temperature=temperature)
        assert float(temperature.value()) == pytest.approx(0.5)
        agent.update(as_tensors(make_transitions()), tf.constant([0, 0]))
        assert (float(temperature.value()) > 0.5) == rises
    default = sac().temperature
    assert default.target_entropy == -2.0


def test_entropy_is_that_of_the_scaled_action():
    keras.utils.set_random_seed(0)
    agent = sac(temperature=FixedTemperature(0.0))
    metrics = agent.update(as_tensors(make_transitions(4000)), tf.constant([0, 0]))
    distribution = agent.actor_network(tf.constant(make_transitions(4000).observation))[0]
    log_prob = distribution.experimental_sample_and_log_prob(seed=[1, 2])[1]
    # Half-widths are 1 and 2.
    assert float(metrics["entropy"]) == pytest.approx(-float(tf.reduce_mean(log_prob)) - np.log(2.0), abs=0.1)


def test_what_does_not_fit_is_refused():
    sampling = SamplingActorNetwork(OBSERVATION, ACTION, (4,))
    with pytest.raises(CapabilityError, match="SacAgent needs .*sample_and_log_prob.*SamplingActorNetwork"):
        sac(sampling)
    critic = CriticNetwork(OBSERVATION, ACTION, (4,))
    with pytest.raises(CapabilityError, match="log_prob"):
        SqlAgent(*SPECS, sampling, critic, soft_value=LogSumExpValue(proposal="mixture"))
    with pytest.raises(ConfigurationError, match=r"CriticFit.gamma must be in \[0, 1\]; got 1.5"):
        sac(critic_fit=CriticFit(gamma=1.5))
    with pytest.raises(ConfigurationError, match="ExpectedValue.reduction must be one of"):
        sac(soft_value=ExpectedValue(reduction="median"))

    class WrongShape(QuadraticCritic):
        def call(self, inputs, step_type=None, network_state=(), training=False):
            return tf.zeros([7, 2, 2]), network_state

    with pytest.raises(ConfigurationError, match=r"critic_network must return Q of shape \[N\] or \[N, C\]"):
        sac(critic=WrongShape())

    class Sharing(QuadraticCritic):
        def copy(self, **kwargs):
            return self

    with pytest.raises(ConfigurationError, match="new variables"):
        sac(critic=Sharing())
    with pytest.raises(CapabilityError, match="FixedTemperature"):
        SqlAgent(*SPECS, sampling, critic, temperature=LearnedTemperature())


@pytest.mark.parametrize("arguments", [dict(tau=0.0), dict(tau=1.5), dict(period=0)])
def test_target_update_checks_its_arguments(arguments):
    with pytest.raises(ConfigurationError, match=f"TargetUpdate.{next(iter(arguments))} must be"):
        TargetUpdate(**arguments)


def test_exploration_noise_is_remembered_within_an_episode():
    agent = DdpgAgent(
        *SPECS,
        DeterministicActorNetwork(OBSERVATION, ACTION, (4,)),
        CriticNetwork(OBSERVATION, ACTION, (4,)),
        acting=Acting(OrnsteinUhlenbeckNoise(theta=0.1, std=0.01), seed=0, jit_compile=False),
    )
    policy, observation = agent.collect_policy, tf.zeros([2, 3])
    greedy = agent.policy.act(observation)[0]
    half = np.array([1.0, 2.0])
    state = policy.get_initial_state(2)
    action, _, state = policy.act(observation, state)
    np.testing.assert_allclose((action - greedy) / half, state, atol=1e-6)
    large = tf.fill([2, 2], 0.5)
    step = ts.transition(observation, tf.zeros([2]))
    kept = policy.action(step, large).state
    np.testing.assert_allclose(kept, np.full([2, 2], 0.45), atol=0.06)
    restarted = policy.action(ts.restart(observation, batch_size=2), large).state
    np.testing.assert_allclose(restarted, np.zeros([2, 2]), atol=0.06)
    far = policy.act(observation, tf.fill([2, 2], 50.0))[0]
    np.testing.assert_allclose(far, np.tile([1.0, 4.0], [2, 1]))
