"""What policies act on: anything but numbers of the right shape is refused with a sentence."""

from __future__ import annotations

import fractions
import functools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import Acting, DdpgAgent, GaussianNoise
from expol_tf.errors import ConfigurationError
from expol_tf.networks import CriticNetwork, DeterministicActorNetwork
from expol_tf.shapes import as_numbers
from expol_tf.training import export_policy, load_policy
from tests.agents import small_agents
from tests.agents import small_off_policy as small

ROW = np.zeros(3)
RAGGED = [[1.0, 2.0], [1.0]]
# What is given for observations [B, 3] → what the message says of it.
REFUSED = {
    "what reset returns": ((np.zeros([2, 3]), {}), r"got a tuple.*Give its first item alone"),
    "a tuple": ((np.zeros([2, 3]), None), "got a tuple"),
    "a dictionary": ({"observation": np.zeros([2, 3])}, "got a dict.*FlattenObservation"),
    "text": ("hello", "got a str, 'hello'"),
    "a number as text": ("1.0", "got a str"),
    "numbers as text": ([["1", "2", "3"]], "got a list"),
    "nothing": (None, "got a NoneType"),
    "an object": (np.array([[object()] * 3]), "got a ndarray"),
    "complex numbers": (np.zeros([2, 3], complex), "got a ndarray"),
    "a mask": (np.ma.masked_array(np.zeros([2, 3]), mask=True), "got a MaskedArray"),
    "rows of unequal length": (RAGGED, "got a list"),
}
WRONG_SHAPES = {
    "one": ROW,
    "a scalar": 1.0,
    "wide": np.zeros([2, 4]),
    "rank 3": np.zeros([1, 2, 3]),
    "a tensor": tf.zeros([3]),
}


@functools.cache
def agent(kind="gaussian", squash=True):
    return small_agents.make_agent(kind, squash=squash)


@functools.cache
def ddpg():
    acting = Acting(seed=0, jit_compile=False)
    return DdpgAgent(
        *small.SPECS,
        DeterministicActorNetwork(small.OBSERVATION, small.ACTION, (4,)),
        CriticNetwork(small.OBSERVATION, small.ACTION, (4,), num_critics=1),
        acting=acting,
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """An exported mixture, whose samples TFP draws by a division by the number of rows."""
    directory = tmp_path_factory.mktemp("exported")
    export_policy(agent("mixture"), directory / "policy")
    return load_policy(directory, seed=0)


@pytest.mark.parametrize("policy", ["policy", "collect_policy"])
@pytest.mark.parametrize("name", REFUSED)
def test_fault_13_act_on_what_is_no_array(name, policy):
    given, words = REFUSED[name]
    with pytest.raises(ConfigurationError, match=rf"(?s)^observation must be an array of real.*{words}"):
        getattr(agent(), policy).act(given)


@pytest.mark.parametrize("name", REFUSED)
def test_fault_13_a_loaded_policy_acts_on_what_is_no_array(name, loaded):
    given, words = REFUSED[name]
    with pytest.raises(ConfigurationError, match=rf"(?s)^observation must be an array of real.*{words}"):
        loaded.act(given)


@pytest.mark.parametrize("name", WRONG_SHAPES)
def test_fault_13_act_on_another_shape(name):
    with pytest.raises(ConfigurationError, match=r"^observation must be \[B, 3\].*observation\[np.newaxis\]"):
        agent().policy.act(WRONG_SHAPES[name])


@pytest.mark.parametrize("dtype", [tf.complex64, tf.string])
def test_a_tensor_of_no_real_numbers_is_refused(dtype):
    with pytest.raises(ConfigurationError, match=f"^observation must be real numbers.*{dtype.name}"):
        agent().policy.act(tf.cast(tf.zeros([2, 3]), dtype) if dtype.is_complex else tf.fill([2, 3], "a"))


@pytest.mark.parametrize(
    "given",
    [
        [[0.5, 0.0, -1.0]],
        ((0.5, 0.0, -1.0),),
        np.array([[0.5, 0.0, -1.0]], np.float16),
        [[fractions.Fraction(1, 2), 0, -1]],
    ],
    ids=["a list", "a tuple", "float16", "fractions"],
)
def test_numbers_of_any_kind_are_taken(given, loaded):
    expected, _ = agent().policy.act(np.array([[0.5, 0.0, -1.0]], np.float32))
    np.testing.assert_allclose(agent().policy.act(given)[0], expected)
    assert loaded.act(given, deterministic=True).shape == (1, 2)


def test_integers_beyond_64_bits_are_numbers():
    np.testing.assert_array_equal(as_numbers("x", [2**70, 1], ""), [2.0**70, 1.0])


def test_lists_of_other_numbers_are_not_traced_anew():
    policy = small_agents.make_agent(seed=1).policy
    for value in range(5):
        policy.act([[float(value), 0.0, 0.0]])
    assert policy._compiled_act.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("deterministic", [False, True])
def test_fault_12_a_loaded_policy_acts_on_zero_rows(deterministic, loaded):
    assert loaded.act(np.zeros([0, 3]), deterministic).shape == (0, 2)
    assert loaded.act(np.zeros([2, 3]), deterministic).shape == (2, 2)


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "flow"])
@pytest.mark.parametrize("policy", ["policy", "collect_policy"])
def test_fault_12_act_on_zero_rows(policy, kind):
    policy = getattr(agent(kind), policy)
    action, info = policy.act(np.zeros([0, 3]))
    assert action.shape == (0, 2) and action.dtype == tf.float32
    expected = policy.act(np.zeros([1, 3]))[1]
    tf.nest.assert_same_structure(info, expected)
    for some, one in zip(tf.nest.flatten(info), tf.nest.flatten(expected), strict=True):
        assert some.shape == (0, *one.shape[1:])


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "flow"])
def test_fault_12_a_policy_of_tf_agents_acts_on_zero_rows(kind):
    policy = agent(kind).collect_policy
    step = policy.action(ts.restart(tf.zeros([0, 3]), 0))
    assert step.action.shape == (0, 2)
    tf.nest.assert_same_structure(step.info, policy.action(ts.restart(tf.zeros([1, 3]), 1)).info)
    assert policy.sampled_action(np.zeros([0, 3]), tf.constant([1, 2])).shape == (0, 2)


def test_fault_12_a_policy_with_a_state_acts_on_zero_rows():
    policy = ddpg().collect_policy
    action, info, state = policy.act(np.zeros([0, 3]), policy.get_initial_state(0))
    assert action.shape == (0, 2) and info == () and state.shape == (0, 2)


OBSERVATION = np.zeros([2, 3], np.float32)
# What is given as the state of two environments.
STATES = {
    "no state": (),
    "None": None,
    "another structure": {"noise": tf.zeros([2, 2])},
    "the state of three": tf.zeros([3, 2]),
    "the state of one": tf.zeros([1, 2]),
    "a state of another size": tf.zeros([2, 5]),
    "a vector": tf.zeros([2]),
}


@pytest.mark.parametrize("name", STATES)
def test_fault_13_the_collect_policy_of_ddpg_without_its_state(name):
    policy = ddpg().collect_policy
    with pytest.raises(ConfigurationError, match=r"^policy_state must .*; got "):
        policy.act(OBSERVATION, STATES[name])
    with pytest.raises(ConfigurationError, match=r"^policy_state must be the state .*get_initial_state"):
        policy.act(OBSERVATION)


# Another structure TF-Agents itself refuses.
@pytest.mark.parametrize("name", sorted(STATES.keys() - {"another structure"}))
def test_fault_13_a_driver_without_the_state(name):
    policy, step = ddpg().collect_policy, ts.restart(tf.constant(OBSERVATION), batch_size=2)
    with pytest.raises(ConfigurationError, match=r"^policy_state must .*; got "):
        policy.action(step, STATES[name])


def test_fault_13_a_state_for_a_policy_that_has_none():
    """It would be ignored."""
    agent = small.sac(acting=Acting(exploration=GaussianNoise(), seed=0, jit_compile=False))
    for policy in (agent.policy, agent.collect_policy):
        with pytest.raises(
            ConfigurationError, match=r"^policy_state must be \(\), as this policy has no sta"
        ):
            policy.act(OBSERVATION, tf.zeros([2, 2]))


def test_the_state_as_it_should_be():
    policy = ddpg().collect_policy
    action, _, state = policy.act(OBSERVATION, policy.get_initial_state(2))
    assert policy.act(OBSERVATION, state)[0].shape == action.shape == (2, 2)


@pytest.mark.parametrize("seed", [1, [1, 2, 3], tf.zeros([2])], ids=["a number", "three", "floats"])
def test_a_seed_is_two_integers(seed):
    with pytest.raises(ConfigurationError, match="^seed must "):
        agent().policy.sampled_action(OBSERVATION, seed)
