"""S²AC: SAC in the limit, against slow references, and its particles, companion and choices."""

from __future__ import annotations

import functools
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

import expol_tf
from expol_tf.agents import (
    Acting,
    AmortizedPolicy,
    CriticFit,
    ExpectedValue,
    FixedTemperature,
    LearnedTemperature,
    LogSumExpValue,
    ParticleSelection,
    ReparameterizedImprovement,
    S2acAgent,
    SacAgent,
    SteinImprovement,
    TargetUpdate,
    Transitions,
    stein_improvement,
)
from expol_tf.distributions import SteinSampler
from expol_tf.environments import load_vector, time_step_spec
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    FixedGaussianActorNetwork,
    GaussianActorNetwork,
    LogStd,
    ObservationNormalizer,
    SamplingActorNetwork,
    SteinActorNetwork,
)
from expol_tf.optimizers import Adam
from expol_tf.replicas import split_seed
from tests.agents import small_off_policy as small

SMALL = SteinSampler(4, 2, 0.1)
AMORTIZED = AmortizedPolicy(functools.partial(SamplingActorNetwork, hidden_units=(8,)))
STATISTICS = {
    "particle_spread",
    "displacement",
    "dropped_share",
    "score_norm",
    "smallest_determinant",
    "folded_share",
    "limited_share",
    "largest_curvature",
}


def make_agent(
    cls=S2acAgent,
    actor=None,
    specs=(small.OBSERVATION, small.ACTION),
    temperature=None,
    target_update=None,
    observation_normalizer=None,
    soft_value=None,
    selection=None,
    rate=0.01,
    jit_compile=False,
    **settings,
):
    """An agent whose improvement has `settings`, its policy's learning rate `rate`."""
    keras.utils.set_random_seed(0)
    if actor is None:
        actor = GaussianActorNetwork(*specs, (8,), squash=True, log_std=LogStd(0.0, True, (-2.3, 0.0)))
    critic = CriticNetwork(*specs, (8,), activation="elu")
    if cls is S2acAgent:
        settings = dict(sampler=SMALL, batch_parts=1) | settings
        improvement = SteinImprovement(optimizer=Adam(rate), **settings)
    else:
        improvement = ReparameterizedImprovement(optimizer=Adam(rate))
    return cls(
        ts.time_step_spec(specs[0]),
        specs[1],
        actor,
        critic,
        observation_normalizer,
        soft_value=soft_value,
        improvement=improvement,
        temperature=temperature or FixedTemperature(0.3),
        critic_fit=CriticFit(Adam(0.01), target_update=target_update),
        acting=Acting(selection=selection, seed=0, jit_compile=jit_compile),
    )


def batch(seed=0, count=20):
    return small.as_tensors(small.make_transitions(count, seed=seed))


def values_of(variables):
    return [variable.numpy() for variable in variables]


def moved(variables, before):
    return [(new.numpy() != old).any() for new, old in zip(variables, before, strict=True)]


@pytest.mark.parametrize("learned", [False, True])
def test_without_steps_range_and_neighbours_it_is_sac_to_the_last_bit(learned):
    agents = {}
    for cls in (SacAgent, S2acAgent):
        own = dict(sampler=SteinSampler(1, 0, range=None)) if cls is S2acAgent else {}
        temperature = LearnedTemperature(0.4, optimizer=Adam(0.01)) if learned else FixedTemperature(0.4)
        normalizer = ObservationNormalizer(small.OBSERVATION) if learned else None
        agents[cls] = make_agent(
            cls,
            temperature=temperature,
            observation_normalizer=normalizer,
            target_update=TargetUpdate(0.1),
            **own,
        )
    sac, s2ac = agents[SacAgent], agents[S2acAgent]
    # Eagerly; what TensorFlow makes of two graphs rounds in different orders.
    for i in range(10):
        expected, found = (each.update(batch(i), tf.constant([3, i])) for each in (sac, s2ac))
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert set(found) - set(expected) == STATISTICS

    def parts(agent, actor):
        return [
            *actor.variables,
            *agent.critic_network.variables,
            *agent._target_critic_network.variables,
            *(agent.temperature.variables),
            *agent._actor_optimizer.variables,
            *agent._critic_optimizer.variables,
            *([] if agent.observation_normalizer is None else agent.observation_normalizer.variables),
            agent.train_step_counter,
        ]

    pairs = zip(parts(sac, sac.actor_network), parts(s2ac, s2ac.actor_network.initial_network), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(other, one, err_msg=one.name)
    observation = np.random.default_rng(0).normal(size=[6, 3])
    for _ in range(2):
        expected, found = (each.collect_policy.act(observation) for each in (sac, s2ac))
        np.testing.assert_array_equal(found[0], expected[0])
        # No update of theirs reads densities of actions that were taken.
        assert found[1] == expected[1] == ()
    # The greedy action of one particle is that of the Gaussian.
    actions = [each.policy.act(observation)[0] for each in (sac, s2ac)]
    np.testing.assert_allclose(*actions, atol=1e-6)
    metrics = [
        tf.function(each.update, autograph=False)(batch(10), tf.constant([3, 10])) for each in (sac, s2ac)
    ]
    for name, value in metrics[0].items():
        np.testing.assert_allclose(metrics[1][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("reduction", ["min", "mean"])
def test_losses_are_means_over_the_particles(reduction):
    settings = dict(reduction=reduction, soft_value=ExpectedValue(reduction), target_update=TargetUpdate(0.5))
    agent = make_agent(**settings)
    reduce = {"min": np.min, "mean": np.mean}[reduction]
    agent.update(batch(1), tf.constant([9, 9]))  # Targets that differ from the critics.
    transitions, alpha, count = batch(), 0.3, 4
    value_seed, improvement_seed = split_seed(tf.constant([1, 2]), 2)
    half_volume = np.log([1.0, 2.0]).sum()  # log π is that of the action scaled to [−1, 1].

    def soft_values(critic, observation, seed):
        policy = agent.actor_network(observation)[0]
        action, log_prob = policy.experimental_sample_and_log_prob(count, seed=seed)
        q = np.stack([reduce(critic((observation, each))[0], axis=-1) for each in action])
        return np.mean(q - alpha * (log_prob.numpy() + half_volume), axis=0), log_prob.numpy() + half_volume

    value, _ = soft_values(agent._target_critic_network, transitions.next_observation, value_seed)
    target = transitions.reward + 0.99 * transitions.discount * value
    q = agent.critic(transitions.observation, transitions.action).numpy()
    valid = transitions.valid.numpy()
    errors = np.square(q - target.numpy()[:, np.newaxis])[valid]
    metrics = agent.update(transitions, tf.constant([1, 2]))
    assert float(metrics["critic_loss"]) == pytest.approx(0.5 * errors.mean(), rel=1e-4)
    assert set(metrics) == STATISTICS | {
        "critic_loss",
        "actor_loss",
        "q_mean",
        "entropy",
        "temperature",
    }
    # The policy is improved against the critics after their step; before its own, which is undone here.
    again = make_agent(**settings, rate=1e-12)
    again.update(batch(1), tf.constant([9, 9]))
    metrics = again.update(transitions, tf.constant([1, 2]))
    agent = again
    value, log_prob = soft_values(agent.critic_network, transitions.observation, improvement_seed)
    assert float(metrics["actor_loss"]) == pytest.approx(-value[valid].mean(), rel=1e-4)
    assert float(metrics["entropy"]) == pytest.approx(-log_prob.mean(axis=0)[valid].mean(), rel=1e-4)
    statistics = agent.actor_network(transitions.observation)[0].sample_with_statistics(
        count, improvement_seed
    )[2]
    for name in ("particle_spread", "displacement", "dropped_share", "limited_share", "score_norm"):
        expected = statistics[name].numpy()[valid].mean()
        assert float(metrics[name]) == pytest.approx(expected, rel=1e-4), name


def test_the_policys_gradient_goes_through_the_steps():
    """By finite differences of the loss that an update reports, for one variable of the initial network."""
    # Within bounds of the deviation, at which the gradient has a kink.
    actor = GaussianActorNetwork(
        small.OBSERVATION,
        small.ACTION,
        (8,),
        squash=True,
        log_std=LogStd(0.0, True, (-5.0, 2.0)),
    )
    # The default's gradient leaves out ∇²ℓ, and holds the width and the factor of limited steps constant.
    sampler = SteinSampler(4, 3, 0.3, bandwidth=0.8, density_change="printed", step_limit=None, range=None)
    agent = make_agent(actor=actor, sampler=sampler)
    transitions, seed = batch(), tf.constant([4, 5])
    kernel = agent.actor_network.trainable_variables[-1]
    start = kernel.numpy()

    def improvement():
        improved = agent._policy_loss(
            transitions.observation,
            lambda observation: agent.actor_network(observation)[0],
            agent.critic,
            tf.constant(0.3),
            seed,
            transitions.valid,
            box=small.ACTION,
        )
        return improved.loss

    with tf.GradientTape() as tape:
        loss = improvement()
    gradient = tape.gradient(loss, kernel).numpy()
    for index in range(start.size):
        ends = []
        for sign in (1, -1):
            change = np.zeros_like(start)
            change[index] = 3e-3 * sign
            kernel.assign(start + change)
            ends.append(float(improvement()))
        assert gradient[index] == pytest.approx((ends[0] - ends[1]) / 6e-3, rel=0.02, abs=2e-3)
    kernel.assign(start)


def test_parts_of_a_batch_make_up_the_batch():
    """Without randomness in the actions, in two or three parts the update is that in one."""
    ends = []
    for parts in (1, 2, 3):
        narrow = FixedGaussianActorNetwork(small.OBSERVATION, small.ACTION, variance=1e-12)
        agent = make_agent(
            actor=narrow,
            sampler=SteinSampler(1, 3, 0.5, range=None),
            temperature=FixedTemperature(0.0),
            batch_parts=parts,
        )
        metrics = [agent.update(batch(i), tf.constant([1, i])) for i in range(3)][-1]
        ends.append(
            [*values_of(agent.critic_network.variables), metrics["actor_loss"], metrics["score_norm"]]
        )
    for other in ends[1:]:
        for one, two in zip(ends[0], other, strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_smaller_than_its_parts(count):
    agent = make_agent(batch_parts=4, amortized=AMORTIZED)
    metrics = agent.update(batch(count=count), tf.constant([1, 2]))
    for name, value in metrics.items():
        assert np.isfinite(value), name
    for variable in agent.trainable_variables:
        assert np.isfinite(variable).all(), variable.name


def test_a_start_that_is_not_learned_trains_its_critic():
    fixed = FixedGaussianActorNetwork(small.OBSERVATION, small.ACTION)
    agent = make_agent(actor=fixed)
    assert not agent.actor_network.trainable_variables
    before = values_of(agent.critic_network.variables)
    metrics = agent.update(batch(), tf.constant([1, 2]))
    assert all(moved(agent.critic_network.variables, before)) and np.isfinite(metrics["actor_loss"])


def test_the_amortized_network_learns_and_acts_when_testing():
    agent = make_agent(amortized=AMORTIZED)
    amortized = agent.evaluation_network
    assert isinstance(amortized, SamplingActorNetwork) and isinstance(agent.actor_network, SteinActorNetwork)
    observation = np.random.default_rng(0).normal(size=[6, 3]).astype(np.float32)
    greedy = agent.policy.act(observation)[0].numpy()
    np.testing.assert_allclose(greedy, amortized(observation)[0].greedy_action(), atol=1e-6)
    before = values_of(amortized.trainable_variables)
    metrics = agent.update(batch(), tf.constant([1, 2]))
    assert all(moved(amortized.trainable_variables, before))
    assert {"amortized_loss", "amortized_particle_spread"} == set(metrics) - STATISTICS - {
        "critic_loss",
        "actor_loss",
        "q_mean",
        "entropy",
        "temperature",
    }
    # Nothing else is changed by it.
    alone = make_agent()
    expected = alone.update(batch(), tf.constant([1, 2]))
    for name, value in expected.items():
        np.testing.assert_array_equal(metrics[name], value, err_msg=name)
    for one, other in zip(alone.critic_network.variables, agent.critic_network.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    # The particles act when collecting.
    both = [each.collect_policy.act(observation)[0] for each in (alone, agent)]
    np.testing.assert_array_equal(*both)
    assert np.abs(agent.policy.act(observation)[0] - alone.policy.act(observation)[0]).max() > 1e-3


def test_selection():
    observation = np.tile(np.random.default_rng(0).normal(size=[1, 3]), [500, 1]).astype(np.float32)
    means = {}
    for rule in (None, "softmax", "argmax"):
        selection = None if rule is None else ParticleSelection(rule)
        agent = make_agent(selection=selection, temperature=FixedTemperature(0.02))
        action, info = agent.collect_policy.act(observation)
        means[rule] = float(np.mean(np.min(agent.critic(observation, action), axis=-1)))
        assert info == ()
        assert len(np.unique(action.numpy(), axis=0)) > 100
        # Greedy actions are of the best particle, whatever acts when collecting.
        np.testing.assert_array_equal(
            agent.policy.act(observation)[0][1:], agent.policy.act(observation)[0][:-1]
        )
    assert means[None] < means["softmax"] < means["argmax"]


def test_a_random_particle_can_be_selected():
    agent = make_agent(selection=ParticleSelection("random"))
    observation = np.random.default_rng(0).normal(size=[6, 3]).astype(np.float32)
    particles, seed = agent.actor_network(observation)[0], tf.constant([1, 2])
    chosen = agent.acting.selection(particles, seed)
    np.testing.assert_array_equal(chosen, particles.select("random", seed))
    assert chosen.shape == [6, 2] and agent.collect_policy.act(observation)[0].shape == [6, 2]
    assert ParticleSelection() == ParticleSelection("random")


def test_a_learned_temperature():
    temperature = LearnedTemperature(0.4, optimizer=Adam(0.05))
    agent = make_agent(temperature=temperature)
    found = [float(agent.update(batch(i), tf.constant([1, i]))["temperature"]) for i in range(3)]
    assert found[0] == pytest.approx(0.4) and len(set(found)) == 3
    # The policy's particles feel it.
    assert float(agent.actor_network._temperature.value()) == float(temperature.value()) != found[-1]


def test_warnings():
    agent = make_agent()
    assert not agent.warnings({"folded_share": 0.0}) and not agent.warnings({})
    (sentence,) = agent.warnings({"folded_share": 0.031})
    for words in ("0.031", "folded_share", "step_size", "0.1", "per_temperature"):
        assert words in sentence
    (sentence,) = agent.warnings({"folded_share": 0.0, "largest_curvature": 0.71})
    for words in ("largest_curvature is 0.71, above 0.5", "step_size", "0.1", "per_temperature"):
        assert words in sentence
    assert not agent.warnings({"largest_curvature": 0.4})
    # ε/α is the longer step where α is below 1: the remedy is the shorter one, unless it is in use.
    (sentence,) = agent.warnings({"largest_curvature": 0.71, "temperature": 0.02})
    assert sentence.endswith("which is 0.1.")
    longer = make_agent(sampler=SteinSampler(4, 2, step="per_temperature"))
    (sentence,) = longer.warnings({"largest_curvature": 0.71, "temperature": 0.02})
    assert sentence.endswith('or set SteinSampler.step = "plain".')
    (sentence,) = longer.warnings({"largest_curvature": 0.71, "temperature": 2.0})
    assert sentence.endswith("which is 0.1.")
    found = {}
    for limit in (None, 0.75):
        sampler = SteinSampler(4, 2, 50.0, step_limit=limit, range=None)
        folding = make_agent(sampler=sampler, temperature=FixedTemperature(5.0))
        metrics = folding.update(batch(), tf.constant([1, 2]))
        found[limit] = {name: float(value) for name, value in metrics.items()}
        folded = [sentence for sentence in folding.warnings(found[limit]) if "folded_share" in sentence]
        assert bool(folded) == (limit is None)
        assert all(np.isfinite(value) for value in found[limit].values())
    assert found[None]["folded_share"] > 0 == found[None]["limited_share"]
    assert found[0.75]["folded_share"] == 0 and found[0.75]["limited_share"] > 0.5


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (dict(score_reduction="max"), ConfigurationError, "score_reduction must be one of .*got 'max'"),
        (
            dict(reduction="max"),
            ConfigurationError,
            "SteinImprovement.reduction must be one of .*got 'max'",
        ),
        (dict(batch_parts=0), ConfigurationError, "batch_parts must be 1 or more; got 0"),
        (
            dict(actor=GaussianActorNetwork(small.OBSERVATION, small.ACTION, (4,))),
            CapabilityError,
            "start from it, so it must give a squashed Gaussian.*squash=True",
        ),
    ],
    ids=["score", "actor", "parts", "unsquashed"],
)
def test_what_is_refused(settings, error, words):
    with pytest.raises(error, match=words):
        make_agent(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            dict(bandwidth="median"),
            "SteinSampler.bandwidth must be \"mean\" where XLA .*no medians.*'median'",
        ),
        (dict(density_change="logdet"), "SteinSampler.density_change must .*no determinants.*'logdet'"),
        (dict(density_change="joint_logdet"), "SteinSampler.density_change must .*'joint_logdet'"),
    ],
)
def test_what_xla_cannot_compile_is_refused_where_it_compiles_acting(settings, words):
    sampler = SteinSampler(4, 1, **settings)
    with pytest.raises(ConfigurationError, match=words + r".*Acting.jit_compile = False"):
        make_agent(sampler=sampler, jit_compile=True)
    make_agent(sampler=sampler, jit_compile=False)


@pytest.mark.parametrize("activation", ["selu", "relu", "elu"])
def test_a_critic_whose_slope_jumps_is_named(activation):
    critic = CriticNetwork(small.OBSERVATION, small.ACTION, hidden_units=(4,), activation=activation)
    assert stein_improvement._has_kinks(critic) == (activation != "elu")


def test_parts_out_of_range_are_refused():
    with pytest.raises(ConfigurationError, match="ParticleSelection.rule must be one of .*got 'best'"):
        ParticleSelection("best")
    with pytest.raises(ConfigurationError, match=r"CriticFit.gamma must be in \[0, 1\]; got 1.5"):
        CriticFit(gamma=1.5)


@pytest.mark.parametrize(
    ("argument", "part", "words"),
    [
        ("improvement", ReparameterizedImprovement(), "improvement must be a SteinImprovement; got Repar"),
        ("soft_value", LogSumExpValue(), "soft_value must be an ExpectedValue; got LogSumExp"),
    ],
)
def test_only_parts_for_particles_are_accepted(argument, part, words):
    networks = (
        GaussianActorNetwork(small.OBSERVATION, small.ACTION, (8,), squash=True),
        CriticNetwork(small.OBSERVATION, small.ACTION, (8,)),
    )
    with pytest.raises(ConfigurationError, match=words):
        S2acAgent(*small.SPECS, *networks, **{argument: part})


def test_the_code_of_the_page(monkeypatch):
    page = pathlib.Path(__file__).absolute().parents[2] / "docs" / "s2ac.md"
    given = {}
    monkeypatch.setattr(expol_tf, "train", lambda root_dir, task, agent: given.update(agent=agent))
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), names)
    assert given["agent"].func is S2acAgent
    assert given["agent"].keywords["improvement"].sampler == SteinSampler()
    assert names["draws"].shape == [50, 5, 2] and names["log_prob"].shape == [50, 5]
    np.testing.assert_allclose(np.mean(names["draws"], axis=0), 1.0, atol=0.15)
    assert names["entropy"].shape == [5]


def test_it_finds_both_modes():
    """From a fixed Gaussian, on the bandit with two best actions."""
    env = load_vector("expol/BimodalBandit-v0", 1, seed=0)
    observation, action_spec = time_step_spec(env).observation, tensor_spec.from_spec(env.action_spec)
    generator = np.random.default_rng(0)
    actions = generator.uniform(-1, 1, [128, 2]).astype(np.float32)
    modes = np.array([[-0.5, 0.0], [0.5, 0.0]])
    rewards = -np.min(np.sum((actions[:, np.newaxis] - modes) ** 2, axis=-1), axis=-1) / 0.05
    keras.utils.set_random_seed(0)
    # The quickest density: nothing depends on it, as the start is fixed and episodes have one step.
    sampler = SteinSampler(8, 10, 0.05, density_change="printed")
    agent = S2acAgent(
        ts.time_step_spec(tensor_spec.from_spec(observation)),
        action_spec,
        FixedGaussianActorNetwork(observation, action_spec),
        CriticNetwork(observation, action_spec, (32, 32), activation="elu"),
        improvement=SteinImprovement(sampler, batch_parts=1),
        temperature=FixedTemperature(1.0),
        critic_fit=CriticFit(Adam(0.01)),
        acting=Acting(seed=0, jit_compile=False),
    )
    ones = tf.ones([128, 1])
    rewards = tf.constant(rewards, tf.float32)
    transitions = Transitions(ones, tf.constant(actions), rewards, tf.zeros([128]), ones)

    @tf.function(autograph=False)
    def train():
        def step(i):
            agent.update(transitions, tf.stack([5, i]))
            return (i + 1,)

        return tf.while_loop(lambda i: i < 500, step, [0], parallel_iterations=1)

    train()
    drawn = agent.collect_policy.act(np.ones([1000, 1]))[0].numpy()
    distance = np.linalg.norm(drawn[:, np.newaxis] - modes, axis=-1)
    assert (np.mean(distance < 0.4, axis=0) > 0.3).all(), np.mean(distance < 0.4, axis=0)
    greedy = agent.policy.act(np.ones([1, 1]))[0].numpy()
    assert np.linalg.norm(greedy - modes, axis=-1).min() < 0.3, greedy
