"""Small agents and rollouts for the agents' tests."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import Acting, PolicyBatch, PolicyObjective, Rollout, TrpoAgent, policy_checks
from expol_tf.bijectors import AffineConditioner
from expol_tf.distributions import sample_action
from expol_tf.keras_api import keras
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork, MixtureActorNetwork, ValueNetwork
from expol_tf.optimizers import MinibatchRegression

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32, "observation")

NETWORKS = {
    "gaussian": GaussianActorNetwork,
    "mixture": MixtureActorNetwork,
    # Narrow, and one transformation, because tracing a flow is what takes the time here.
    "flow": functools.partial(
        FlowActorNetwork, num_transformations=1, conditioner=functools.partial(AffineConditioner, units=(3,))
    ),
}


def box(low=-1.0, high=1.0, size=2):
    return tensor_spec.BoundedTensorSpec([size], tf.float32, low, high, "action")


def make_actor(kind="gaussian", *, observation=OBSERVATION, action=None, squash=False, seed=0):
    """Returns an actor network with initial weights that depend on the seed alone."""
    keras.utils.set_random_seed(seed)
    return NETWORKS[kind](observation, action or box(), hidden_units=[4], squash=squash)


def make_agent(
    kind="gaussian",
    *,
    observation=OBSERVATION,
    action=None,
    squash=False,
    seed=0,
    cls=TrpoAgent,
    **settings,
):
    """Returns a `TrpoAgent` (or `cls`) over small networks, without XLA unless asked for."""
    actor = settings.pop("actor_network", None)
    if actor is None:
        actor = make_actor(kind, observation=observation, action=action, squash=squash, seed=seed or 0)
    keras.utils.set_random_seed((seed or 0) + 1)
    value = settings.pop("value_network", None) or ValueNetwork(observation, hidden_units=[4])
    settings.setdefault("value_fit", MinibatchRegression(epochs=1, minibatch_size=32))
    settings.setdefault("acting", Acting(seed=seed, jit_compile=settings.pop("jit_compile", False)))
    specs = ts.time_step_spec(observation), action or box()
    return cls(*specs, actor, value, **settings)


def make_rollout(agent, batch=4, time=16, seed=0, end_probability=0.2):
    """Returns transitions with the agent's actions, both kinds of episode end and frames between episodes.

    Good actions have a first component near the first of the observation, in units of the box.
    """
    generator = np.random.default_rng(seed)
    spec = agent.time_step_spec.observation
    observation = generator.normal(size=(batch, time + 1, *spec.shape)).astype(np.float32)
    end = generator.uniform(size=(batch, time)) < end_probability
    terminated = end & (generator.uniform(size=(batch, time)) < 0.5)
    boundary = np.zeros((batch, time), bool)
    boundary[:, 1:] = end[:, :-1]
    end &= ~boundary
    action, info = agent.collect_policy.act(observation[:, :-1].reshape(-1, *spec.shape))
    low, high = agent.action_spec.minimum, agent.action_spec.maximum
    unit = (action.numpy() - (high + low) / 2) / ((high - low) / 2)
    reward = 1.0 - np.square(unit[:, 0] - observation[:, :-1, 0].reshape(-1))

    def unmerge(values):
        return np.array(values).reshape(batch, time, *values.shape[1:])

    return Rollout(
        observation=observation[:, :-1],
        action=unmerge(action),
        reward=np.where(boundary, 0.0, unmerge(reward)).astype(np.float32),
        discount=np.where(terminated & end, 0.0, 1.0).astype(np.float32),
        next_observation=observation[:, 1:].copy(),
        episode_end=end,
        valid=~boundary,
        policy_info={name: unmerge(values) for name, values in info.items()},
    )


def make_batch(actor, count=400, advantage=None, seed=0):
    """Returns transitions of a policy at random observations, nine of ten of them valid."""
    generator = np.random.default_rng(seed)
    observation = tf.constant(generator.normal(size=(count, 3)), tf.float32)
    sample = sample_action(actor(observation)[0], [seed, 1])
    if advantage is None:
        advantage = generator.normal(size=count)
    return PolicyBatch(
        observation,
        sample.action,
        sample.pre_squash_action,
        sample.log_prob,
        tf.constant(advantage, tf.float32),
        tf.constant(generator.uniform(size=count) < 0.9),
    )


def built(update, actor, *objective):
    """Builds a policy update for a policy, and returns it as a function of a batch and a seed.

    Its keyword `entropy_scale` is that of the batch's advantages.
    """
    objective = PolicyObjective(actor, *objective)
    update.build(objective, jit_compile=False)

    def run(batch, seed, entropy_scale=1.0):
        return update(objective.scaled(entropy_scale), batch, seed)

    return run


def perturb(network, scale=0.3, seed=0):
    """Moves all weights away from their initial values, where flows are nearly Gaussian."""
    generator = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        variable.assign_add(generator.normal(0.0, scale, variable.shape).astype(np.float32))


def only_ours(monkeypatch):
    """Hides agents that other test modules derived, so that a refusal does not name them."""
    all_agents = policy_checks._all_agents

    def ours(base):
        return [agent for agent in all_agents(base) if agent.__module__.startswith("expol_tf.")]

    monkeypatch.setattr(policy_checks, "_all_agents", ours)


def values_of(variables):
    """Returns copies of variables as arrays."""
    return [variable.numpy() for variable in variables]


def set_values(variables, values):
    """Sets variables to arrays from `values_of`."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
