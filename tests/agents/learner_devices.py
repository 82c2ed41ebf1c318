"""Checks of TF-Agents' Learner over two logical CPU devices; a program as `two_devices` is."""

from __future__ import annotations

import functools
import sys
import tempfile

import numpy as np
import tensorflow as tf
from tf_agents.train import learner, ppo_learner
from tf_agents.trajectories import trajectory

from expol_tf.agents import (
    CriticFit,
    DeterministicImprovement,
    PpoAgent,
    ReparameterizedImprovement,
    TargetUpdate,
    TrpoAgent,
)
from expol_tf.keras_api import keras
from expol_tf.optimizers import Adam
from tests.agents import small_off_policy as small
from tests.agents.small_agents import make_agent
from tests.agents.two_devices import copies, main, refuses, strategy

BATCH, STEPS = 20, 3


def experience(seed):
    """Sequences of two frames `[B, 2, …]`, a few of which are boundaries between episodes."""
    generator = np.random.default_rng(seed)

    def draw(*shape):
        return generator.normal(size=[BATCH, 2, *shape]).astype(np.float32)

    step_type = np.where(generator.uniform(size=[BATCH, 2]) < 0.2, 2, 1).astype(np.int32)
    discount = (generator.uniform(size=[BATCH, 2]) < 0.8).astype(np.float32)
    frames = trajectory.Trajectory(
        step_type, draw(3), draw(2), (), np.ones([BATCH, 2], np.int32), draw(), discount
    )
    return tf.nest.map_structure(tf.constant, frames)


def dataset(replicas):
    """The same batches for each number of replicas: R of them are given 1/R of a batch each, in order."""
    batches = [experience(seed) for seed in range(STEPS + 1)]
    parts = [
        tf.nest.map_structure(lambda each, i=i: tf.split(each, replicas)[i], batch)
        for batch in batches
        for i in range(replicas)
    ]
    stacked = tf.nest.map_structure(lambda *each: tf.stack(each), *parts)
    return tf.data.Dataset.from_tensor_slices((stacked, tf.zeros([len(parts)])))


def learn(make, over=None, iterations=STEPS):
    """Makes an agent and has a Learner train it; returns the agent and what the Learner returned last."""
    scope = (over or tf.distribute.get_strategy()).scope()
    with scope, tempfile.TemporaryDirectory() as directory:
        agent = make()
        trainer = learner.Learner(
            directory,
            agent.train_step_counter,
            agent,
            experience_dataset_fn=lambda: dataset(2 if over else 1),
            strategy=over,
            checkpoint_interval=1000,
            summary_interval=0,
        )
        info = [trainer.run(iterations=count) for count in (1, iterations - 1)]
        return agent, info[-1]


def linear(**settings):
    keras.utils.set_random_seed(0)
    return small.linear_agent(
        improvement=DeterministicImprovement(optimizer=Adam(3e-2)),
        critic_fit=CriticFit(optimizer=Adam(3e-2), target_update=TargetUpdate(0.1)),
        **settings,
    )


def with_keras_optimizers(make_optimizer):
    return small.linear_agent(
        improvement=DeterministicImprovement(optimizer=make_optimizer()),
        critic_fit=CriticFit(optimizer=make_optimizer(), target_update=TargetUpdate(0.1)),
    )


def check_same(make):
    one, expected = learn(make)
    two, found = learn(make, strategy())
    assert one.train_step_counter.numpy() == two.train_step_counter.numpy() == STEPS
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5, atol=1e-6)
    for name, value in expected.extra.items():
        np.testing.assert_allclose(found.extra[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    moved = 0.0
    for network in ("actor_network", "critic_network"):
        start = getattr(make(), network).variables
        pairs = zip(getattr(one, network).variables, getattr(two, network).variables, start, strict=True)
        for single, mirrored, first in pairs:
            moved = max(moved, float(np.max(np.abs(single.numpy() - first.numpy()))))
            for copy in copies(mirrored):
                np.testing.assert_allclose(copy, single.numpy(), rtol=0, atol=2e-6, err_msg=single.name)
    assert moved > 1e-2


def an_update_equals_one_devices():
    check_same(linear)


def an_update_equals_one_devices_with_a_keras_optimizer():
    check_same(functools.partial(with_keras_optimizers, functools.partial(keras.optimizers.SGD, 0.05, 0.9)))


def an_update_equals_one_devices_with_an_older_keras_optimizer():
    make = functools.partial(with_keras_optimizers, functools.partial(keras.optimizers.legacy.Adam, 0.03))
    check_same(make)


def sac_learns_with_one_noise():
    """The noise is that of one device, as is the whole batch that it is drawn for, but for its division."""
    agent, info = learn(
        lambda: small.sac(improvement=ReparameterizedImprovement(optimizer=Adam(1e-2))), strategy()
    )
    assert all(np.isfinite(value) for value in (info.loss, *info.extra.values()))
    for variable in agent.variables:
        first, *others = copies(variable)
        for other in others:
            np.testing.assert_array_equal(first, other, err_msg=variable.name)


def adam_keeps_constraints_in_replicas():
    mask = tf.constant([[1.0, 0.0]])
    with strategy().scope():
        variable = tf.Variable([[1.0, 0.0]], constraint=lambda x: x * mask)
        adam = Adam(0.1)
        adam.build([variable])
    with strategy().scope():
        tf.function(lambda: adam.apply_gradients([(tf.ones([1, 2]), variable)]), autograph=False)()
    for copy in copies(variable):
        np.testing.assert_allclose(copy, [[0.9, 0.0]], rtol=1e-5)


def an_agent_of_no_scope_is_refused():
    agent = small.sac()

    def run():
        @tf.function(autograph=False)
        def train():
            return strategy().run(agent.train, args=(experience(0),))

        train()

    refuses(("SacAgent", "with strategy.scope"), run)


def on_policy_agents_are_refused():
    for cls in (TrpoAgent, PpoAgent):
        with strategy().scope():
            agent = make_agent(cls=cls)

            def run(agent=agent):
                strategy().run(lambda: agent.train(None))

            refuses((cls.__name__, "OnPolicyRunner", "Learner(strategy=…)"), run)


def ppo_learner_is_refused():
    for make, fits in (
        (lambda: make_agent(cls=PpoAgent), "OnPolicyRunner"),
        (lambda: make_agent(cls=TrpoAgent), "OnPolicyRunner"),
        (small.sac, "tf_agents.train.learner.Learner"),
    ):
        for minibatch in (None, 16):
            with tempfile.TemporaryDirectory() as directory:
                agent = make()

                def run(agent=agent, minibatch=minibatch, directory=directory):
                    ppo_learner.PPOLearner(
                        directory,
                        agent.train_step_counter,
                        agent,
                        experience_dataset_fn=lambda: dataset(1),
                        normalization_dataset_fn=lambda: dataset(1),
                        num_samples=1,
                        num_epochs=1,
                        minibatch_size=minibatch,
                        shuffle_buffer_size=10,
                    )

                refuses(("PPOLearner", fits), run)


CHECKS = (
    an_update_equals_one_devices,
    an_update_equals_one_devices_with_a_keras_optimizer,
    an_update_equals_one_devices_with_an_older_keras_optimizer,
    sac_learns_with_one_noise,
    adam_keeps_constraints_in_replicas,
    an_agent_of_no_scope_is_refused,
    on_policy_agents_are_refused,
    ppo_learner_is_refused,
)

if __name__ == "__main__":
    main(sys.argv[1:], CHECKS)
