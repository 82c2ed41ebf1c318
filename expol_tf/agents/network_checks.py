"""What the networks of an agent must take and return, checked when the agent is made."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.errors import ConfigurationError
from expol_tf.networks import call_network

_ACTOR = "network(observation) -> (distribution, state)"
_CRITIC = "network((observation, action)) -> (Q [N, C], state)"
_VALUE = "network(observation) -> (V [N], state)"


def require_actor(
    argument: str,
    actor_network: network.Network,
    time_step_spec: ts.TimeStep,
    action_spec: types.NestedTensorSpec,
) -> tfp.distributions.Distribution:
    """Returns a policy's distribution at one observation; refuses a network that is no policy of these specs.

    Args:
      argument: Name under which the agent was given the network, for messages.
      actor_network: `network(observation) -> (distribution, state)`.
      time_step_spec: TF-Agents time-step spec.
      action_spec: Spec of the actions.
    """
    spec = tensor_spec.from_spec(time_step_spec.observation)
    _require_network(argument, actor_network, _ACTOR, (spec,))
    result = call_network(actor_network, tf.zeros([1, *spec.shape], spec.dtype))
    distribution = result[0] if isinstance(result, tuple) else result
    if not isinstance(result, tuple) or not hasattr(distribution, "event_shape"):
        raise ConfigurationError(
            f"{argument} must be {_ACTOR}; {type(actor_network).__name__} returns {_said(result)}. Give a "
            "policy such as GaussianActorNetwork."
        )
    if not distribution.event_shape.is_compatible_with(action_spec.shape):
        raise ConfigurationError(
            f"{argument} must give actions of action_spec's shape {action_spec.shape}; got "
            f"{distribution.event_shape} from {type(actor_network).__name__}. Make the network with the "
            "agent's action_spec."
        )
    return distribution


def require_critic(critic_network: network.Network, time_step_spec: ts.TimeStep, action_spec: Any) -> None:
    """Refuses what does not take observations and actions; `count_critics` asks what a critic returns."""
    specs = tensor_spec.from_spec(time_step_spec.observation), action_spec
    _require_network("critic_network", critic_network, _CRITIC, specs)


def require_value(value_network: network.Network, example: tf.Tensor) -> None:
    """Refuses a network that does not give V `[N]` of observations `[N, O]`.

    Args:
      value_network: `network(observation) -> (V, state)`.
      example: Two observations or more.
    """
    spec = tf.TensorSpec(example.shape[1:], example.dtype)
    _require_network("value_network", value_network, _VALUE, (spec,))
    result = call_network(value_network, example)
    value = result[0] if isinstance(result, tuple) else result
    # V [N, 1] would broadcast with the advantages [N] to [N, N].
    if not isinstance(result, tuple) or not tf.is_tensor(value) or value.shape != example.shape[:1]:
        raise ConfigurationError(
            f"value_network must be {_VALUE}; {type(value_network).__name__} returns {_said(result)} for N = "
            f"{example.shape[0]}. Remove a last axis of 1 by tf.squeeze(V, axis=-1)."
        )


def _require_network(argument: str, given: Any, form: str, specs: tuple[Any, ...]) -> None:
    """Refuses what is no network, or one that was made for other inputs than these."""
    if not callable(given) or isinstance(given, type):
        raise ConfigurationError(
            f"{argument} must be {form}; got {given!r}. Make a network for the agent's specs."
        )
    if tf.nest.flatten(getattr(given, "state_spec", ())):
        raise ConfigurationError(
            f"{argument} must have no state, as agents train on single transitions; got a "
            f"{type(given).__name__} with the state_spec {given.state_spec}. Use a network without recurrent "
            "layers (of TF-Agents', ActorDistributionNetwork and ValueNetwork), and observations of several "
            "steps, such as those of gymnasium.wrappers.FrameStackObservation."
        )
    made_for = getattr(given, "input_tensor_spec", None)
    if made_for is None:  # The network does not say.
        return
    inputs = tf.nest.flatten(made_for)
    if len(inputs) != len(specs):
        raise ConfigurationError(
            f"{argument} must be {form}; got a {type(given).__name__}, which takes {len(inputs)} "
            f"input{'s' if len(inputs) > 1 else ''}. Give a network of the right kind."
        )
    for made, own in zip(inputs, specs, strict=True):
        if not tf.TensorShape(made.shape).is_compatible_with(own.shape):
            raise ConfigurationError(
                f"{argument} must take inputs of shape {own.shape}, as the agent's specs say; got a "
                f"{type(given).__name__} for {tf.TensorShape(made.shape)}. Make it with the agent's specs."
            )


def _said(result: Any) -> str:
    first = result[0] if isinstance(result, tuple) and result else result
    shape = f" {first.shape}" if tf.is_tensor(first) else ""
    return (
        f"({type(first).__name__}{shape}, …)"
        if isinstance(result, tuple)
        else f"a {type(first).__name__}{shape}"
    )
