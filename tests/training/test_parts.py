"""What goes with which agent, and what does not."""

from __future__ import annotations

import functools
from typing import Any

import gin
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    Acting,
    ActorCriticAgent,
    CriticFit,
    DdpgAgent,
    NbpAgent,
    ParpiAgent,
    PpoAgent,
    S2acAgent,
    SacAgent,
    SqlAgent,
    TrpoAgent,
)
from expol_tf.errors import ConfigurationError
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    NoisyActorNetwork,
    ObservationNormalizer,
    SamplingActorNetwork,
    ValueNetwork,
)
from expol_tf.training import Learner, OffPolicyRunner, OnPolicyRunner
from expol_tf.training.parts import Parts, choose_parts


class Own(SacAgent):
    """A user's variant."""


def make_sac(*networks: Any, **arguments: Any) -> SacAgent:
    return SacAgent(*networks, **arguments)


def make_something(*networks: Any, **arguments: Any) -> Any:
    return SacAgent(*networks, **arguments)


def parts_of(*factories: Any, num_envs: int | None = None, **named: Any) -> Parts:
    return choose_parts(Learner(*factories, **named), num_envs)


def underlying(factory: Any) -> Any:
    return factory.func if isinstance(factory, functools.partial) else factory


@pytest.mark.parametrize(
    "agent", [TrpoAgent, PpoAgent, functools.partial(TrpoAgent, acting=Acting(seed=1)), make_something]
)
def test_on_policy_agents(agent: Any) -> None:
    parts = parts_of(agent)
    assert not parts.off_policy and parts.num_envs == 32
    assert (parts.actor_network, parts.value_network) == (FlowActorNetwork, ValueNetwork)
    assert (parts.runner, parts.observation_normalizer) == (OnPolicyRunner, ObservationNormalizer)
    assert parts.critic_network is None


@pytest.mark.parametrize(
    ("agent", "actor_network", "num_critics"),
    [
        (SacAgent, GaussianActorNetwork, 2),
        (Own, GaussianActorNetwork, 2),
        (ActorCriticAgent, GaussianActorNetwork, 2),
        (make_sac, GaussianActorNetwork, 2),
        (
            functools.partial(functools.partial(make_sac, critic_fit=CriticFit()), acting=Acting(seed=1)),
            GaussianActorNetwork,
            2,
        ),
        (functools.partial(SqlAgent, critic_fit=CriticFit(gamma=0.9)), SamplingActorNetwork, 1),
        (DdpgAgent, DeterministicActorNetwork, 1),
        (S2acAgent, GaussianActorNetwork, 2),
        (ParpiAgent, GaussianActorNetwork, 2),
        (NbpAgent, NoisyActorNetwork, 1),
    ],
)
def test_off_policy_agents(agent: Any, actor_network: Any, num_critics: int) -> None:
    parts = parts_of(agent)
    assert parts.off_policy and parts.num_envs == 1
    assert underlying(parts.actor_network) is actor_network
    assert underlying(parts.critic_network) is CriticNetwork and underlying(parts.runner) is OffPolicyRunner
    assert getattr(parts.critic_network, "keywords", {}).get("num_critics", 2) == num_critics
    assert parts.value_network is None and parts.observation_normalizer is None


def test_s2ac_has_a_smooth_critic_and_a_bounded_deviation() -> None:
    parts = parts_of(functools.partial(S2acAgent, critic_fit=CriticFit(gamma=0.9)))
    assert parts.critic_network.keywords["activation"] == "elu"  # type: ignore[union-attr]
    assert parts.actor_network.keywords["log_std"].bounds == pytest.approx((-2.302585, 0.0))  # type: ignore[attr-defined]


def test_an_agent_that_does_not_tell_is_what_its_parts_are() -> None:
    for parts in (
        parts_of(make_something, runner=functools.partial(OffPolicyRunner, batch_size=3)),
        parts_of(make_something, critic_network=CriticNetwork),
    ):
        assert parts.off_policy and underlying(parts.runner) is OffPolicyRunner


def test_what_is_given_is_kept() -> None:
    parts = parts_of(
        SacAgent,
        FlowActorNetwork,
        critic_network=functools.partial(CriticNetwork, num_critics=5),
        observation_normalizer=ObservationNormalizer,
        num_envs=3,
    )
    assert (parts.actor_network, parts.observation_normalizer) == (FlowActorNetwork, ObservationNormalizer)
    assert parts.critic_network.keywords == {"num_critics": 5} and parts.num_envs == 3  # type: ignore[union-attr]
    assert parts_of(TrpoAgent, observation_normalizer=None).observation_normalizer is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(agent=SacAgent, value_network=ValueNetwork), "value_network must not be given for SacAgent"),
        (dict(agent=PpoAgent, critic_network=CriticNetwork), "critic_network must not be given for PpoAgent"),
        (
            dict(agent=Own, runner=OnPolicyRunner),
            "runner must be one for off-policy .* such as Own; got OnPolicy",
        ),
        (
            dict(agent=TrpoAgent, runner=functools.partial(OffPolicyRunner, batch_size=3)),
            "runner must be one for on-policy agents such as TrpoAgent; got OffPolicyRunner. Give OnPolicy",
        ),
        (dict(agent=SacAgent, observation_normalizer="yes"), "observation_normalizer must be .*got 'yes'"),
    ],
    ids=["value", "critic", "on-policy runner", "off-policy runner", "normalizer"],
)
def test_parts_of_the_other_kind_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parts_of(**arguments)


OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)


@pytest.mark.parametrize("cls", [SacAgent, TrpoAgent])
def test_an_agent_gets_the_seed_of_the_run(cls: type) -> None:
    def make(seed: int | None) -> Any:
        agent = functools.partial(cls, acting=Acting(seed=seed, jit_compile=False))
        return parts_of(agent).make_agent(agent, ts.time_step_spec(OBSERVATION), ACTION, seed=3)

    left_out, equal = make(None), make(3)
    for one, other in (
        (left_out.generator, equal.generator),
        (left_out.collect_policy.generator, equal.collect_policy.generator),
    ):
        np.testing.assert_array_equal(one.state, other.state)
    with pytest.raises(ConfigurationError, match="Acting.seed must be left out here, .* 3; got 1. Set SEED"):
        make(1)


def test_what_is_no_agent_of_the_library_is_refused() -> None:
    def make(*networks: Any, **arguments: Any) -> Any:
        return object()

    with pytest.raises(ConfigurationError, match="agent must make an agent of this library.*got <object"):
        parts_of(make).make_agent(make, ts.time_step_spec(OBSERVATION), ACTION, seed=0)


def test_gin_references_tell_their_class() -> None:
    received = []

    @gin.configurable("receive_parts_of_test")
    def receive(agent: Any, runner: Any) -> None:
        received.append(parts_of(agent, runner=runner))

    with gin.unlock_config():
        gin.parse_config(
            "receive_parts_of_test.agent = @own/expol_tf.DdpgAgent\n"
            "receive_parts_of_test.runner = @own/OffPolicyRunner\n"
            "own/OffPolicyRunner.batch_size = 7\n"
        )
        try:
            receive()  # type: ignore[call-arg]
        finally:
            gin.clear_config()
    assert received[0].off_policy and underlying(received[0].actor_network) is DeterministicActorNetwork


@pytest.mark.parametrize(
    ("runner", "bindings", "num_envs", "got"),
    [
        (None, "", 30, "2048 steps for 30"),
        (None, "OnPolicyRunner.iteration_steps = 100", None, "100 steps for 32"),
        (
            functools.partial(OnPolicyRunner, iteration_steps=8),
            "OnPolicyRunner.iteration_steps = 64",
            16,
            "8 steps",
        ),
        (
            functools.partial(functools.partial(OnPolicyRunner, iteration_steps=64), iteration_steps=8),
            "",
            16,
            "8 steps for 16",
        ),
    ],
    ids=["default", "gin", "partial", "two partials"],
)
def test_fault_15_steps_of_an_iteration_are_held_against_the_environments(
    runner: Any, bindings: str, num_envs: int | None, got: str
) -> None:
    gin.parse_config(bindings)
    try:
        with pytest.raises(ConfigurationError, match=f"multiple of the number of environments; got {got}"):
            choose_parts(Learner(PpoAgent, runner=runner), num_envs)
        # Of a function nobody knows how many it will take.
        assert choose_parts(Learner(PpoAgent, runner=lambda env, agent: None), num_envs).runner is not None
        assert choose_parts(
            Learner(PpoAgent, runner=functools.partial(OnPolicyRunner, iteration_steps=960)), 30
        )
    finally:
        gin.clear_config()


def test_the_runner_in_a_scope_has_steps_of_its_own() -> None:
    gin.parse_config("long/OnPolicyRunner.iteration_steps = 60\nchoose.runner = @long/OnPolicyRunner")
    try:
        runner = choose()
        assert choose_parts(Learner(PpoAgent, runner=runner), 30).runner is runner
    finally:
        gin.clear_config()


@gin.configurable
def choose(runner: Any = None) -> Any:
    return runner
