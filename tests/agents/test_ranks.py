"""Wrong ranks of what agents and runners are given are refused by name, before anything is broadcast."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.trajectories import trajectory

from expol_tf.agents import (
    CriticFit,
    LearnedTemperature,
    PpoAgent,
    SoftValue,
    TrpoAgent,
    rollout_from_trajectory,
    transitions_from_trajectory,
)
from expol_tf.distributions import action_log_prob, sampled_kl
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import ObservationNormalizer
from expol_tf.optimizers import KfacRegression, MinibatchAdam, MinibatchRegression, fisher_product
from expol_tf.training import UniformReplay
from tests.agents import small_agents, small_off_policy

SEED = tf.constant([1, 2])
TRANSITIONS = small_off_policy.as_tensors(small_off_policy.make_transitions())
COUNT = TRANSITIONS.reward.shape[0]


def column(tensor):
    return tensor[..., tf.newaxis]


# What becomes of a tensor → how the message goes on.
WRONG = {"[…, 1]": column, "[1, …]": lambda tensor: tensor[:1]}


@functools.cache
def sac():
    return small_off_policy.sac()


@functools.cache
def on_policy(cls=TrpoAgent, squash=False):
    agent = small_agents.make_agent(cls=cls, squash=squash)
    return agent, tf.nest.map_structure(tf.constant, small_agents.make_rollout(agent))


class ColumnValue(SoftValue):
    """A user's V that keeps its last axis, [N, 1]."""

    def __call__(self, observation, policy, critic, temperature, seed, *, box):
        return column(tf.reduce_sum(observation, axis=-1))


@pytest.mark.parametrize("in_numpy", [False, True], ids=["tensors", "arrays"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", TRANSITIONS._fields)
def test_fault_01_update_of_transitions(field, wrong, in_numpy):
    if field == "observation" and wrong == "[1, …]":
        named = "action"  # The first whose number of rows is another.
    else:
        named = field
    value = WRONG[wrong](getattr(TRANSITIONS, field))
    before = [variable.numpy() for variable in sac().variables]
    with pytest.raises(ConfigurationError, match=rf"^transitions\.{named} must .*; got \("):
        sac().update(TRANSITIONS._replace(**{field: value.numpy() if in_numpy else value}), SEED)
    # Nothing was moved, the counter neither.
    for variable, old in zip(sac().variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_fault_01_a_users_soft_value_with_an_axis_too_many():
    agent = small_off_policy.sac(soft_value=ColumnValue())
    with pytest.raises(ConfigurationError, match=r"^ColumnValue must return V \[N\].*got \[20, 1\].*squeeze"):
        agent.update(TRANSITIONS, SEED)


@pytest.mark.parametrize("made", ["reward", "discount", "value"])
def test_fault_01_the_critics_target_itself(made):
    parts = dict(reward=TRANSITIONS.reward, discount=TRANSITIONS.discount, value=TRANSITIONS.reward)
    parts[made] = column(parts[made])
    batch = TRANSITIONS._replace(reward=parts["reward"], discount=parts["discount"])
    with pytest.raises(ConfigurationError, match=rf"{made} must be \[N\]; got \(20, 1\)"):
        CriticFit().target(batch, parts["value"], None, tf.constant(0.1), small_off_policy.ACTION)


@pytest.mark.parametrize("spec", [None, [None], [None, 1]], ids=["no rank", "no size", "a column"])
def test_fault_01_ranks_that_a_graph_does_not_know(spec):
    """A size that is not known yet is compared when the graph runs; a rank must be known before."""

    @functools.partial(tf.function, autograph=False, input_signature=[tf.TensorSpec(spec)])
    def update(reward):
        return sac().update(TRANSITIONS._replace(reward=reward), SEED)["critic_loss"]

    if spec == [None]:
        assert np.isfinite(update(TRANSITIONS.reward))
        with pytest.raises(tf.errors.InvalidArgumentError, match="must have as many rows"):
            update(TRANSITIONS.reward[:1])
    else:
        with pytest.raises(ConfigurationError, match=r"^transitions\.reward must "):
            update(TRANSITIONS.reward if spec is None else column(TRANSITIONS.reward))


FIELDS = ("observation", "action", "reward", "discount", "next_observation", "episode_end", "valid")


@pytest.mark.parametrize("wrong", [*WRONG, "[T, …]", "[B, 1, …]"])
@pytest.mark.parametrize("field", FIELDS)
def test_fault_01_training_on_a_rollout(field, wrong):
    agent, rollout = on_policy()
    made = WRONG | {"[T, …]": lambda tensor: tensor[0], "[B, 1, …]": lambda tensor: tensor[:, :1]}
    value = made[wrong](getattr(rollout, field))
    named = field
    if field == "observation" and wrong in ("[1, …]", "[B, 1, …]"):
        named = "action"
    with pytest.raises(ConfigurationError, match=rf"^rollout\.{named} must .*; got \("):
        agent.train_on_rollout(rollout._replace(**{field: value}))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ["log_prob", "pre_squash_action"])
def test_fault_01_recorded_densities(name, wrong):
    agent, rollout = on_policy(PpoAgent, squash=True)
    info = rollout.policy_info | {name: WRONG[wrong](rollout.policy_info[name])}
    with pytest.raises(ConfigurationError, match=rf"^rollout\.policy_info\['{name}'\] must .*; got \("):
        agent.train_on_rollout(rollout._replace(policy_info=info))


@pytest.mark.parametrize(
    "info", [(), {}, {"pre_squash_action": tf.zeros([4, 16, 2])}, None, np.ones(3), tf.ones([2])], ids=str
)
def test_recorded_densities_are_not_missing(info):
    agent, rollout = on_policy(PpoAgent, squash=True)
    with pytest.raises(ConfigurationError, match="policy_info must hold log_prob, pre_squash_action"):
        agent.train_on_rollout(rollout._replace(policy_info=info))


def test_a_rollout_of_float64_is_refused_by_name():
    agent, rollout = on_policy()
    with pytest.raises(ConfigurationError, match=r"rollout\.reward must be float32; got float64"):
        agent.train_on_rollout(rollout._replace(reward=rollout.reward.numpy().astype(np.float64)))


def experience(frames=2, count=5):
    """Frames of random observations, as TF-Agents' replay gives them."""
    generator = np.random.default_rng(0)

    def tensor(*shape):
        return tf.constant(generator.uniform(size=[count, frames, *shape]), tf.float32)

    step_type = tf.ones([count, frames], tf.int32)
    info = {"log_prob": tensor()}
    return trajectory.Trajectory(step_type, tensor(3), tensor(2), info, step_type, tensor(), tensor())


TRAINING = {
    "off policy": (lambda given: sac().train(given._replace(policy_info=())), 2),
    "on policy": (lambda given: on_policy()[0].train(given), 4),
    "transitions": (transitions_from_trajectory, 2),
    "rollout": (rollout_from_trajectory, 4),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", ["reward", "discount", "action", "step_type", "next_step_type"])
@pytest.mark.parametrize("train", TRAINING)
def test_fault_01_training_on_a_trajectory(train, field, wrong):
    function, frames = TRAINING[train]
    given = experience(frames)
    given = given._replace(**{field: WRONG[wrong](getattr(given, field))})
    with pytest.raises(ConfigurationError, match=rf"^experience\.{field} must .*; got \("):
        function(given)


@pytest.mark.parametrize("wrong", ["no time", "no batch", "one frame", "a single number"])
@pytest.mark.parametrize("train", TRAINING)
def test_fault_13_a_trajectory_without_a_time_axis(train, wrong):
    function, frames = TRAINING[train]
    cut = {
        "no time": lambda tensor: tensor[:, 0],
        "no batch": lambda tensor: tensor[0],
        "one frame": lambda tensor: tensor[:, :1],
        "a single number": lambda tensor: tensor[0, 0],
    }[wrong]
    with pytest.raises(ConfigurationError, match=r"^experience: must be .*\[B, T \+ 1, …\].*got .*shape \("):
        function(tf.nest.map_structure(cut, experience(frames)))


@pytest.mark.parametrize("given", [None, {}, (1, 2), "frames"], ids=str)
@pytest.mark.parametrize("train", TRAINING)
def test_what_is_no_trajectory_is_refused(train, given):
    function, _ = TRAINING[train]
    if train == "off policy":
        function = sac().train
    with pytest.raises(ConfigurationError, match=r"^experience must be a Trajectory\(step_type, .*; got "):
        function(given)


@pytest.mark.parametrize("given", [None, {}, (1, 2)], ids=str)
def test_what_is_no_transitions_and_no_rollout_is_refused(given):
    with pytest.raises(ConfigurationError, match=r"^transitions must be a Transitions\(.*; got "):
        sac().update(given, SEED)
    with pytest.raises(ConfigurationError, match=r"^rollout must be a Rollout\(.*; got "):
        on_policy()[0].train_on_rollout(given)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", TRANSITIONS._fields[:-1])
def test_fault_01_what_the_replay_stores(field, wrong):
    replay = UniformReplay(50, 3, 2)
    given = TRANSITIONS._replace(**{field: WRONG[wrong](getattr(TRANSITIONS, field))})
    with pytest.raises(ConfigurationError, match=r"^transitions\.\w+ must .*; got \("):
        replay.append(given)
    assert replay.size == 0


def test_fault_01_rows_of_the_replay():
    replay = UniformReplay(50, 3, 2)
    for rows in (tf.zeros([4, 9]), tf.zeros([10])):
        with pytest.raises(ConfigurationError, match=r"^rows must be \[N, 10\]; got "):
            replay.append_rows(rows)


def _loss(_, __):
    return tf.zeros([2])


def _fit(keeps_axis=False, **changed):
    """Regresses two numbers, of four examples."""
    variable = tf.Variable([0.0, 0.0])
    tensors = dict(inputs=tf.ones([4, 2]), targets=tf.zeros([4]), valid=tf.fill([4], True), seed=SEED)

    def predict(x):
        column = x @ variable[:, tf.newaxis]
        return column if keeps_axis else column[:, 0]

    regression = MinibatchRegression(epochs=1)
    regression.build(predict, [variable], tensors["inputs"])
    regression.fit(predict, [variable], **(tensors | changed))


def _minimize(data=None, loss=_loss, valid=None):
    adam = MinibatchAdam(epochs=1)
    variable = tf.Variable([0.0])
    adam.build([variable])
    adam.minimize(loss, [variable], data or (tf.zeros([4]),), SEED, valid)


CALLS = {
    "targets [N, 1]": (lambda: _fit(targets=tf.zeros([4, 1])), r"^targets must be \[N\]; got \(4, 1\)"),
    "targets [1]": (lambda: _fit(targets=tf.zeros([1])), r"^(valid|data and valid) must .*"),
    "predictions [N, 1]": (lambda: _fit(keeps_axis=True), r"^predict\(inputs\) must be \[N\]; got \(4, 1\)"),
    "data of two lengths": (
        lambda: _minimize((tf.zeros([2]), tf.zeros([4]))),
        r"^data and valid must be tensors \[N, …\] of the same, known N, 1 or .* got the shapes \[2\], \[4\]",
    ),
    "a mask of another length": (
        lambda: _minimize(valid=tf.fill([3], True)),
        r"^data and valid must be tensors .*got the shapes \[4\], \[3\]",
    ),
    "a loss of each example": (_minimize, r"^loss must be a scalar; got \(2,\)"),
    "a Fisher matrix's weights": (
        lambda: fisher_product(lambda x: x, tf.zeros([4]), [tf.Variable(0.0)], tf.ones([4, 1])),
        r"^weights must be \[N\]; got \(4, 1\)",
    ),
    "log densities": (
        lambda: sampled_kl(tf.zeros([4]), tf.zeros([4, 1])),
        r"^log_q must have log_p's shape \[...\] = \(4,\); got \(4, 1\)",
    ),
    "the mean of log π": (
        lambda: _learned_temperature().update(tf.zeros([4])),
        r"^mean_log_prob must be a scalar; got \(4,\)",
    ),
    "Q of one state": (
        lambda: sac().critic(np.zeros(3), np.zeros(2)),
        r"^observation must be \[N, 3\]; got \(3,\)",
    ),
    "Q of fewer actions": (
        lambda: sac().critic(np.zeros([5, 3]), np.zeros([1, 2])),
        r"^action must be \[N, 2\] with N = 5",
    ),
    "Q of fewer sets of actions": (
        lambda: sac().critic(np.zeros([5, 3]), np.zeros([1, 7, 2])),
        r"^action must be \[N, M, 2\] with N = 5",
    ),
}


def _learned_temperature():
    temperature = LearnedTemperature()
    temperature.build(2)
    return temperature


@pytest.mark.parametrize("name", CALLS)
def test_fault_01_the_parts_of_an_update(name):
    call, words = CALLS[name]
    with pytest.raises(ConfigurationError, match=words):
        call()


def test_the_right_ranks_still_train():
    assert 0.0 < sac().update(TRANSITIONS, SEED)["critic_loss"] < 10.0
    assert sac().critic(np.zeros([5, 3]), np.zeros([5, 7, 2])).shape == [5, 7, 2]
    _fit()


def test_arrays_are_transitions_too():
    arrays = tf.nest.map_structure(lambda tensor: tensor.numpy(), TRANSITIONS)
    assert np.isfinite(sac().update(arrays, np.array([1, 2], np.int32))["critic_loss"])
    lists = arrays._replace(reward=arrays.reward.astype(np.float64).tolist())
    assert np.isfinite(sac().update(lists, SEED)["critic_loss"])


@pytest.mark.parametrize("field", [*TRANSITIONS._fields, "seed"])
@pytest.mark.parametrize("wrong", [lambda x: x + 1j, lambda x: x.astype(str), lambda x: [x.tolist(), 3]])
def test_fault_13_what_is_no_array_of_real_numbers(field, wrong):
    if field == "seed":
        arguments = TRANSITIONS, wrong(SEED.numpy())
    else:
        arguments = TRANSITIONS._replace(**{field: wrong(getattr(TRANSITIONS, field).numpy())}), SEED
    with pytest.raises(ConfigurationError, match=rf"{field} must be an array of real numbers"):
        sac().update(*arguments)


def test_fault_01_densities_of_other_numbers_of_actions_are_refused():
    """Six distributions against six actions with an axis too many were 36 densities."""
    policy = tfp.distributions.MultivariateNormalDiag(tf.zeros([6, 2]), tf.ones([6, 2]))
    action = tf.reshape(tf.range(12.0), [6, 2])
    np.testing.assert_array_equal(action_log_prob(policy, action), policy.log_prob(action))
    assert action_log_prob(policy, tf.stack([action] * 3)).shape == (3, 6)  # Three samples of each.
    for wrong in (action[:, tf.newaxis], action[0], action[:1], action[:, :1]):
        with pytest.raises(ConfigurationError, match=r"^action must .*; got "):
            action_log_prob(policy, wrong)


def test_fault_01_a_normalizer_takes_observations_of_its_own_size():
    normalizer = ObservationNormalizer(small_agents.OBSERVATION)
    normalizer.update(tf.ones([8, 3]))
    for wrong in (tf.ones([2, 1]), tf.ones([2, 2]), tf.ones([4])):
        with pytest.raises(ConfigurationError, match="^observations must be .*3"):
            normalizer.update(wrong)
        with pytest.raises(ConfigurationError, match="^observation must be .*3"):
            normalizer(wrong)
    with pytest.raises(ConfigurationError, match="^valid must "):
        normalizer.update(tf.ones([8, 3]), valid=tf.ones([1], bool))
    assert float(normalizer.count) == 8.0


@pytest.mark.parametrize("size", [1, 4])
def test_fault_01_an_agent_takes_a_normalizer_of_its_own_observations(size):
    other = ObservationNormalizer(tf.TensorSpec([size], tf.float32))
    with pytest.raises(ConfigurationError, match=rf"^observation_normalizer must be of .*\[3\].*\[{size}\]"):
        small_agents.make_agent(observation_normalizer=other)
    with pytest.raises(ConfigurationError, match=r"^observation_normalizer must be of observations \[3\]"):
        small_off_policy.sac(observation_normalizer=other)


def test_fault_01_no_transitions_are_no_batch():
    agent = small_off_policy.sac()
    none = tf.nest.map_structure(lambda tensor: tensor[:0], TRANSITIONS)
    with pytest.raises(ConfigurationError, match="^transitions must hold one or more; got none"):
        agent.update(none, SEED)


def test_fault_13_a_rollout_without_steps_or_of_lists():
    agent = small_agents.make_agent()
    rollout = tf.nest.map_structure(tf.constant, small_agents.make_rollout(agent))
    for empty in (lambda tensor: tensor[:, :0], lambda tensor: tensor[:0]):
        with pytest.raises(ConfigurationError, match="^rollout must hold a step of one environment or more"):
            agent.train_on_rollout(tf.nest.map_structure(empty, rollout))
    with pytest.raises(ConfigurationError, match="^rollout.reward must be a tensor or an array; got a list"):
        agent.train_on_rollout(rollout._replace(reward=rollout.reward.numpy().tolist()))


@pytest.mark.parametrize("make", [MinibatchRegression, functools.partial(KfacRegression, jit_compile=False)])
def test_fault_13_no_examples_are_no_regression(make):
    layer = keras.layers.Dense(1)
    layer.build([None, 3])

    def predict(inputs):
        return layer(inputs)[:, 0]

    regression = make()
    regression.build(predict, layer.trainable_variables, tf.zeros([2, 3]))
    fit = tf.function(regression.fit, autograph=False)
    none = tf.zeros([0, 3]), tf.zeros([0]), tf.zeros([0], bool)
    with pytest.raises(ConfigurationError, match="1 or more|one sample or more"):
        fit(predict, layer.trainable_variables, *none, SEED)
