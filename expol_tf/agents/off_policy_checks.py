"""What an off-policy agent asks of the networks that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.alternatives import accepting_agents, is_squashed
from expol_tf.distributions import capabilities, require
from expol_tf.errors import CapabilityError, ConfigurationError

# What Gaussian, mixture and flow policies have, all three, with squash=True.
OF_SQUASHED_POLICIES = frozenset({"sample", "reparameterized_sample", "log_prob", "sample_and_log_prob"})


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


def copy_of_policy(actor_network: network.Network, example: tf.Tensor, algorithm: str) -> network.Network:
    """As `copy_of_network`, of a policy; raises a `CapabilityError` if its network refuses to be copied."""
    try:
        return copy_of_network(actor_network, "TargetActor", example)
    except ConfigurationError as error:
        raise CapabilityError(
            f"actor_network: {algorithm} needs a target policy, a copy of the network; "
            f"{type(actor_network).__name__}'s copy does not give one. {error} "
            f"{accepting_agents(actor_network, example)}"
        ) from error


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
    missing = set(needed) - capabilities_of_policy(actor_network, time_step_spec)
    if not missing:
        return
    accepting = accepting_agents(actor_network, _example(time_step_spec))
    if missing <= OF_SQUASHED_POLICIES:
        pronoun = "it" if len(missing) == 1 else "them"
        instead = (
            "GaussianActorNetwork, MixtureActorNetwork and FlowActorNetwork with squash=True have "
            f"{pronoun}. {accepting}"
        )
    else:
        instead = f"`expol_tf.distributions.capabilities` tells what a distribution has. {accepting}"
    require(
        _example_distribution(actor_network, time_step_spec),
        tuple(needed),
        policy=type(actor_network).__name__,
        algorithm=algorithm,
        instead=instead,
    )


def require_squashed(actor_network: network.Network, time_step_spec: ts.TimeStep, algorithm: str) -> None:
    """Raises a `CapabilityError` unless the policy squashes what can be moved before."""
    distribution = _example_distribution(actor_network, time_step_spec)
    if not is_squashed(distribution):
        raise CapabilityError(
            f"actor_network: {algorithm} needs a squashed policy, whose actions are moved before the squash; "
            f"{type(actor_network).__name__}'s {type(distribution).__name__} is none. Make the network with "
            f"squash=True. {accepting_agents(actor_network, _example(time_step_spec))}"
        )


def require_in_box(
    actor_network: network.Network,
    time_step_spec: ts.TimeStep,
    action_spec: types.NestedTensorSpec,
    algorithm: str,
) -> None:
    """Raises a `CapabilityError` if some of 1000 actions, at one observation, lie outside of the box."""
    observation = tf.repeat(_example(time_step_spec), 1000, axis=0)
    action = actor_network(observation)[0].sample(seed=tf.constant([0, 0]))
    outside = tf.reduce_any((action < action_spec.minimum) | (action > action_spec.maximum), axis=-1)
    share = float(tf.reduce_mean(tf.cast(outside, tf.float32)))
    if share:
        raise CapabilityError(
            f"actor_network: {algorithm} with entropy needs a policy that stays in the box, as it is "
            f"compared with uniform actions; {type(actor_network).__name__} draws {share:.1%} of its actions "
            "outside. Make the network with squash=True. "
            f"{accepting_agents(actor_network, _example(time_step_spec))}"
        )


def require_count(argument: str, value: int) -> None:
    """Raises a `ConfigurationError` unless the value is a whole number of 1 or more."""
    if not isinstance(value, int):
        raise ConfigurationError(f"{argument} must be a whole number; got {value!r}.")
    if value < 1:
        raise ConfigurationError(f"{argument} must be 1 or more; got {value}.")


def capabilities_of_policy(actor_network: network.Network, time_step_spec: ts.TimeStep) -> frozenset[str]:
    """Returns what the network's distributions can do; see `expol_tf.distributions.capabilities`."""
    return capabilities(_example_distribution(actor_network, time_step_spec))


def _example(time_step_spec):
    spec = tensor_spec.from_spec(time_step_spec.observation)
    return tf.zeros([1, *spec.shape], spec.dtype)


def _example_distribution(actor_network, time_step_spec):
    return actor_network(_example(time_step_spec))[0]
