"""Networks say of what is no spec of a float vector what it must be, before TF-Agents fails at it."""

from __future__ import annotations

import numpy as np
import pytest
from tf_agents.specs import array_spec

from expol_tf import networks, optimizers
from expol_tf.errors import ConfigurationError, SpaceError

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


@pytest.mark.parametrize("wrong", ["a b/c", "a/b", "", "../../x", "é", "1a", "a\n"])
@pytest.mark.parametrize("name", [*NETWORKS, "FixedGaussianActorNetwork", "ValueNetwork", "CriticEnsemble"])
def test_fault_13_a_name_is_one_of_a_module(name: str, wrong: str) -> None:
    """TensorFlow refuses some of them when variables are made, and takes others for places in a tree."""
    specs = () if name == "CriticEnsemble" else (OBSERVATION, ACTION)[: 1 if name == "ValueNetwork" else 2]
    rule = f"{name}.name must be a name of ASCII letters, digits and _; got"
    with pytest.raises(ConfigurationError, match=rule):
        getattr(networks, name)(*specs, name=wrong)


@pytest.mark.parametrize("name", [*NETWORKS, "FixedGaussianActorNetwork"])
def test_a_good_name_is_the_networks(name: str) -> None:
    assert getattr(networks, name)(OBSERVATION, ACTION, name="mine_2").name == "mine_2"


@pytest.mark.parametrize(
    "name", ["CosineDecay", "ExponentialDecay", "PolynomialDecay", "PiecewiseConstantDecay"]
)
def test_fault_13_a_schedules_name_too(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{name}.name must be a name of ASCII letters.*, or None; got"
    ):
        getattr(optimizers, name)(name="a b/c")
