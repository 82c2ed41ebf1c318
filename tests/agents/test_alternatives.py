"""The sentence that names the agents for a policy."""

from __future__ import annotations

import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import AgentSpecs
from expol_tf.agents.policy_checks import accepting_agents
from expol_tf.networks import GaussianActorNetwork, SamplingActorNetwork
from tests.agents.small_agents import only_ours

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (
            SamplingActorNetwork(OBSERVATION, ACTION, (4,)),
            "DdpgAgent, NbpAgent, ParpiAgent (with LogSumExpValue, a FixedTemperature and entropy_weight=0 "
            "or a classifier), SqlAgent.",
        ),
        (
            GaussianActorNetwork(OBSERVATION, ACTION, (4,), squash=True),
            "AcktrAgent, PpoAgent, TrpoAgent, DdpgAgent, NbpAgent, ParpiAgent, SacAgent, SqlAgent.",
        ),
    ],
    ids=["implicit", "gaussian"],
)
def test_the_agents_for_a_policy_are_named(network, names, monkeypatch):
    only_ours(monkeypatch)
    specs = AgentSpecs("SomeAgent", ts.time_step_spec(OBSERVATION), ACTION)
    sentence = accepting_agents(network, specs)
    assert sentence == f"Agents that accept such a policy: {names}"
