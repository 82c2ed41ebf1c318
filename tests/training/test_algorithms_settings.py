"""A `functools.partial` of an algorithm's own class keeps the algorithm's other settings."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import gin
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

import expol_tf
from expol_tf.agents import (
    ActorCriticAgent,
    DdpgAgent,
    DensityRatioImprovement,
    FixedTemperature,
    LogSumExpValue,
    PpoAgent,
    ReparameterizedImprovement,
    S2acAgent,
    SacAgent,
    SqlAgent,
)
from expol_tf.distributions import split_squash
from expol_tf.errors import CapabilityError
from expol_tf.networks import (
    CriticNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    LogStd,
    MixtureActorNetwork,
)
from expol_tf.training import Learner, OffPolicyRunner, OnPolicyRunner
from expol_tf.training.parts import choose_parts

OBSERVATION_SPEC = tensor_spec.TensorSpec([3], tf.float32)
ACTION_SPEC = tensor_spec.BoundedTensorSpec([2], tf.float32, [-1.0, 0.0], [1.0, 4.0])
SPECS = OBSERVATION_SPEC, ACTION_SPEC


def keywords(part: Any) -> dict[str, Any]:
    assert isinstance(part, functools.partial)
    return part.keywords


def test_fault_03_a_partial_of_the_policy_is_squashed_as_the_algorithms_own() -> None:
    given = functools.partial(GaussianActorNetwork, hidden_units=(32, 32))
    parts = choose_parts(Learner(SacAgent, actor_network=given))
    own = keywords(SacAgent.defaults.actor_network)
    assert keywords(parts.actor_network) == own | {"hidden_units": (32, 32)}
    network = parts.actor_network(*SPECS)
    assert split_squash(network(tf.zeros([1, 3]))[0])[1] is not None
    assert [layer.shape[-1] for layer in network.trainable_variables if layer.shape.rank == 2] == [32, 32, 4]


@pytest.mark.parametrize(
    ("agent", "part", "given", "kept"),
    [
        (S2acAgent, "critic_network", functools.partial(CriticNetwork, num_critics=3), {"activation": "elu"}),
        (
            DdpgAgent,
            "critic_network",
            functools.partial(CriticNetwork, hidden_units=(8,)),
            {"num_critics": 1},
        ),
        (SqlAgent, "runner", functools.partial(OffPolicyRunner, warm_up_steps=10), {"batch_size": 64}),
        (
            functools.partial(SacAgent, temperature=FixedTemperature(0.1)),
            "actor_network",
            functools.partial(functools.partial(GaussianActorNetwork, hidden_units=(8,)), activation="elu"),
            {"squash": True, "log_std": LogStd(state_dependent=True)},
        ),
    ],
    ids=["critic", "number of critics", "runner", "policy"],
)
def test_fault_03_partials_of_the_other_parts(
    agent: Any, part: str, given: Any, kept: dict[str, Any]
) -> None:
    made = keywords(getattr(choose_parts(Learner(agent, **{part: given})), part))
    assert given.keywords.items() <= made.items() and kept.items() <= made.items()


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        (SacAgent, functools.partial(MixtureActorNetwork, squash=True)),  # Another class.
        (PpoAgent, functools.partial(GaussianActorNetwork, hidden_units=(8,))),
        (SacAgent, GaussianActorNetwork),  # Gin's @GaussianActorNetwork, whose bindings say the rest.
        (SacAgent, lambda *specs: GaussianActorNetwork(*specs)),
    ],
)
def test_what_is_no_partial_of_the_algorithms_own_class_stays(agent: Any, given: Any) -> None:
    assert choose_parts(Learner(agent, actor_network=given)).actor_network is given


def test_what_is_given_wins() -> None:
    given = functools.partial(GaussianActorNetwork, squash=False, log_std=None)
    made = keywords(choose_parts(Learner(SacAgent, actor_network=given)).actor_network)
    assert made["squash"] is False and made["log_std"] is None and made["activation"] == "relu"


def test_what_gin_holds_wins() -> None:
    gin.parse_config("GaussianActorNetwork.activation = 'elu'")
    try:
        given = functools.partial(GaussianActorNetwork, hidden_units=(8,))
        made = keywords(choose_parts(Learner(SacAgent, actor_network=given)).actor_network)
        assert "activation" not in made and made["squash"] is True
    finally:
        gin.clear_config()


UNSQUASHED = {
    "gaussian": lambda: GaussianActorNetwork(*SPECS, (4,)),
    "narrow gaussian": lambda: GaussianActorNetwork(*SPECS, (4,), LogStd(initial=-6.0)),
    "mixture": lambda: MixtureActorNetwork(*SPECS, hidden_units=(4,)),
    "flow": lambda: FlowActorNetwork(*SPECS, num_transformations=1, hidden_units=(4,)),
}


@pytest.mark.parametrize("policy", UNSQUASHED)
def test_fault_03_sac_refuses_a_policy_that_leaves_the_box(policy: str) -> None:
    with pytest.raises(
        CapabilityError,
        match=r"SacAgent needs a policy that stays in the box.*(draws \d+\.\d% of its actions|a density) outs"
        r"ide.*squash=True.*Agents that accept such a policy: (?!.*SacAgent)",
    ):
        SacAgent(
            ts.time_step_spec(OBSERVATION_SPEC), ACTION_SPEC, UNSQUASHED[policy](), CriticNetwork(*SPECS)
        )


@pytest.mark.parametrize("temperature", [FixedTemperature(0.0), FixedTemperature(0.1), None])
def test_fault_03_so_does_its_improvement_in_an_agent_of_ones_own(temperature: Any) -> None:
    with pytest.raises(CapabilityError, match="ActorCriticAgent needs a policy that stays in the box"):
        ActorCriticAgent(
            ts.time_step_spec(OBSERVATION_SPEC),
            ACTION_SPEC,
            UNSQUASHED["gaussian"](),
            CriticNetwork(*SPECS),
            soft_value=LogSumExpValue(),
            improvement=ReparameterizedImprovement(),
            temperature=temperature,
        )


@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        (DdpgAgent, {}),
        (
            ActorCriticAgent,
            dict(
                soft_value=LogSumExpValue(),
                improvement=DensityRatioImprovement(),
                temperature=FixedTemperature(0.0),
            ),
        ),
    ],
)
def test_fault_03_others_say_that_the_environment_clips_such_a_policy(agent: Any, settings: Any) -> None:
    networks = UNSQUASHED["gaussian"](), CriticNetwork(*SPECS)
    with pytest.warns(
        UserWarning, match=f"actor_network: should stay in the action box.*{agent.__name__} ne"
    ):
        agent(ts.time_step_spec(OBSERVATION_SPEC), ACTION_SPEC, *networks, **settings)


def test_fault_03_a_run_with_a_smaller_policy(tmp_path: pathlib.Path) -> None:
    """The run's record has the settings that the algorithm added, so that it makes the same run."""
    expol_tf.train(
        tmp_path / "run",
        "expol/GaussianBandit-v0",
        agent=SacAgent,
        actor_network=functools.partial(GaussianActorNetwork, hidden_units=(32, 32)),
        runner=functools.partial(OffPolicyRunner, iteration_steps=8, warm_up_steps=4, batch_size=4),
        num_env_steps=8,
        eval_interval=0,
    )
    record = (tmp_path / "run" / "config.gin").read_text()
    for line in ("hidden_units = (32, 32)", "squash = True", "activation = 'relu'"):
        assert f"train_actor_network/GaussianActorNetwork.{line}" in record


def test_on_policy_runners_are_completed_too() -> None:
    given = functools.partial(OnPolicyRunner, iteration_steps=64)
    assert choose_parts(Learner(PpoAgent, runner=given)).runner is given
