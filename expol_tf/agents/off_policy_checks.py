"""What an off-policy agent asks of the networks that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.distributions import capabilities, require
from expol_tf.errors import ConfigurationError


def copy_of_network(network_: network.Network, name: str, example: Any) -> network.Network:
    """Returns a network of the same kind with variables of its own and the same values."""
    copy = network_.copy(name=name)
    copy(example)  # A network may create its variables when it is first called.
    own = {variable.ref() for variable in network_.variables}
    if len(copy.variables) != len(network_.variables) or any(each.ref() in own for each in copy.variables):
        raise ConfigurationError(
            f"{type(network_).__name__}.copy() must return a network with new variables, as many as it has "
            f"itself; got {len(copy.variables)} for {len(network_.variables)}. Create all layers in the "
            "constructor, from its arguments."
        )
    for target, variable in zip(copy.variables, network_.variables, strict=True):
        target.assign(variable)
    return copy


def count_critics(critic_network: network.Network, example: tuple[tf.Tensor, tf.Tensor]) -> int:
    """Returns C, the number of values that a critic network gives; raises for any other shape."""
    q = critic_network(example)[0]
    if not isinstance(q, tf.Tensor) or q.shape.rank not in (1, 2) or q.shape[0] != example[0].shape[0]:
        raise ConfigurationError(
            "critic_network must return Q of shape [N] or [N, C] for N observations and actions; got "
            f"{getattr(q, 'shape', q)} for N = {example[0].shape[0]} from {type(critic_network).__name__}."
        )
    return 1 if q.shape.rank == 1 else int(q.shape[1])


def require_of_policy(
    actor_network: network.Network, time_step_spec: ts.TimeStep, algorithm: str, needed: Sequence[str]
) -> None:
    """Raises a `CapabilityError` unless the network's distributions can do what is needed of them."""
    require(
        _example_distribution(actor_network, time_step_spec),
        tuple(needed),
        policy=type(actor_network).__name__,
        algorithm=algorithm,
        instead="SacAgent takes policies that know the density of their own samples (GaussianActorNetwork, "
        "MixtureActorNetwork, FlowActorNetwork with squash=True), SqlAgent, NbpAgent and DdpgAgent any whose "
        "samples gradients flow through (SamplingActorNetwork, NoisyActorNetwork, "
        "DeterministicActorNetwork).",
    )


def capabilities_of_policy(actor_network: network.Network, time_step_spec: ts.TimeStep) -> frozenset[str]:
    """Returns what the network's distributions can do; see `expol_tf.distributions.capabilities`."""
    return capabilities(_example_distribution(actor_network, time_step_spec))


def _example_distribution(actor_network, time_step_spec):
    spec = tensor_spec.from_spec(time_step_spec.observation)
    return actor_network(tf.zeros([1, *spec.shape], spec.dtype))[0]
