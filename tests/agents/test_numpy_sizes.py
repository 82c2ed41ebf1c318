"""Sizes and counts as NumPy's integers, which no Python `int` is."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    Acting,
    DiscriminatorFit,
    ExpectedValue,
    LangevinParticles,
    LogSumExpValue,
    MatchingImprovement,
    ReparameterizedImprovement,
    S2acAgent,
    SacAgent,
    SteinImprovement,
    SvgdImprovement,
    TargetUpdate,
    TrpoAgent,
    ValueInParts,
)
from expol_tf.argument_types import plain
from expol_tf.configurable import configurable
from expol_tf.distributions import SteinSampler
from expol_tf.environments import load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    DiscriminatorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    MixtureActorNetwork,
    NoisyActorNetwork,
    SamplingActorNetwork,
    ValueNetwork,
)
from expol_tf.optimizers import MinibatchAdam, MinibatchRegression, TrustRegion
from expol_tf.random import as_seed
from expol_tf.training import OffPolicyRunner, OnPolicyRunner, UniformReplay
from tests.agents import small_agents
from tests.agents import small_off_policy as small

two, three = np.int64(2), np.int32(3)
UNITS = (np.int64(4), np.int32(4))
SPECS = small.OBSERVATION, small.ACTION

MADE = {
    "GaussianActorNetwork": lambda: GaussianActorNetwork(*SPECS, UNITS),
    "MixtureActorNetwork": lambda: MixtureActorNetwork(*SPECS, num_components=two, hidden_units=UNITS),
    "FlowActorNetwork": lambda: FlowActorNetwork(*SPECS, num_transformations=np.int64(1), hidden_units=UNITS),
    "SamplingActorNetwork": lambda: SamplingActorNetwork(*SPECS, UNITS, noise_size=two, num_noises=three),
    "DeterministicActorNetwork": lambda: DeterministicActorNetwork(*SPECS, UNITS),
    "NoisyActorNetwork": lambda: NoisyActorNetwork(*SPECS, UNITS),
    "CriticNetwork": lambda: CriticNetwork(*SPECS, UNITS, num_critics=two),
    "ValueNetwork": lambda: ValueNetwork(small.OBSERVATION, list(UNITS)),
    "DiscriminatorNetwork": lambda: DiscriminatorNetwork(*SPECS, UNITS),
    "TargetUpdate": lambda: TargetUpdate(0.5, two),
    "DiscriminatorFit": lambda: DiscriminatorFit(num_steps=two),
    "LangevinParticles": lambda: LangevinParticles(num_steps=two),
    "MatchingImprovement": lambda: MatchingImprovement(particles=LangevinParticles(num_steps=two)),
    "LogSumExpValue": lambda: LogSumExpValue(num_samples=two),
    "ExpectedValue": lambda: ExpectedValue(num_samples=two),
    "ValueInParts": lambda: ValueInParts(ExpectedValue(), two),
    "ReparameterizedImprovement": lambda: ReparameterizedImprovement(num_samples=two),
    "SvgdImprovement": lambda: SvgdImprovement(num_particles=two),
    "SteinSampler": lambda: SteinSampler(three, two),
    "MinibatchAdam": lambda: MinibatchAdam(epochs=two, minibatch_size=three),
    "MinibatchRegression": lambda: MinibatchRegression(epochs=two, minibatch_size=three),
    "TrustRegion": lambda: TrustRegion(cg_iterations=two, max_backtracks=three),
    "Acting": lambda: Acting(seed=three),
    "UniformReplay": lambda: UniformReplay(three, three, two),
    "load_vector": lambda: load_vector("expol/GaussianBandit-v0", two, three),
    "as_seed": lambda: as_seed(three),
}


@pytest.mark.parametrize("name", MADE)
def test_fault_13_numpys_integers_are_sizes(name):
    MADE[name]()


def test_fault_13_the_steps_of_a_stein_policy():
    """They are compared with TensorFlow's int32."""
    agent = S2acAgent(
        *small.SPECS,
        GaussianActorNetwork(*SPECS, UNITS, squash=True),
        CriticNetwork(*SPECS, UNITS, activation="elu"),
        improvement=SteinImprovement(SteinSampler(three, two, step_limit=None), batch_parts=two),
        acting=Acting(seed=three, jit_compile=False),
    )
    transitions = small.as_tensors(small.make_transitions())
    assert np.isfinite(agent.update(transitions, tf.constant([1, 2]))["critic_loss"])


def networks_of(env, values):
    specs = env.observation_spec, env.action_spec
    values_specs = specs if values is CriticNetwork else specs[:1]
    actor = GaussianActorNetwork(*specs, UNITS, squash=True)
    return ts.time_step_spec(specs[0]), specs[1], actor, values(*values_specs, UNITS)


def test_fault_13_the_runners():
    env = load_vector("expol/GaussianBandit-v0", two, three)
    acting = Acting(seed=three, jit_compile=False)
    agent = SacAgent(*networks_of(env, CriticNetwork), acting=acting)
    runner = OffPolicyRunner(
        env,
        agent,
        replay_capacity=np.int64(100),
        batch_size=two,
        updates_per_step=np.float32(0.5),
        warm_up_steps=two,
        iteration_steps=np.int64(4),
        seed=three,
    )
    assert runner.iterate().env_steps == 4
    agent = TrpoAgent(*networks_of(env, ValueNetwork), acting=acting)
    assert OnPolicyRunner(env, agent, iteration_steps=np.int64(4)).iteration_steps == 4


def test_an_agent_of_numpys_integers_trains():
    fit = MinibatchRegression(epochs=two, minibatch_size=np.int64(16))
    agent = small_agents.make_agent(seed=np.int64(0), value_fit=fit)
    rollout = tf.nest.map_structure(tf.constant, small_agents.make_rollout(agent))
    assert np.isfinite(agent.train_on_rollout(rollout).loss)


def test_one_array_of_sizes_is_refused_with_the_remedy():
    with pytest.raises(ConfigurationError, match=r"sequence of int; got array.* Write \(4, 8\)\."):
        GaussianActorNetwork(*SPECS, np.array([4, 8]))


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (np.int64(3), int),
        (np.float32(0.5), float | None),
        (np.bool_(True), bool),
        ((np.int64(3), 4), tuple[int, ...]),
        ([np.int64(3)], list),
    ],
)
def test_functions_are_given_pythons_numbers(value, hint):
    found = plain(value, hint)
    assert found == value and type(found).__module__ == "builtins"
    assert not any(
        isinstance(item, np.generic) for item in (found if isinstance(found, list | tuple) else ())
    )


def test_what_is_no_number_by_its_type_stays():
    assert type(plain(np.float32(1.0), tf.Tensor)) is np.float32


def test_calls_pass_all_arguments_on():
    @configurable
    def function_of_sizes(first: int, *rest: int, last: int = 0):
        return first, rest, last

    assert function_of_sizes(np.int64(1), 2, 3, last=np.int64(4)) == (1, (2, 3), 4)
    assert type(function_of_sizes(np.int64(1))[0]) is int
    with pytest.raises(TypeError):
        function_of_sizes(1, first=2)
