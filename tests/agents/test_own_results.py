"""What parts of a user's own return is checked by class while an update is traced, and the batch by name."""

from __future__ import annotations

import functools
import re

import pytest
import tensorflow as tf

from expol_tf.agents import (
    ActorCriticAgent,
    Companion,
    CriticFit,
    DeterministicValue,
    DiscriminatorFit,
    ImprovementParts,
    LangevinParticles,
    LearnedTemperature,
    MatchingImprovement,
    ParpiAgent,
    PolicyImprovement,
    PpoAgent,
    SoftValue,
)
from expol_tf.agents.discriminators import Discriminator
from expol_tf.agents.experience import require_transitions
from expol_tf.errors import ConfigurationError
from expol_tf.networks import DiscriminatorNetwork, ValueNetwork
from expol_tf.objectives import Improvement, jsd
from expol_tf.optimizers import Adam
from tests.agents import small_off_policy as small

BATCH = small.as_tensors(small.make_transitions())
SEED = tf.constant([1, 2])


class HalfValue(SoftValue):
    """Returns what a function makes of V `[N]`."""

    def __init__(self, make):
        self.make = make

    def __call__(self, observation, *inputs, box):
        return self.make(0.5 * tf.reduce_sum(observation, axis=-1))


class HalfFit(CriticFit):
    """Its target is what a function makes of the usual one."""

    make = staticmethod(tf.identity)

    def target(self, *inputs):
        return type(self).make(super().target(*inputs))


class Own(PolicyImprovement):
    """Its loss is what a function makes of an improvement with all items."""

    requires = ("sample_and_log_prob",)
    knows_density = True

    def __init__(self, make):
        self.make = make

    def __call__(self, observation, policy, critic, temperature, seed, valid=None, *, box):
        action, log_prob = policy(observation).experimental_sample_and_log_prob(seed=seed)
        q = critic(observation, action)[:, 0]
        return self.make(Improvement(-tf.reduce_mean(q), log_prob, {"q": tf.reduce_mean(q)}))


def refused(agent, words, transitions=BATCH):
    """The compiled update is refused where it is traced."""
    update = tf.function(lambda: agent.update(transitions, SEED), autograph=False)
    with pytest.raises(ConfigurationError, match=words):
        update.get_concrete_function()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda v: v[:, tf.newaxis], "V [N] with N = 20; got [20, 1]. Remove the last axis by tf.squeeze(V"),
        (lambda v: tf.stack([v, v], axis=1), "V [N] with N = 20; got [20, 2]. Make one number"),
        (tf.reduce_mean, "V [N] with N = 20; got []. Return one V for each state"),
        (lambda v: 0.0, "V [N] with N = 20; got []."),
        (lambda v: v[:3], "V [N] with N = 20; got [3]."),
        (lambda v: tf.cast(v, tf.float64), "V of dtype float32; got float64"),
        (lambda v: (v, ()), "V as a tensor; got tuple. Return V alone."),
        (lambda v: None, "V as a tensor; got None."),
    ],
)
def test_v_is_one_number_for_each_state(make, words):
    refused(agent_of(HalfValue(make)), "^HalfValue must return " + re.escape(words))


def agent_of(soft_value=None, improvement=None, **settings):
    actor = small.GaussianActorNetwork(small.OBSERVATION, small.ACTION, (4,), squash=True)
    return ActorCriticAgent(
        *small.SPECS,
        actor,
        small.QuadraticCritic(),
        soft_value=soft_value or DeterministicValue(),
        improvement=improvement or Own(lambda improvement: improvement),
        **settings,
    )


def test_y_is_one_number_for_each_state():
    class Wrong(HalfFit):
        """Would be broadcast to [N, N, C]."""

        make = staticmethod(lambda y: y[:, tf.newaxis])

    refused(agent_of(critic_fit=Wrong()), r"^Wrong.target must return y \[N\] with N = 20; got \[20, 1\]")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda i: i._replace(loss=i.log_prob), "^Own must return loss as a scalar; got .20.. Take the mean"),
        (lambda i: i.loss, r"^Own must return Improvement\(loss, log_prob, metrics\); got a .*Tensor"),
        (lambda i: (i.loss, i.log_prob), r"^Own must return Improvement\(.*; got a tuple"),
        (
            lambda i: i._replace(log_prob=i.log_prob[:, tf.newaxis]),
            r"^Own must return log_prob \[N\] with N = 20",
        ),
        (lambda i: i._replace(log_prob=i.loss), r"^Own must return log_prob \[N\] with N = 20; got \[\]"),
        (lambda i: i._replace(metrics={"q": i.log_prob}), r"^Own must return metrics\['q'\] as a scalar"),
        (lambda i: i._replace(metrics=None), "^Own must return metrics as a dictionary of scalars; got None"),
    ],
)
def test_an_improvement_returns_an_improvement(make, words):
    refused(agent_of(improvement=Own(make)), words)


def test_a_learned_temperature_is_given_the_density_that_was_promised():
    improvement = Own(lambda improvement: improvement._replace(log_prob=None))
    agent_of(improvement=improvement).update(BATCH, SEED)
    refused(
        agent_of(improvement=improvement, temperature=LearnedTemperature()),
        "^Own must return log_prob .*knows_density = True .* LearnedTemperature needs; got None",
    )


def test_the_loss_of_a_companion_is_checked_too():
    class Beside(Own):
        """Trains a companion."""

        def build(self, specs, actor_network, critic_network, temperature):
            companion = actor_network.copy(name="Beside")
            loss = Own(lambda improvement: improvement._replace(loss=improvement.log_prob))
            return ImprovementParts(
                self, actor_network, companions=[Companion("double", companion, loss, Adam())]
            )

    refused(
        agent_of(improvement=Beside(lambda improvement: improvement)),
        "^The loss of companion 'double' must return loss as a scalar",
    )


class Told(Own):
    """Trains a discriminator."""

    contrast, matching, network = LangevinParticles(), jsd(), DiscriminatorNetwork

    def build(self, specs, actor_network, critic_network, temperature):
        f = type(self).network(small.OBSERVATION, small.ACTION)
        told = Discriminator("told", f, self.contrast, self.matching, Adam(), 1, lambda: None)
        return ImprovementParts(self, actor_network, [told])


def test_a_contrast_and_a_matching_of_ones_own_are_checked():
    class BareContrast(Told):
        """Returns two actions."""

        def contrast(self, observation, policy, *inputs, box):
            action = policy(observation).sample(seed=SEED)
            return action, action

    class WideMatching(Told):
        """Its value keeps an axis."""

        matching = jsd()._replace(value=lambda f, g: (f - g)[:, tf.newaxis])

    for cls, words in (
        (
            BareContrast,
            r"^The contrast of discriminator 'told' must return Contrast\(policy_action, .*got a tuple",
        ),
        (WideMatching, r"^matching.value\(f_policy, f_target\) must be \[N\]"),
    ):
        refused(agent_of(improvement=cls(lambda improvement: improvement)), words)


def test_a_discriminator_gives_one_number():
    class Pair(DiscriminatorNetwork):
        """Returns f `[N, 2]`."""

        def call(self, inputs, step_type=None, network_state=(), training=False):
            f, state = super().call(inputs)
            return tf.stack([f, f], axis=-1), state

    networks = (
        small.GaussianActorNetwork(small.OBSERVATION, small.ACTION, (4,), squash=True),
        small.CriticNetwork(small.OBSERVATION, small.ACTION, (4,)),
    )
    fit = DiscriminatorFit(functools.partial(Pair, hidden_units=(4,)))
    agent = ParpiAgent(*small.SPECS, *networks, improvement=MatchingImprovement(jsd(), discriminator=fit))
    refused(agent, r"^discriminator\(observation, action\) must be \[N\]; got \(40, 2\)")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(reward=BATCH.reward[:, tf.newaxis]), r"reward must be \[N\]; got \(20, 1\)"),
        (dict(discount=BATCH.discount[:3]), r"discount must be \[N\] with N = 20 .*; got \(3,\)"),
        (dict(observation=BATCH.observation[0]), r"observation must be \[N, 3\]; got \(3,\)"),
        (dict(next_observation=BATCH.next_observation[:, :2]), r"next_observation must .*; got \(20, 2\)"),
        (dict(action=BATCH.action[:, :1]), r"action must be \[N, 2\]; got \(20, 1\)"),
        (dict(valid=BATCH.valid[:, tf.newaxis]), r"valid must be \[N\]; got \(20, 1\)"),
        (dict(valid=BATCH.reward), "valid must be bool; got float32"),
        (dict(reward=tf.cast(BATCH.reward, tf.float64)), "reward must be float32; got float64"),
        (dict(reward=None), r"reward must be \[N\]; got None"),
    ],
)
def test_transitions_are_checked_by_name(changes, words):
    refused(small.sac(), rf"^transitions\.{words}", BATCH._replace(**changes))


def test_what_is_checked_adds_no_operation():
    before = len(tf.compat.v1.get_default_graph().get_operations())
    graph = tf.Graph()
    with graph.as_default():
        batch = small.as_tensors(small.make_transitions())
        seed = tf.constant([1, 2])
        operations = len(graph.get_operations())
        require_transitions(batch, seed, 3, 2)
        assert len(graph.get_operations()) == operations
    assert len(tf.compat.v1.get_default_graph().get_operations()) == before


def test_a_value_network_gives_one_number_for_each_state():
    class Column(ValueNetwork):
        """Returns V `[N, 1]`."""

        def call(self, observation, step_type=None, network_state=(), training=False):
            value, state = super().call(observation)
            return value[:, tf.newaxis], state

    actor = small.GaussianActorNetwork(small.OBSERVATION, small.ACTION, (4,))
    with pytest.raises(
        ConfigurationError, match=r"value_network must be .*; Column returns \(EagerTensor \(2, 1\)"
    ):
        PpoAgent(*small.SPECS, actor, Column(small.OBSERVATION, (4,)))
