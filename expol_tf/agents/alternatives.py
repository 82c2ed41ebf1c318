"""What an agent that refuses a policy tells about the agents that accept it."""

from __future__ import annotations

import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.agents.agent_specs import AgentSpecs
from expol_tf.agents.policy_agent import PolicyAgent
from expol_tf.distributions import split_squash
from expol_tf.errors import CapabilityError


def accepting_agents(actor_network: network.Network, specs: AgentSpecs) -> str:
    """Returns a sentence that names the agents for a policy."""
    names = [name for agent in _all_agents(PolicyAgent) if (name := agent.accepts(specs, actor_network))]
    return f"Agents that accept such a policy: {', '.join(names) or 'none'}."


def is_squashed(distribution: tfp.distributions.Distribution) -> bool:
    """Whether actions can be moved before the squash; see `distributions.split_squash`."""
    try:
        return split_squash(distribution)[1] is not None
    except CapabilityError:
        return False


def _all_agents(base: type[PolicyAgent]) -> list[type[PolicyAgent]]:
    """Returns the classes that derive from one, in the order in which they were defined."""
    # Python knows every subclass whose module was imported, those of users among them.
    return [agent for child in base.__subclasses__() for agent in (child, *_all_agents(child))]
