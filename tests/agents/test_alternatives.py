"""The sentence that names the agents for a policy."""

from __future__ import annotations

import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.agents.alternatives import accepting_agents
from expol_tf.networks import GaussianActorNetwork, SamplingActorNetwork

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (
            SamplingActorNetwork(OBSERVATION, ACTION, (4,)),
            "ParpiAgent (with SqlBackup, a FixedTemperature and entropy_weight=0 or a classifier_network), "
            "SqlAgent, NbpAgent, DdpgAgent.",
        ),
        (
            GaussianActorNetwork(OBSERVATION, ACTION, (4,), squash=True),
            "TrpoAgent, PpoAgent, AcktrAgent, SacAgent, ParpiAgent, SqlAgent, NbpAgent, DdpgAgent.",
        ),
    ],
    ids=["implicit", "gaussian"],
)
def test_the_agents_for_a_policy_are_named(network, names):
    sentence = accepting_agents(network, tf.zeros([2, 3]))
    assert sentence == f"Agents that accept such a policy: {names}"
