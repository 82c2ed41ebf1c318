"""Small off-policy agents and transitions for the agents' tests."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    Acting,
    ActorCriticAgent,
    CriticFit,
    DeterministicImprovement,
    DeterministicValue,
    FixedTemperature,
    SacAgent,
    Transitions,
)
from expol_tf.agents.settings import with_defaults
from expol_tf.distributions import PointMass
from expol_tf.networks import CriticNetwork, GaussianActorNetwork

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32, "observation")
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, [-1.0, 0.0], [1.0, 4.0], "action")
SPECS = ts.time_step_spec(OBSERVATION), ACTION


class LinearActor(network.Network):
    """a = W s."""

    def __init__(self, name="LinearActor"):
        super().__init__(OBSERVATION, state_spec=(), name=name)
        self.weights_ = tf.Variable(0.1 * np.random.default_rng(0).normal(size=[3, 2]), dtype=tf.float32)

    def call(self, observation, step_type=None, network_state=(), training=False):
        return PointMass(observation @ self.weights_), network_state


class QuadraticCritic(network.Network):
    """Q_c = w_c·s + v_c·a − |a|²."""

    def __init__(self, name="QuadraticCritic"):
        super().__init__((OBSERVATION, ACTION), state_spec=(), name=name)
        self.weights_ = tf.Variable(np.random.default_rng(1).normal(size=[5, 2]), dtype=tf.float32)

    def call(self, inputs, step_type=None, network_state=(), training=False):
        linear = tf.concat(inputs, axis=-1) @ self.weights_
        return linear - tf.reduce_sum(tf.square(inputs[1]), axis=-1, keepdims=True), network_state


def make_transitions(count=20, seed=0):
    generator = np.random.default_rng(seed)
    return Transitions(
        observation=generator.normal(size=[count, 3]).astype(np.float32),
        action=generator.uniform(-1, 1, size=[count, 2]).astype(np.float32),
        reward=generator.normal(size=count).astype(np.float32),
        discount=(generator.uniform(size=count) < 0.7).astype(np.float32),
        next_observation=generator.normal(size=[count, 3]).astype(np.float32),
        valid=generator.uniform(size=count) < 0.8,
    )


def as_tensors(transitions):
    return tf.nest.map_structure(tf.constant, transitions)


def linear_agent(**settings):
    return ActorCriticAgent(
        *SPECS,
        LinearActor(),
        QuadraticCritic(),
        soft_value=DeterministicValue(),
        improvement=settings.pop("improvement", DeterministicImprovement()),
        temperature=FixedTemperature(0.0),
        critic_fit=with_defaults(settings.pop("critic_fit", CriticFit()), target_actor=True),
        acting=settings.pop("acting", Acting(seed=0, jit_compile=False)),
        **settings,
    )


def sac(actor=None, critic=None, **settings):
    actor = actor or GaussianActorNetwork(OBSERVATION, ACTION, (4,), squash=True)
    critic = critic or CriticNetwork(OBSERVATION, ACTION, (4,))
    return SacAgent(*SPECS, actor, critic, **{"acting": Acting(seed=0, jit_compile=False), **settings})
