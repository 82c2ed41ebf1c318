"""Parts of a user's own in an `ActorCriticAgent`, and what it says of parts that are none."""

from __future__ import annotations

import dataclasses
import functools

import gin
import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import (
    Acting,
    ActorCriticAgent,
    AgentSpecs,
    AlgorithmParts,
    CriticFit,
    DeterministicImprovement,
    DeterministicValue,
    ExpectedValue,
    FixedTemperature,
    GaussianNoise,
    LearnedTemperature,
    PolicyImprovement,
    ReparameterizedImprovement,
    SacAgent,
    SoftValue,
    TargetUpdate,
)
from expol_tf.distributions import greedy_action
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import CriticNetwork, GaussianActorNetwork, SamplingActorNetwork
from expol_tf.objectives import deterministic_value
from expol_tf.optimizers import Adam
from tests.agents import small_off_policy as small
from tests.agents.own_parts import RisingQ, WithDensity, make_agent

BATCH = small.as_tensors(small.make_transitions())


class ValueOfTheGreedyAction(SoftValue):
    """V(s) = min_c Q_c(s, a), a the greedy action."""

    requires = ("greedy_action",)

    def __call__(self, observation, policy, critic, temperature, seed, *, box):
        return tf.reduce_min(critic(observation, greedy_action(policy(observation))), axis=-1)


@dataclasses.dataclass(frozen=True)
class WithBonus(CriticFit):
    """y + β·(reward > 0)."""

    bonus: float = 100.0

    def target(self, batch, value, policy, temperature, box):
        return super().target(batch, value, policy, temperature, box) + self.bonus * tf.cast(
            batch.reward > 0, tf.float32
        )


def squashed_gaussian():
    return GaussianActorNetwork(small.OBSERVATION, small.ACTION, (4,), squash=True)


def test_a_soft_value_of_ones_own():
    agent = make_agent(soft_value=ValueOfTheGreedyAction())
    metrics = agent.update(BATCH, tf.constant([1, 2]))
    # The linear actor has but one action.
    expected = make_agent().update(BATCH, tf.constant([1, 2]))
    for name, value in expected.items():
        np.testing.assert_array_equal(metrics[name], value, err_msg=name)


def test_an_improvement_of_ones_own():
    agent = make_agent(improvement=RisingQ())
    before = agent.actor_network.weights_.numpy()
    metrics = agent.update(BATCH, tf.constant([1, 2]))
    assert float(metrics["actor_loss"]) == -float(metrics["first_q"])
    # Adam's first step is its learning rate.
    moved = np.abs(agent.actor_network.weights_.numpy() - before)
    np.testing.assert_allclose(moved, np.full([3, 2], 0.03), rtol=1e-3)
    assert agent.warnings({"first_q": 0.5}) == ["first_q is 0.5"] and not agent.warnings({})


def test_a_target_of_ones_own():
    settings = dict(target_update=TargetUpdate(0.5), gamma=0.9)
    plain, own = (make_agent(critic_fit=fit(**settings)) for fit in (CriticFit, WithBonus))
    q = own.critic(BATCH.observation, BATCH.action)
    value = deterministic_value(
        BATCH.next_observation,
        lambda observation: own.actor_network(observation)[0],
        own.critic,
        tf.constant(0.0),
        tf.constant([0, 0]),
    )
    target = BATCH.reward + 0.9 * BATCH.discount * value + 100.0 * tf.cast(BATCH.reward > 0, tf.float32)
    errors = tf.boolean_mask(tf.square(q - target[:, tf.newaxis]), BATCH.valid)
    expected = 0.5 * float(tf.reduce_mean(errors))
    found = {agent: float(agent.update(BATCH, tf.constant([1, 2]))["critic_loss"]) for agent in (plain, own)}
    assert found[own] == pytest.approx(expected, rel=1e-4) and found[own] > 10 * found[plain]


def test_what_ones_own_parts_require_is_asked_of_the_policy():
    sampling = SamplingActorNetwork(small.OBSERVATION, small.ACTION, (4,))
    with pytest.raises(CapabilityError, match="ActorCriticAgent needs .*log_prob.*SamplingActorNetwork"):
        make_agent(sampling, critic_fit=WithDensity())
    make_agent(squashed_gaussian(), critic_fit=WithDensity())


def test_parts_recombine_and_the_optimizer_of_the_improvement_is_used():
    agent = ActorCriticAgent(
        *small.SPECS,
        squashed_gaussian(),
        CriticNetwork(small.OBSERVATION, small.ACTION, (4,)),
        soft_value=ExpectedValue(),
        improvement=ReparameterizedImprovement(optimizer=Adam(1e-12)),
        temperature=FixedTemperature(0.1),
        acting=Acting(seed=0, jit_compile=False),
    )
    before = [variable.numpy() for variable in agent.actor_network.trainable_variables]
    agent.update(BATCH, tf.constant([1, 2]))
    for variable, old in zip(agent.actor_network.trainable_variables, before, strict=True):
        np.testing.assert_allclose(variable, old, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            dict(soft_value=deterministic_value),
            "soft_value must be a SoftValue or None; got the function deterministic_.*a class from SoftValue",
        ),
        (
            dict(soft_value=DeterministicValue),
            r"soft_value must be a SoftValue or None.*Call it: DeterministicValue\(\)",
        ),
        (
            dict(soft_value=DeterministicImprovement()),
            "soft_value must be a SoftValue or None; got DeterministicImprov",
        ),
        (
            dict(improvement=lambda *arguments, box: None),
            "improvement must be a PolicyImprovement or None; got the function.*class from PolicyImprovement",
        ),
        (
            dict(improvement=DeterministicImprovement),
            r"improvement must be a PolicyImprovement.*Call it: DeterministicImprovement\(\)",
        ),
        (dict(improvement=None), "improvement must be a PolicyImprovement; got None"),
        (dict(temperature=0.5), "temperature must be a Temperature or None; got 0.5"),
    ],
    ids=["function", "class", "other", "loss", "improvement class", "nothing", "number"],
)
def test_what_is_no_part_is_refused_by_name(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        make_agent(**settings)


def test_a_subclass_with_its_own_parts_is_an_algorithm():
    class Own(ActorCriticAgent):
        """The agent of `make_agent`, by name."""

        own_parts = AlgorithmParts(
            DeterministicValue,
            DeterministicImprovement,
            functools.partial(FixedTemperature, 0.0),
            critic_fit=lambda: dict(target_actor=True),
            exploration=functools.partial(GaussianNoise, 0.3),
        )

    networks = small.LinearActor(), small.QuadraticCritic()
    agent = Own(*small.SPECS, *networks, acting=Acting(seed=0, jit_compile=False))
    assert agent.acting.exploration.std == 0.3
    fit = CriticFit(target_actor=True)
    expected = make_agent(critic_fit=fit).update(BATCH, tf.constant([1, 2]))
    for name, value in agent.update(BATCH, tf.constant([1, 2])).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert Own.accepts(AgentSpecs("Own", *small.SPECS), networks[0]) == "Own"
    with pytest.raises(ConfigurationError, match="soft_value must be a SoftValue or None; got 0.5"):
        Own(*small.SPECS, *networks, soft_value=0.5)


def test_what_gin_sets_on_the_agent_holds_for_an_algorithm_and_gives_way_to_its_own_setting():
    networks = squashed_gaussian(), CriticNetwork(small.OBSERVATION, small.ACTION, (4,))
    acting = Acting(seed=0, jit_compile=False)
    try:
        gin.parse_config(
            "expol_tf.ActorCriticAgent.temperature = @FixedTemperature()\nFixedTemperature.temperature = 0.25"
        )
        assert float(SacAgent(*small.SPECS, *networks, acting=acting).temperature.value()) == 0.25
        gin.parse_config("expol_tf.SacAgent.temperature = @LearnedTemperature()")
        assert isinstance(SacAgent(*small.SPECS, *networks, acting=acting).temperature, LearnedTemperature)
    finally:
        gin.clear_config()


def test_an_improvement_with_networks_of_its_own_has_no_loss_before_they_are_made():
    class OnlyBuilds(PolicyImprovement):
        """It implements `build` alone."""

    arguments = BATCH.observation, None, None, tf.constant(0.0), tf.constant([0, 0])
    with pytest.raises(
        NotImplementedError, match="OnlyBuilds has networks of its own: ask what `build` returns"
    ):
        OnlyBuilds()(*arguments, box=small.ACTION)
