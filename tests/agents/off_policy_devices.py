"""Checks of off-policy learners over two logical CPU devices; a program as `two_devices` is."""

from __future__ import annotations

import contextlib
import functools
import sys

import numpy as np
import tensorflow as tf

from expol_tf.agents import (
    Acting,
    AmortizedPolicy,
    CriticFit,
    DeterministicImprovement,
    DeterministicValue,
    DiscriminatorFit,
    FixedTemperature,
    LangevinParticles,
    LearnedTemperature,
    MatchingImprovement,
    NbpAgent,
    ParpiAgent,
    ReparameterizedImprovement,
    S2acAgent,
    SacAgent,
    SteinImprovement,
    TargetUpdate,
)
from expol_tf.distributions import SteinSampler
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    DiscriminatorNetwork,
    FixedGaussianActorNetwork,
    GaussianActorNetwork,
    NoisyActorNetwork,
    ObservationNormalizer,
    SamplingActorNetwork,
)
from expol_tf.objectives import jsd, langevin_particles
from expol_tf.optimizers import Adam
from expol_tf.samplers import langevin
from tests.agents import small_off_policy as small
from tests.agents.two_devices import copies, main, refuses, strategy

ACTING = Acting(seed=0, jit_compile=False)


def assert_same(one, two, tolerance):
    pairs = zip(one.variables, two.variables, strict=True)
    for single, mirrored in pairs:
        for copy in copies(mirrored):
            np.testing.assert_allclose(copy, single.numpy(), rtol=0, atol=tolerance, err_msg=single.name)


def check_same_updates(make, random=()):
    """An agent without randomness, but in some metrics, is on two devices what it is on one."""
    one = make()
    with strategy().scope():
        two = make()
        update_two = tf.function(two.update, autograph=False)
    update_one = tf.function(one.update, autograph=False)
    for i in range(4):
        # 21 transitions, some of them masked, which two do not divide.
        batch, seed = small.as_tensors(small.make_transitions(21, seed=i)), tf.constant([0, i])
        expected = update_one(batch, seed)
        # Also outside of the scope.
        with contextlib.nullcontext() if i % 2 else strategy().scope():
            found = update_two(batch, seed)
        assert list(expected) == list(found)
        for name in expected.keys() - set(random):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
        assert_same(one, two, 1e-5)


def same_updates():
    check_same_updates(
        lambda: small.linear_agent(
            critic_fit=CriticFit(Adam(0.03, max_gradient_norm=1.0), target_update=TargetUpdate(0.1)),
            improvement=DeterministicImprovement(optimizer=Adam(0.03)),
            observation_normalizer=ObservationNormalizer(small.OBSERVATION),
        )
    )


def same_updates_with_hard_targets():
    check_same_updates(
        lambda: small.linear_agent(critic_fit=CriticFit(target_update=TargetUpdate(1.0, period=2)))
    )


def same_updates_with_keras_optimizers():
    def make():
        optimizers = [keras.optimizers.Adam(0.03) for _ in range(2)]
        return small.linear_agent(
            improvement=DeterministicImprovement(optimizer=optimizers[0]),
            critic_fit=CriticFit(optimizers[1]),
        )

    check_same_updates(make)


def sac_learns():
    """Where reward is −|a − s₁|², a hundred updates in one compiled loop bring the policy near to it."""
    with strategy().scope():
        keras.utils.set_random_seed(0)
        agent = SacAgent(
            *small.SPECS,
            GaussianActorNetwork(small.OBSERVATION, small.ACTION, (16,), squash=True),
            CriticNetwork(small.OBSERVATION, small.ACTION, (32,)),
            improvement=ReparameterizedImprovement(optimizer=Adam(0.01)),
            temperature=LearnedTemperature(0.1, optimizer=Adam(0.003)),
            critic_fit=CriticFit(Adam(0.01)),
            acting=ACTING,
        )
        best = np.array([0.5, 2.0], np.float32)
        generator = np.random.default_rng(0)
        count = 501
        action = generator.uniform([-1, 0], [1, 4], size=[count, 2]).astype(np.float32)
        observation = generator.normal(size=[count, 3]).astype(np.float32)
        batch = small.make_transitions(count)._replace(
            observation=observation,
            action=action,
            reward=-5.0 * np.square((action - best) / [1.0, 2.0]).sum(axis=1).astype(np.float32),
            discount=np.zeros(count, np.float32),
        )
        batch = small.as_tensors(batch)

        @tf.function(autograph=False)
        def train():
            def step(i):
                agent.update(batch, tf.stack([3, i]))
                return (i + 1,)

            return tf.while_loop(lambda i: i < 300, step, [0], parallel_iterations=1)

    train()
    for variable in agent.variables:
        values = copies(variable)
        assert np.all(np.isfinite(values[0])), variable.name
        for other in values[1:]:
            np.testing.assert_array_equal(values[0], other, err_msg=variable.name)
    greedy = agent.policy.act(observation[:50])[0].numpy()
    assert np.mean(np.abs(greedy - best) / [1.0, 2.0]) < 0.15, greedy.mean(axis=0)
    assert float(agent.temperature.value()) != 0.1


def s2ac_without_randomness():
    """One particle from one point, which the critic steers: on two devices as on one."""

    def make():
        keras.utils.set_random_seed(0)
        return S2acAgent(
            *small.SPECS,
            FixedGaussianActorNetwork(small.OBSERVATION, small.ACTION, variance=1e-12),
            CriticNetwork(small.OBSERVATION, small.ACTION, (8,), activation="elu"),
            # One particle is never limited, and the limit's branch takes long to trace.
            improvement=SteinImprovement(SteinSampler(1, 2, 0.5, range=None, step_limit=None), batch_parts=1),
            temperature=FixedTemperature(0.0),
            critic_fit=CriticFit(Adam(0.01)),
            acting=ACTING,
        )

    # The largest of a device's part is another one than that of the batch.
    others = ("largest_curvature",)
    check_same_updates(make, random=("entropy", "particle_spread", "displacement", *others))


def s2ac_with_a_companion():
    """Gaussian, critics and amortized network stay alike on both devices, and move."""
    with strategy().scope():
        keras.utils.set_random_seed(0)
        agent = S2acAgent(
            *small.SPECS,
            GaussianActorNetwork(small.OBSERVATION, small.ACTION, (8,), squash=True),
            CriticNetwork(small.OBSERVATION, small.ACTION, (8,), activation="elu"),
            improvement=SteinImprovement(
                SteinSampler(4, 2, step_limit=None),
                amortized=AmortizedPolicy(functools.partial(SamplingActorNetwork, hidden_units=(8,))),
            ),
            temperature=LearnedTemperature(0.3),
            acting=ACTING,
        )
        update = tf.function(agent.update, autograph=False)
    trained = [*agent.actor_network.trainable_variables, *agent.evaluation_network.trainable_variables]
    before = [copies(variable)[0] for variable in trained]
    for i in range(3):
        metrics = update(small.as_tensors(small.make_transitions(21, seed=i)), tf.constant([0, i]))
        assert all(np.isfinite(value) for value in metrics.values()), metrics
    for variable in agent.variables:
        first, *others = copies(variable)
        for other in others:
            np.testing.assert_array_equal(first, other, err_msg=variable.name)
    assert all((copies(each)[0] != old).any() for each, old in zip(trained, before, strict=True))


class WithoutNoise(LangevinParticles):
    """Particles that make 5 steps of 0.05 up the first critic, without noise."""

    def __call__(self, *arguments, box):
        return langevin_particles(
            *arguments,
            box=box,
            langevin=functools.partial(langevin, noise=False),
            step_size=0.05,
            reduction="first",
        )


def parpi_without_randomness():
    """One action a state, which particles leave without noise: on two devices as on one."""

    def make():
        keras.utils.set_random_seed(0)
        return ParpiAgent(
            *small.SPECS,
            DeterministicActorNetwork(small.OBSERVATION, small.ACTION, (8,)),
            CriticNetwork(small.OBSERVATION, small.ACTION, (8,), activation="elu"),
            soft_value=DeterministicValue(),
            improvement=MatchingImprovement(
                # Not the Wasserstein distance, in which Adam blows up the rounding of a constant's
                # gradient, 0.
                jsd(),
                WithoutNoise(),
                DiscriminatorFit(
                    functools.partial(
                        DiscriminatorNetwork, hidden_units=(8,), activation="elu", spectral_normalization=True
                    ),
                    num_steps=2,
                    optimizer=Adam(0.01),
                ),
                entropy_weight=0.0,
                optimizer=Adam(0.01),
            ),
            temperature=FixedTemperature(0.5),
            critic_fit=CriticFit(Adam(0.01)),
            acting=ACTING,
        )

    # A root of the mean over all states is not the mean of the devices' roots.
    check_same_updates(make, random=("particle_displacement",))


def discriminators_stay_alike():
    """With all randomness, of ParPI with spectral normalization and of NBP's classifier."""
    parpi = functools.partial(
        ParpiAgent,
        *small.SPECS,
        improvement=MatchingImprovement(
            discriminator=DiscriminatorFit(
                functools.partial(DiscriminatorNetwork, hidden_units=(8,), spectral_normalization=True)
            ),
            entropy_weight=0.1,
        ),
        actor_network=functools.partial(GaussianActorNetwork, squash=True),
    )
    nbp = functools.partial(
        NbpAgent, *small.SPECS, temperature=FixedTemperature(1.0), actor_network=NoisyActorNetwork
    )
    for make in (parpi, nbp):
        with strategy().scope():
            actor_network = make.keywords["actor_network"](small.OBSERVATION, small.ACTION, hidden_units=(8,))
            agent = make(
                actor_network=actor_network,
                critic_network=CriticNetwork(small.OBSERVATION, small.ACTION, (8,)),
                acting=ACTING,
            )
            update = tf.function(agent.update, autograph=False)
        (discriminator,) = agent._discriminators
        trained = discriminator.network.trainable_variables[:-1]
        before = [copies(variable)[0] for variable in trained]
        for i in range(3):
            metrics = update(small.as_tensors(small.make_transitions(21, seed=i)), tf.constant([0, i]))
            assert all(np.isfinite(value) for value in metrics.values()), metrics
        for variable in (*agent.variables, *discriminator.network.variables):
            first, *others = copies(variable)
            for other in others:
                np.testing.assert_array_equal(first, other, err_msg=variable.name)
        assert all((copies(each)[0] != old).any() for each, old in zip(trained, before, strict=True))


def networks_of_another_scope_are_refused():
    critic = small.QuadraticCritic()
    with strategy().scope():
        refuses(("critic_network", "strategy"), lambda: small.sac(critic=critic))


CHECKS = (
    same_updates,
    same_updates_with_hard_targets,
    same_updates_with_keras_optimizers,
    sac_learns,
    s2ac_without_randomness,
    s2ac_with_a_companion,
    parpi_without_randomness,
    discriminators_stay_alike,
    networks_of_another_scope_are_refused,
)

if __name__ == "__main__":
    main(sys.argv[1:], CHECKS)
