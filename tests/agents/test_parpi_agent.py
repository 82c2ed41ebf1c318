"""ParPI: what is trained on what and when, with every divergence and soft value, and what is refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import (
    Acting,
    CriticFit,
    DiscriminatorFit,
    ExpectedValue,
    FixedTemperature,
    LangevinParticles,
    LearnedTemperature,
    LogSumExpValue,
    MatchingImprovement,
    ParpiAgent,
    ScheduledTemperature,
)
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    DiscriminatorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    LogStd,
    MixtureActorNetwork,
    NoisyActorNetwork,
    ObservationNormalizer,
    SamplingActorNetwork,
)
from expol_tf.objectives import f_divergence, jsd, langevin_particles, reverse_kl, wasserstein
from expol_tf.optimizers import Adam
from expol_tf.replicas import split_seed
from expol_tf.samplers import langevin
from tests.agents import small_off_policy as small

METRICS = {
    "critic_loss",
    "q_mean",
    "discriminator_loss",
    "discriminator_divergence",
    "discriminator_accuracy",
    "particle_displacement",
    "particle_q_gain",
    "actor_loss",
    "entropy",
    "entropy_spread",
    "temperature",
}
PEARSON = functools.partial(f_divergence, lambda t: t + t**2 / 4, name="pearson")
PLAIN = functools.partial(DiscriminatorNetwork, hidden_units=(8,))
SPECTRAL = functools.partial(PLAIN, spectral_normalization=True)
# What a policy without density can do.
WITHOUT_DENSITY = dict(
    soft_value=LogSumExpValue(num_samples=8), temperature=FixedTemperature(0.3), entropy_weight=0.0
)


def fit(network=SPECTRAL, num_steps=1, rate=0.01):
    return DiscriminatorFit(network, num_steps, Adam(rate))


def make_agent(
    actor=None, seed=0, soft_value=None, temperature=None, observation_normalizer=None, rate=0.01, **settings
):
    """An agent whose improvement has `settings`, its policy's learning rate `rate`."""
    keras.utils.set_random_seed(seed)
    if actor is None:
        actor = GaussianActorNetwork(
            small.OBSERVATION, small.ACTION, (8,), squash=True, log_std=LogStd(state_dependent=True)
        )
    else:
        actor = actor(small.OBSERVATION, small.ACTION, hidden_units=(8,))
    critic = CriticNetwork(small.OBSERVATION, small.ACTION, (8,))
    return ParpiAgent(
        *small.SPECS,
        actor,
        critic,
        observation_normalizer,
        soft_value=soft_value,
        improvement=MatchingImprovement(**dict(discriminator=fit(), optimizer=Adam(rate)) | settings),
        temperature=temperature,
        critic_fit=CriticFit(Adam(0.01)),
        acting=Acting(seed=seed, jit_compile=False),
    )


def batch(seed=0, count=20):
    return small.as_tensors(small.make_transitions(count, seed=seed))


def discriminator_of(agent):
    (discriminator,) = agent._discriminators
    return discriminator


def copies(variables):
    return [variable.numpy() for variable in variables]


def moved(variables, before):
    return [bool((new.numpy() != old).any()) for new, old in zip(variables, before, strict=True)]


@pytest.mark.parametrize(
    ("matching", "network", "soft_value"),
    [
        (wasserstein(0.0), SPECTRAL, ExpectedValue()),
        (wasserstein(10.0), PLAIN, ExpectedValue()),
        (wasserstein(0.0, hinge=True), SPECTRAL, LogSumExpValue(num_samples=8)),
        (jsd(), PLAIN, LogSumExpValue(num_samples=8, proposal="mixture")),
        (reverse_kl(), PLAIN, LogSumExpValue(num_samples=8)),
        (PEARSON(), PLAIN, ExpectedValue("mean")),
    ],
    ids=["wasserstein", "penalty", "hinge", "jsd", "rkl", "pearson"],
)
def test_every_divergence_and_soft_value(matching, network, soft_value):
    agent = make_agent(
        matching=matching,
        soft_value=soft_value,
        discriminator=fit(network),
        entropy_weight=0.1,
        temperature=LearnedTemperature(),
    )
    f = discriminator_of(agent).network
    trained = [
        *agent.actor_network.trainable_variables,
        *agent.critic_network.trainable_variables,
        # The output's bias cancels in E f − E f.
        *f.trainable_variables[:-1],
        *agent.temperature.variables[:1],
    ]
    before = copies(trained)
    metrics = agent.update(batch(), tf.constant([1, 2]))
    assert set(metrics) == METRICS
    for name, value in metrics.items():
        assert value.shape == () and np.isfinite(value), name
    assert all(moved(trained, before))
    assert float(metrics["particle_displacement"]) == pytest.approx(np.sqrt(2 * 5 * 3e-3), rel=0.4)
    assert 0 <= float(metrics["discriminator_accuracy"]) <= 1


def test_the_discriminator_learns_before_the_policy_and_after_the_critic():
    # The policy hardly moves, so that what it saw can be asked for again.
    settings = dict(
        matching=jsd(),
        particles=LangevinParticles(step_size=0.05, reduction="min"),
        entropy_weight=0.2,
        temperature=FixedTemperature(1.0),
    )
    agent, untrained = (make_agent(rate=1e-12, discriminator=fit(PLAIN), **settings) for _ in range(2))
    transitions, seed = batch(), tf.constant([1, 2])
    metrics = agent.update(transitions, seed)
    valid = transitions.valid
    improvement_seed = split_seed(seed, 2)[1]

    def policy(observation):
        return agent.actor_network(observation)[0]

    def losses(f, critic):
        fold_in = tf.random.experimental.stateless_fold_in
        contrast = langevin_particles(
            transitions.observation,
            policy,
            critic,
            tf.constant(1.0),
            split_seed(fold_in(fold_in(improvement_seed, -1), 0), 2)[0],
            box=small.ACTION,
            langevin=langevin,
            step_size=0.05,
        )
        of_policy, of_other = (f((transitions.observation, each))[0] for each in contrast[:2])
        value = tf.math.log_sigmoid(of_policy) + tf.math.log_sigmoid(-of_other)
        action, log_prob = policy(transitions.observation).experimental_sample_and_log_prob(
            seed=improvement_seed
        )
        loss = tf.nn.softplus(f((transitions.observation, action))[0]) + 0.2 * (log_prob + np.log(2.0))
        return [float(tf.reduce_mean(tf.boolean_mask(each, valid))) for each in (-value, loss)]

    old, new = (discriminator_of(each).network for each in (untrained, agent))
    # The discriminator's loss is that before its step, on the new critic's particles.
    found = float(metrics["discriminator_loss"])
    assert found == pytest.approx(losses(old, agent.critic)[0], abs=1e-6)
    assert abs(found - losses(old, untrained.critic)[0]) > 1e-5
    # The policy's is by the discriminator after it.
    found = float(metrics["actor_loss"])
    assert found == pytest.approx(losses(new, agent.critic)[1], abs=1e-6)
    assert abs(found - losses(old, agent.critic)[1]) > 1e-3


def test_the_metrics_of_a_masked_batch_are_those_of_the_rest():
    transitions = batch()
    masked = ~transitions.valid
    spoilt = transitions._replace(
        reward=tf.where(masked, 1e9, transitions.reward),
        observation=tf.where(masked[:, tf.newaxis], 7.0, transitions.observation),
    )
    one, other = (make_agent().update(each, tf.constant([1, 2])) for each in (transitions, spoilt))
    for name in METRICS:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_steps_of_the_discriminator():
    refreshed = []

    class Counting(DiscriminatorNetwork):
        def update_spectral_norms(self, num_iterations=1):
            refreshed.append(num_iterations)
            super().update_spectral_norms(num_iterations)

    agents = {}
    for steps in (1, 3):
        refreshed.clear()
        agents[steps] = make_agent(
            discriminator=fit(
                functools.partial(Counting, hidden_units=(8,), spectral_normalization=True), num_steps=steps
            ),
        )
        agents[steps].update(batch(), tf.constant([1, 2]))
        assert len(refreshed) == steps and int(discriminator_of(agents[steps]).optimizer.step) == steps
    # Each on particles of its own: an agent that repeats the batch with one step each sees others.
    one, three = (discriminator_of(each).network.variables[0].numpy() for each in agents.values())
    assert np.abs(one - three).max() > 1e-3


def test_norms_stay_at_one():
    agent = make_agent(discriminator=fit(rate=0.03))
    update = tf.function(agent.update, autograph=False)
    for i in range(30):
        update(batch(i), tf.constant([1, i]))
    network = discriminator_of(agent).network
    network.update_spectral_norms(50)
    transitions = batch(99, 500)
    f = network((transitions.observation, transitions.action))[0]
    x = tf.concat([transitions.observation, (transitions.action - [0.0, 2.0]) / [1.0, 2.0]], axis=-1)
    slopes = tf.abs(f[1:] - f[:-1]) / tf.norm(x[1:] - x[:-1], axis=-1)
    assert 0.1 < float(tf.reduce_max(slopes)) <= 1.0 + 1e-4


def trace(agent):
    found = agent.update(batch(), tf.constant([1, 2]))
    action, _ = agent.collect_policy.act(batch().observation)
    return [*(float(value) for value in found.values()), action.numpy(), *copies(agent.variables)]


def test_the_same_seed_is_the_same_run():
    first, again, other = (trace(make_agent(seed=seed)) for seed in (0, 0, 1))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(one != two) for one, two in zip(first, other, strict=True))


def test_everything_sees_normalized_observations():
    normalizer = ObservationNormalizer(small.OBSERVATION)
    agent = make_agent(observation_normalizer=normalizer, rate=1e-12)
    transitions = batch()._replace(observation=100.0 * batch().observation)
    seen = []
    network = discriminator_of(agent).network
    call = network.call
    network.call = lambda inputs, **kwargs: (seen.append(inputs[0].numpy()), call(inputs, **kwargs))[1]
    agent.update(transitions, tf.constant([1, 2]))
    assert seen and all(np.abs(each).max() < 10 for each in seen)


def test_a_checkpoint_holds_the_discriminator(tmp_path):
    agent, other = make_agent(seed=0), make_agent(seed=5)
    agent.update(batch(), tf.constant([1, 0]))
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(agent=other).read(path).assert_existing_objects_matched().assert_consumed()
    pairs = zip(
        discriminator_of(agent).network.variables, discriminator_of(other).network.variables, strict=True
    )
    for one, two in pairs:
        np.testing.assert_array_equal(one, two)
    found, expected = (each.update(batch(2), tf.constant([1, 2])) for each in (other, agent))
    for name in METRICS:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    stored = {name for name, _ in tf.train.list_variables(path)}
    assert any("discriminators" in name and "network" in name for name in stored)
    assert any("discriminators" in name and "optimizer" in name for name in stored)


@pytest.mark.parametrize(
    "actor",
    [
        functools.partial(MixtureActorNetwork, squash=True),
        functools.partial(FlowActorNetwork, squash=True, num_transformations=1),
    ],
    ids=["mixture", "flow"],
)
def test_other_densities(actor):
    agent = make_agent(actor)
    before = copies(agent.actor_network.trainable_variables)
    metrics = agent.update(batch(), tf.constant([1, 2]))
    assert set(metrics) == METRICS and any(moved(agent.actor_network.trainable_variables, before))


@pytest.mark.parametrize(
    ("actor", "temperature"),
    [
        (SamplingActorNetwork, FixedTemperature(0.3)),
        (NoisyActorNetwork, ScheduledTemperature(lambda step: 0.3)),
    ],
)
def test_policies_without_density(actor, temperature):
    agent = make_agent(actor, **WITHOUT_DENSITY | dict(temperature=temperature))
    before = copies(agent.actor_network.trainable_variables)
    metrics = agent.update(batch(), tf.constant([1, 2]))
    assert set(metrics) == METRICS - {"entropy", "entropy_spread"}
    assert all(np.isfinite(value) for value in metrics.values())
    assert any(moved(agent.actor_network.trainable_variables, before))


@pytest.mark.parametrize(
    "settings",
    [
        dict(soft_value=ExpectedValue()),
        dict(soft_value=LogSumExpValue(num_samples=8, proposal="mixture")),
        dict(temperature=LearnedTemperature(0.3)),
        dict(entropy_weight=0.1),
    ],
    ids=["value", "mixture", "temperature", "weight"],
)
def test_what_a_policy_without_density_cannot_do(settings):
    with pytest.raises(
        CapabilityError, match="(?s)NoisyActorNetwork.*sample_and_log_prob|sample_and_log_prob.*Noisy"
    ):
        make_agent(NoisyActorNetwork, **WITHOUT_DENSITY | settings)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (
            dict(actor=GaussianActorNetwork),
            CapabilityError,
            r"Gaussian.*squash=True.*SvgdImprovement\(space=",
        ),
        (
            dict(matching=wasserstein(10.0)),
            ConfigurationError,
            "DiscriminatorFit.network must not .*got both",
        ),
        (dict(discriminator=fit(PLAIN)), ConfigurationError, "bounded in slope .*got neither"),
        (dict(temperature=FixedTemperature(0.0)), ConfigurationError, "temperature must be positive.*got 0"),
    ],
    ids=["unsquashed", "both", "neither", "temperature"],
)
def test_what_is_refused(settings, error, words):
    with pytest.raises(error, match=words):
        make_agent(**settings)


@pytest.mark.parametrize(
    ("part", "settings", "words"),
    [
        (MatchingImprovement, dict(entropy_weight=-0.1), "entropy_weight must be 0 or more; got -0.1"),
        (MatchingImprovement, dict(entropy_weight=float("nan")), "entropy_weight must be 0 or more; got nan"),
        (DiscriminatorFit, dict(num_steps=0), "num_steps must be 1 or more; got 0"),
        (LangevinParticles, dict(num_steps=0), "num_steps must be 1 or more; got 0"),
        (LangevinParticles, dict(num_steps=5.0), "num_steps must be int; got 5.0. Write 5."),
        (LangevinParticles, dict(step_size=0.0), "step_size must be positive; got 0.0"),
        (LangevinParticles, dict(step_size=float("inf")), "step_size must be positive and finite; got inf"),
        (LangevinParticles, dict(reduction="max"), "reduction must be one of .*got 'max'"),
    ],
    ids=["weight", "NaN", "discriminator", "steps", "whole", "size", "infinite", "reduction"],
)
def test_settings_out_of_range_are_refused(part, settings, words):
    with pytest.raises(ConfigurationError, match=f"{part.__name__}.{words}"):
        part(**settings)


@pytest.mark.parametrize(
    ("matching", "bounded"),
    [(None, True), (wasserstein(0.0, hinge=True), True), (wasserstein(1.0), False), (jsd(), False)],
    ids=["default", "hinge", "penalty", "jsd"],
)
def test_the_default_discriminator_is_the_one_that_the_matching_needs(matching, bounded):
    agent = make_agent(matching=matching, discriminator=None)
    assert discriminator_of(agent).network.spectral_normalization is bounded


def test_a_classifier_knows_the_entropy_of_a_policy_without_density():
    settings = WITHOUT_DENSITY | dict(entropy_weight=0.1)
    agent = make_agent(NoisyActorNetwork, classifier=DiscriminatorFit(PLAIN), **settings)
    _, classifier = agent._discriminators
    before = copies(classifier.network.trainable_variables)
    metrics = agent.update(batch(), tf.constant([1, 2]))
    assert all(moved(classifier.network.trainable_variables, before))
    assert (
        set(metrics) >= {"entropy", "classifier_accuracy", "classifier_loss"}
        and "entropy_spread" not in metrics
    )
    # Its weight is felt: without, the same policy moves elsewhere.
    settings["entropy_weight"] = 0.0
    other = make_agent(NoisyActorNetwork, classifier=DiscriminatorFit(PLAIN), **settings)
    other.update(batch(), tf.constant([1, 2]))
    pairs = zip(agent.actor_network.trainable_variables, other.actor_network.trainable_variables, strict=True)
    assert any(np.any(one.numpy() != two.numpy()) for one, two in pairs)


def test_it_learns():
    """Where reward is −|a − s₁|², with larger steps than the defaults, the policy comes near to the best."""
    best = np.array([0.5, 2.0], np.float32)
    generator = np.random.default_rng(0)
    count = 256
    action = generator.uniform([-1, 0], [1, 4], size=[count, 2]).astype(np.float32)
    transitions = small.make_transitions(count)._replace(
        action=action,
        reward=-5.0 * np.square((action - best) / [1.0, 2.0]).sum(axis=1).astype(np.float32),
        discount=np.zeros(count, np.float32),
        valid=np.ones(count, bool),
    )
    transitions = small.as_tensors(transitions)
    keras.utils.set_random_seed(0)
    agent = ParpiAgent(
        *small.SPECS,
        GaussianActorNetwork(small.OBSERVATION, small.ACTION, (16,), squash=True),
        CriticNetwork(small.OBSERVATION, small.ACTION, (32,)),
        improvement=MatchingImprovement(
            jsd(),
            LangevinParticles(num_steps=3, step_size=0.01),
            fit(functools.partial(DiscriminatorNetwork, hidden_units=(32,))),
            # Without it policy and discriminator chase each other around the best action.
            entropy_weight=0.05,
            optimizer=Adam(0.003),
        ),
        temperature=FixedTemperature(0.5),
        critic_fit=CriticFit(Adam(0.01)),
        acting=Acting(seed=0, jit_compile=False),
    )

    @tf.function(autograph=False)
    def train():
        def step(i):
            agent.update(transitions, tf.stack([3, i]))
            return (i + 1,)

        return tf.while_loop(lambda i: i < 600, step, [0], parallel_iterations=1)

    train()
    greedy = agent.policy.act(transitions.observation[:50])[0].numpy()
    assert np.mean(np.abs(greedy - best) / [1.0, 2.0]) < 0.15, greedy.mean(axis=0)
