"""What an agent that refuses a policy tells about the agents that accept it."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.networks import network

from expol_tf.distributions import capabilities
from expol_tf.networks import SteinActorNetwork


def accepting_agents(actor_network: network.Network, observation: tf.Tensor) -> str:
    """Returns a sentence that names the agents for a policy.

    Args:
      actor_network: The policy's.
      observation: `[N, O]`, to ask it for a distribution.
    """
    found = capabilities(actor_network(observation)[0])
    names = []
    if {"log_prob", "sample_and_log_prob"} <= found:
        names += ["TrpoAgent", "PpoAgent", "AcktrAgent"]
    if "reparameterized_sample" in found:
        if "sample_and_log_prob" in found:
            names += ["SacAgent", "ParpiAgent"]
        else:
            names += ["ParpiAgent (with SqlBackup, entropy_weight=0 and a FixedTemperature)"]
        names += ["SqlAgent"]
        if not isinstance(actor_network, SteinActorNetwork):  # Target policies are copies; it has none.
            names += ["NbpAgent", "DdpgAgent"]
    return f"Agents that accept such a policy: {', '.join(names) or 'none'}."
