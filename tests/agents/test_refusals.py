"""What an agent refuses when it is made: networks that do not fit, shared parts, wrong requirements."""

from __future__ import annotations

import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.agents import (
    Acting,
    DeterministicImprovement,
    ExpectedValue,
    LearnedTemperature,
    ParticleSelection,
    PolicyImprovement,
    PpoAgent,
    ReparameterizedImprovement,
    S2acAgent,
    ScheduledTemperature,
    SoftValue,
)
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import CriticNetwork, GaussianActorNetwork, ValueNetwork
from tests.agents import small_off_policy as small
from tests.agents.own_parts import RisingQ, WithDensity, make_agent
from tests.agents.unusual_networks import CustomActorNetwork, NotReparameterized


def gaussian(action=small.ACTION, observation=small.OBSERVATION):
    return GaussianActorNetwork(observation, action, (4,), squash=True)


def critic():
    return CriticNetwork(small.OBSERVATION, small.ACTION, (4,))


def value():
    return ValueNetwork(small.OBSERVATION, (4,))


WIDE = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)
LONG = tensor_spec.TensorSpec([5], tf.float32)


@pytest.mark.parametrize(
    ("actor", "words"),
    [
        (critic, r"must be network\(observation\) -> .*got a CriticNetwork, which takes 2 inputs"),
        (value, "must be .*ValueNetwork returns .EagerTensor"),
        (
            lambda: gaussian(WIDE),
            r"must give actions of action_spec's shape \(2,\); got \(3,\) from Gaussian",
        ),
        (
            lambda: gaussian(observation=LONG),
            r"must take inputs of shape \(3,\).*GaussianActorNetwork for \(5,\)",
        ),
    ],
    ids=["critic", "value", "actions", "observations"],
)
def test_an_actor_of_the_wrong_kind_is_refused(actor, words):
    with pytest.raises(ConfigurationError, match=f"^actor_network {words}"):
        small.sac(actor())
    with pytest.raises(ConfigurationError, match=f"^actor_network {words}"):
        PpoAgent(*small.SPECS, actor(), value())


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (value, r"must be network\(\(observation, action\)\) -> .*ValueNetwork, which takes 1 input\."),
        (
            lambda: CriticNetwork(small.OBSERVATION, WIDE, (4,)),
            r"must take inputs of shape \(2,\).*for \(3,\)",
        ),
    ],
)
def test_a_critic_of_the_wrong_kind_is_refused(network, words):
    with pytest.raises(ConfigurationError, match=f"^critic_network {words}"):
        small.sac(critic=network())


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: small.SacAgent(*small.SPECS, None, critic()), "actor_network"),
        (lambda: small.SacAgent(*small.SPECS, gaussian(), None), "critic_network"),
        (lambda: PpoAgent(*small.SPECS, None, value()), "actor_network"),
        (lambda: PpoAgent(*small.SPECS, gaussian(), None), "value_network"),
    ],
)
def test_no_network_is_refused_by_name(make, argument):
    with pytest.raises(ConfigurationError, match=f"{argument} must .*None"):
        make()


def test_a_critic_is_no_value_network():
    with pytest.raises(
        ConfigurationError, match="value_network must be .*CriticNetwork, which takes 2 inputs"
    ):
        PpoAgent(*small.SPECS, gaussian(), critic())


@pytest.mark.parametrize("rule", ["random", "argmax"])
def test_particles_are_selected_of_a_stein_policy_only(rule):
    acting = Acting(selection=ParticleSelection(rule), jit_compile=False)
    with pytest.raises(
        CapabilityError, match=rf"acting.selection: .*'{rule}'.*TransformedDistribution has no part"
    ):
        small.sac(acting=acting)
    smooth = CriticNetwork(small.OBSERVATION, small.ACTION, (4,), activation="elu")
    S2acAgent(*small.SPECS, gaussian(), smooth, acting=acting)


def test_an_evaluation_network_is_a_policy():
    for network, words in (
        (value(), r"acting.evaluation_network must be network\(observation\) ->"),
        (critic(), "acting.evaluation_network must be .*takes 2 inputs"),
        (gaussian(WIDE), "acting.evaluation_network must give actions"),
    ):
        acting = Acting(evaluation_network=network, jit_compile=False)
        with pytest.raises(ConfigurationError, match=words):
            small.sac(acting=acting)


def test_an_evaluation_network_without_a_greedy_action_is_refused():
    class NoMode(NotReparameterized):
        """Nobody knows its mode."""

        def _mode(self):
            raise NotImplementedError

    with pytest.raises(
        CapabilityError, match="acting.evaluation_network must .*greedy_action.*NoMode has none"
    ):
        small.sac(acting=Acting(evaluation_network=CustomActorNetwork(NoMode), jit_compile=False))


@pytest.mark.parametrize(
    "make", [lambda: ScheduledTemperature(lambda step: 0.1), LearnedTemperature], ids=["scheduled", "learned"]
)
def test_a_temperature_with_state_is_one_agents(make):
    temperature = make()
    small.sac(temperature=temperature)
    with pytest.raises(
        ConfigurationError, match=f"{temperature.name}: it is one agent's, and was given a second"
    ):
        small.sac(temperature=temperature)


def test_a_keras_optimizer_is_one_networks():
    optimizer = keras.optimizers.Adam(1e-3)
    words = "it already has variables of another network, and was given a second one. Make one for each"
    with pytest.raises(ConfigurationError, match=words):
        small.sac(
            improvement=ReparameterizedImprovement(optimizer=optimizer),
            critic_fit=small.CriticFit(optimizer),
        )
    shared = keras.optimizers.SGD(1e-3)
    small.sac(temperature=LearnedTemperature(optimizer=shared))
    for settings in (
        dict(temperature=LearnedTemperature(optimizer=shared)),
        dict(critic_fit=small.CriticFit(shared)),
        dict(improvement=ReparameterizedImprovement(optimizer=shared)),
    ):
        with pytest.raises(ConfigurationError, match=words):
            small.sac(**settings)


def made(base, requires):
    return type("Own", (base,), {"requires": requires, "__doc__": "Requires something."})


@pytest.mark.parametrize(
    ("requires", "words"),
    [
        ("log_prob", r"must be a sequence of names .*; got 'log_prob'. Write \('log_prob',\)"),
        (("log_probs",), "must name some of .*; got 'log_probs'. Did you mean 'log_prob'"),
        (("Sample",), "must name some of .*; got 'Sample'. Did you mean 'sample'"),
        (("density",), "must name some of .*; got 'density'"),
        (3, "must be a sequence of names .*; got 3"),
    ],
)
def test_what_a_part_requires_is_a_known_capability(requires, words):
    for settings in (
        dict(soft_value=made(ExpectedValue, requires)()),
        dict(improvement=made(RisingQ, requires)()),
        dict(critic_fit=made(WithDensity, requires)()),
    ):
        with pytest.raises(ConfigurationError, match=f"^Own.requires {words}"):
            make_agent(gaussian(), **settings)


def test_a_misspelt_attribute_of_a_part_is_refused_where_it_is_written():
    with pytest.raises(ConfigurationError, match="^Own.require must not .*did you mean 'requires'"):

        class Own(SoftValue):
            """Misspells."""

            require = ("log_prob",)

    with pytest.raises(
        ConfigurationError, match="^Other.knows_densit must not .*did you mean 'knows_density'"
    ):

        class Other(PolicyImprovement):
            """Misspells."""

            knows_densit = True

    class Fine(DeterministicImprovement):
        """Adds something of its own."""

        shift = 0.5

    assert Fine().shift == 0.5
