"""What agents ask of the networks that they are given, and which agents a refusal names."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, TypeVar

import tensorflow as tf
from tf_agents.networks import network

from expol_tf.agents.policy_agent import AgentSpecs, PolicyAgent
from expol_tf.argument_types import described, shown
from expol_tf.distributions import require, split_squash
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import call_network

Part = TypeVar("Part")

# What Gaussian, mixture and flow policies have, all three, with squash=True.
OF_SQUASHED_POLICIES = frozenset({"sample", "reparameterized_sample", "log_prob", "sample_and_log_prob"})


def accepting_agents(actor_network: network.Network, specs: AgentSpecs) -> str:
    """Returns a sentence that names the agents for a policy."""
    names = [name for agent in _all_agents(PolicyAgent) if (name := agent.accepts(specs, actor_network))]
    return f"Agents that accept such a policy: {', '.join(names) or 'none'}."


def _all_agents(base: type[PolicyAgent]) -> list[type[PolicyAgent]]:
    """Returns the classes that derive from one, in the order in which they were defined."""
    # Python knows every subclass whose module was imported, those of users among them.
    return [agent for child in base.__subclasses__() for agent in (child, *_all_agents(child))]


def copy_of_network(network_: network.Network, name: str, example: Any) -> network.Network:
    """Returns a network of the same kind with variables of its own and the same values."""
    copy = network_.copy(name=name)
    call_network(copy, example)  # A network may create its variables when it is first called.
    own = {variable.ref() for variable in network_.variables}
    if len(copy.variables) != len(network_.variables) or any(
        variable.ref() in own for variable in copy.variables
    ):
        raise ConfigurationError(
            f"{type(network_).__name__}.copy() must return a network with new variables, as many as it has "
            f"itself; got {len(copy.variables)} for {len(network_.variables)}. Create all layers in the "
            "constructor, from its arguments."
        )
    # A copy draws its values anew, but targets begin as the networks that they follow.
    for target, variable in zip(copy.variables, network_.variables, strict=True):
        target.assign(variable)
    return copy


def copy_of_policy(actor_network: network.Network, specs: AgentSpecs) -> network.Network:
    """As `copy_of_network`, of a policy; raises a `CapabilityError` if its network refuses to be copied."""
    try:
        return copy_of_network(actor_network, "TargetActor", specs.example(2))
    except ConfigurationError as error:
        raise CapabilityError(
            f"actor_network: {specs.algorithm} needs a target policy, a copy of the network; "
            f"{type(actor_network).__name__}'s copy does not give one. {error} "
            f"{accepting_agents(actor_network, specs)}"
        ) from error


def count_critics(critic_network: network.Network, example: tuple[tf.Tensor, tf.Tensor]) -> int:
    """Returns C, the number of values that a critic network gives; raises for any other shape."""
    q = call_network(critic_network, example)[0]
    if not isinstance(q, tf.Tensor) or q.shape.rank not in (1, 2) or q.shape[0] != example[0].shape[0]:
        raise ConfigurationError(
            "critic_network must return Q of shape [N] or [N, C] for N observations and actions; got "
            f"{getattr(q, 'shape', q)} for N = {example[0].shape[0]} from {type(critic_network).__name__}."
        )
    return 1 if q.shape.rank == 1 else int(q.shape[1])


def require_of_policy(actor_network: network.Network, specs: AgentSpecs, needed: Sequence[str]) -> None:
    """Raises a `CapabilityError` unless the network's distributions can do what is needed of them."""
    missing = set(needed) - specs.capabilities(actor_network)
    if not missing:
        return
    accepting = accepting_agents(actor_network, specs)
    if missing <= OF_SQUASHED_POLICIES:
        pronoun = "it" if len(missing) == 1 else "them"
        instead = (
            "GaussianActorNetwork, MixtureActorNetwork and FlowActorNetwork with squash=True have "
            f"{pronoun}. {accepting}"
        )
    else:
        instead = f"`expol_tf.distributions.capabilities` tells what a distribution has. {accepting}"
    require(
        specs.distribution(actor_network),
        tuple(needed),
        policy=type(actor_network).__name__,
        algorithm=specs.algorithm,
        instead=instead,
    )


def why_not_squashed(actor_network: network.Network, specs: AgentSpecs) -> str | None:
    """Returns why actions cannot be moved before the squash; None if they can."""
    distribution = specs.distribution(actor_network)
    with contextlib.suppress(CapabilityError):  # A squash that is not the last step cannot be split off.
        if split_squash(distribution)[1] is not None:
            return None
    return (
        f"{specs.algorithm} needs a squashed policy, whose actions are moved before the squash; "
        f"{type(actor_network).__name__}'s {type(distribution).__name__} is none. Make the network with "
        "squash=True."
    )


def why_outside_box(actor_network: network.Network, specs: AgentSpecs, because: str) -> str | None:
    """Returns why a policy is refused that does not stay in the action box; None if it does.

    Args:
      actor_network: The policy's network.
      specs: The specs that it is for.
      because: Why it should stay there, which follows "needs a policy that stays in the box".
    """
    found = outside_box(actor_network, specs)
    if found is None:
        return None
    return (
        f"{specs.algorithm} needs a policy that stays in the box{because}; {type(actor_network).__name__} "
        f"{found}. Make the network with squash=True."
    )


def outside_box(actor_network: network.Network, specs: AgentSpecs) -> str | None:
    """Returns what a policy does outside of the action box, at one observation; None if nothing."""
    low, high = specs.action.minimum, specs.action.maximum
    half = (high - low) / 2.0
    distribution = specs.distribution(actor_network)
    with contextlib.suppress(CapabilityError):  # A squash that is not the last step cannot be split off.
        _, squash = split_squash(distribution)
        if squash is not None:
            edges = squash.forward(tf.constant([[-50.0], [50.0]]) * tf.ones(half.shape))
            # A map of its own, such as Exp, may lead anywhere; the library's own rounds at the edge.
            if bool(tf.reduce_all((edges >= low - 1e-5 * half) & (edges <= high + 1e-5 * half))):
                return None
    # A fixed seed: whether a policy is accepted must not depend on the run.
    action = call_network(actor_network, specs.example(1000))[0].sample(seed=tf.constant([0, 0]))
    outside = tf.reduce_any((action < low) | (action > high), axis=-1)
    share = float(tf.reduce_mean(tf.cast(outside, tf.float32)))
    if share:
        return f"draws {share:.1%} of its actions outside"
    # A narrow Gaussian draws none there at first, and does later.
    with contextlib.suppress(NotImplementedError, CapabilityError, tf.errors.InvalidArgumentError):
        beyond = tf.constant(high + half, tf.float32)[tf.newaxis]
        if bool(tf.reduce_all(tf.math.is_finite(distribution.log_prob(beyond)))):
            return "has a density outside of it as well, which may become broader"
    return None


def require_part(argument: str, part: Any, kind: type[Part]) -> Part:
    """Returns a part; raises a `ConfigurationError` unless it derives from the class that is asked for."""
    if isinstance(part, kind):
        return part
    raise ConfigurationError(
        f"{argument} must be {described(kind)}; got {shown(part)}. For one of your own, derive a class from "
        f"{kind.__name__} (docs/extending.md)."
    )
