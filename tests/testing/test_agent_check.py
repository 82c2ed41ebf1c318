"""A broken agent does not pass, and the message says why."""

from __future__ import annotations

import functools

import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import Acting, OnPolicyAgent, PolicyUpdate, rollout_from_trajectory
from expol_tf.networks import GaussianActorNetwork, ObservationNormalizer, ValueNetwork
from expol_tf.objectives import masked_mean
from expol_tf.optimizers import MinibatchRegression
from expol_tf.testing import check_agent

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 1.0])


class PolicyGradient(PolicyUpdate):
    """A gradient step on log π·Â; the cases below break it."""

    def rate(self):
        return 0.01

    def __call__(self, objective, batch, seed):
        network, variables = objective.actor_network, objective.variables
        with tf.GradientTape() as tape:
            log_prob = network(batch.observation)[0].log_prob(tf.identity(batch.action))
            objective = masked_mean(log_prob * batch.advantage, batch.valid)
        for variable, gradient in zip(variables, tape.gradient(objective, variables), strict=True):
            variable.assign_add(self.rate() * gradient)
        return {"surrogate": objective}


class DoesNothing(PolicyGradient):
    def rate(self):
        return 0.0


class DoesNotMask(PolicyGradient):
    def __call__(self, objective, batch, seed):
        # The advantages are masked already: so is a mean over them.
        objective.variables[0].assign_add(tf.fill([2], 1e-4 * tf.reduce_mean(batch.action)))
        return super().__call__(objective, batch, seed)


class KeepsHiddenState(PolicyGradient):
    def __init__(self):
        super().__init__()
        # Not an attribute that a tf.Module would track.
        count = tf.Variable(1.0)
        self.count = lambda: count

    def rate(self):
        return 0.01 / self.count().assign_add(1.0)


class OtherRollouts(OnPolicyAgent):
    """Does something else with rollouts than with trajectories."""

    def train_on_rollout(self, rollout):
        return super().train_on_rollout(rollout._replace(reward=rollout.reward + 1.0))

    def _train(self, experience, weights=None):
        return super().train_on_rollout(rollout_from_trajectory(experience))


def make_agent(update=PolicyGradient, cls=OnPolicyAgent, seed=0):
    network = GaussianActorNetwork(OBSERVATION, ACTION, hidden_units=(4,))
    return cls(
        ts.time_step_spec(OBSERVATION),
        ACTION,
        network,
        ValueNetwork(OBSERVATION, hidden_units=(4,)),
        policy_update=update(),
        observation_normalizer=ObservationNormalizer(OBSERVATION),
        value_fit=MinibatchRegression(epochs=1, minibatch_size=8),
        acting=Acting(seed=seed, jit_compile=False),
    )


@pytest.fixture(name="run_eagerly")
def fixture_run_eagerly():
    """Building graphs takes longer than running these small agents without."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": None}, "does make_agent pass a seed"),
        ({"update": DoesNothing}, "train must change"),
        ({"update": KeepsHiddenState}, "Training twice from one checkpoint"),
        ({"cls": OtherRollouts}, "train_on_rollout must do what train does"),
        ({"update": DoesNotMask}, "must change nothing"),
    ],
)
def test_a_broken_agent_is_found(arguments, words, run_eagerly):
    with pytest.raises(AssertionError, match=words):
        check_agent(functools.partial(make_agent, **arguments))


def test_a_right_agent_passes():
    check_agent(make_agent)


def test_what_is_no_agent_is_found():
    with pytest.raises(AssertionError, match="TFAgent"):
        check_agent(lambda: None)
