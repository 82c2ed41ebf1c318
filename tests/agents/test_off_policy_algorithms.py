"""Every off-policy algorithm improves every policy class that it accepts, and refuses the others by name."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    Acting,
    CriticFit,
    DdpgAgent,
    DeterministicImprovement,
    FixedTemperature,
    LearnedTemperature,
    LogSumExpValue,
    ReparameterizedImprovement,
    SacAgent,
    SqlAgent,
    SvgdImprovement,
    TargetUpdate,
    Transitions,
    TrpoAgent,
)
from expol_tf.bijectors import AffineConditioner
from expol_tf.errors import CapabilityError
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    LogStd,
    MixtureActorNetwork,
    SamplingActorNetwork,
    ValueNetwork,
)
from expol_tf.optimizers import Adam
from expol_tf.training.runners import off_policy_runner

OBSERVATION = tensor_spec.TensorSpec([2], tf.float32, "observation")
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, [-1.0, 0.0], [1.0, 4.0], "action")
SPECS = ts.time_step_spec(OBSERVATION), ACTION
BEST = np.array([0.5, 1.0], np.float32)
HALF = np.array([1.0, 2.0], np.float32)
COUNT = 128

POLICIES = {
    "gaussian": functools.partial(GaussianActorNetwork, squash=True, log_std=LogStd(state_dependent=True)),
    "mixture": functools.partial(MixtureActorNetwork, squash=True),
    "flow": functools.partial(
        FlowActorNetwork,
        num_transformations=1,
        squash=True,
        condition_on_observation=True,
        conditioner=functools.partial(AffineConditioner, units=(3,)),
    ),
    "sampling": SamplingActorNetwork,
    "deterministic": DeterministicActorNetwork,
}
# Name: (agent, its improvement without optimizer, how its targets follow).
ALGORITHMS = {
    "sac": (
        functools.partial(SacAgent, temperature=FixedTemperature(0.02)),
        ReparameterizedImprovement,
        None,
    ),
    "sql": (
        functools.partial(
            SqlAgent, temperature=FixedTemperature(0.02), soft_value=LogSumExpValue(num_samples=10)
        ),
        functools.partial(SvgdImprovement, num_particles=4),
        TargetUpdate(0.01),
    ),
    "ddpg": (DdpgAgent, DeterministicImprovement, None),
}
OWN_METRICS = {"sac": {"entropy"}, "sql": {"particle_spread"}, "ddpg": set()}
REFUSED = {("sac", "sampling"), ("sac", "deterministic")}
QUICK = {("sac", "gaussian"), ("sac", "flow"), ("sql", "sampling"), ("ddpg", "deterministic")}


def make_agent(algorithm, policy):
    keras.utils.set_random_seed(0)
    make, improvement, target_update = ALGORITHMS[algorithm]
    return make(
        *SPECS,
        POLICIES[policy](OBSERVATION, ACTION, hidden_units=(16,)),
        CriticNetwork(OBSERVATION, ACTION, (32,)),
        # Slower than the critics, whose first guesses would drive the squash into saturation.
        improvement=improvement(optimizer=Adam(0.004)),
        critic_fit=CriticFit(Adam(0.01), target_update=target_update),
        acting=Acting(seed=0, jit_compile=False),
    )


def make_transitions():
    """Single steps whose reward is the negative squared distance, in half-widths, from the best action."""
    generator = np.random.default_rng(0)
    action = generator.uniform([-1, 0], [1, 4], size=[COUNT, 2]).astype(np.float32)
    observation = generator.normal(size=[COUNT, 2]).astype(np.float32)
    return Transitions(
        tf.constant(observation),
        tf.constant(action),
        tf.constant(-np.square((action - BEST) / HALF).sum(axis=1)),
        tf.zeros([COUNT]),
        tf.constant(observation),
    )


@pytest.mark.parametrize(
    ("algorithm", "policy"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in ((algorithm, policy) for algorithm in ALGORITHMS for policy in POLICIES)
        if case not in REFUSED
    ],
)
def test_learns_the_best_action(algorithm, policy):
    agent, transitions = make_agent(algorithm, policy), make_transitions()
    columns = []

    @tf.function(autograph=False)
    def train():
        def step(i):
            columns.append(sorted(agent.update(transitions, tf.stack([5, i]))))
            return (i + 1,)

        return tf.while_loop(lambda i: i < 500, step, [0], parallel_iterations=1)

    def distance():
        greedy = agent.policy.act(transitions.observation)[0].numpy()
        return np.mean(np.abs(greedy - BEST) / HALF)

    before = distance()
    train()
    # Samples of a broad policy that only Q moves narrow before they centre.
    share = 0.5 if (algorithm, policy) in QUICK else 0.8
    assert distance() < share * before
    common = set(off_policy_runner.ALGORITHM_COLUMNS) - {"entropy"}
    assert set(columns[0]) == common | OWN_METRICS[algorithm]


@pytest.mark.parametrize(("algorithm", "policy"), sorted(REFUSED))
def test_refuses_what_it_cannot_train(algorithm, policy):
    with pytest.raises(CapabilityError, match="SqlAgent"):
        make_agent(algorithm, policy)


@pytest.mark.parametrize("policy", ["sampling", "deterministic"])
def test_on_policy_agents_refuse_policies_without_density(policy):
    actor = POLICIES[policy](OBSERVATION, ACTION, hidden_units=(4,))
    with pytest.raises(CapabilityError, match="log_prob"):
        TrpoAgent(*SPECS, actor, ValueNetwork(OBSERVATION, hidden_units=(4,)))


def test_a_learned_temperature_keeps_the_entropy_at_its_target():
    keras.utils.set_random_seed(0)
    temperature = LearnedTemperature(0.3, target_entropy=0.5, optimizer=Adam(0.01))
    agent = SacAgent(
        *SPECS,
        POLICIES["gaussian"](OBSERVATION, ACTION, hidden_units=(16,)),
        CriticNetwork(OBSERVATION, ACTION, (32,)),
        temperature=temperature,
        improvement=ReparameterizedImprovement(optimizer=Adam(0.01)),
        critic_fit=CriticFit(Adam(0.01)),
        acting=Acting(seed=0, jit_compile=False),
    )
    transitions = make_transitions()

    @tf.function(autograph=False)
    def train():
        def step(i, total):
            entropy = agent.update(transitions, tf.stack([5, i]))["entropy"]
            return i + 1, total + tf.where(i >= 500, entropy, 0.0)

        return tf.while_loop(lambda i, _: i < 700, step, (0, 0.0), parallel_iterations=1)[1] / 200

    # The widest, a uniform one, has 2 log 2 = 1.39 nats.
    assert float(train()) == pytest.approx(0.5, abs=0.1)
