"""Networks say of what is no spec of a float vector what it must be, before TF-Agents fails at it."""

from __future__ import annotations

import numpy as np
import pytest
from tf_agents.specs import array_spec

from expol_tf import networks
from expol_tf.errors import SpaceError

OBSERVATION = array_spec.ArraySpec((3,), np.float32)
ACTION = array_spec.BoundedArraySpec((2,), np.float32, -1.0, 1.0)
NETWORKS = (
    "CriticNetwork", "DeterministicActorNetwork", "DiscriminatorNetwork", "FlowActorNetwork",
    "GaussianActorNetwork", "MixtureActorNetwork", "NoisyActorNetwork", "SamplingActorNetwork",
)  # fmt: skip


@pytest.mark.parametrize("wrong", [None, 3, "x", np.zeros(2)])
@pytest.mark.parametrize("name", NETWORKS)
def test_fault_13_what_is_no_spec(name, wrong) -> None:
    network = getattr(networks, name)
    with pytest.raises(SpaceError, match="observation_spec must be one floating-point vector"):
        network(wrong, ACTION)
    with pytest.raises(SpaceError, match="action_spec must be one floating-point vector"):
        network(OBSERVATION, wrong)


@pytest.mark.parametrize("wrong", [None, 3, "x", np.zeros(2)])
def test_fault_13_what_is_no_spec_of_a_value_network(wrong) -> None:
    with pytest.raises(SpaceError, match="observation_spec must be one floating-point vector"):
        networks.ValueNetwork(wrong)
