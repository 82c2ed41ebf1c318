"""What an agent that refuses a policy tells about the agents that accept it."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.distributions import capabilities, latent_and_squash
from expol_tf.errors import CapabilityError
from expol_tf.networks import SteinActorNetwork


def accepting_agents(actor_network: network.Network, observation: tf.Tensor) -> str:
    """Returns a sentence that names the agents for a policy.

    Args:
      actor_network: The policy's.
      observation: `[N, O]`, to ask it for a distribution.
    """
    distribution = actor_network(observation)[0]
    found, squashed = capabilities(distribution), is_squashed(distribution)
    names = []
    if {"log_prob", "sample_and_log_prob"} <= found:
        names += ["TrpoAgent", "PpoAgent", "AcktrAgent"]
    if "reparameterized_sample" in found:
        if "sample_and_log_prob" in found:
            names += ["SacAgent", "ParpiAgent"] if squashed else ["SacAgent"]
        elif squashed:
            names += [
                "ParpiAgent (with SqlBackup, a FixedTemperature and entropy_weight=0 or a classifier_network)"
            ]
        names += ["SqlAgent" if squashed else 'SqlAgent (with kernel_space="action")']
        if not isinstance(actor_network, SteinActorNetwork):  # Target policies are copies; it has none.
            names += ["NbpAgent" if squashed else "NbpAgent (with temperature 0)", "DdpgAgent"]
    return f"Agents that accept such a policy: {', '.join(names) or 'none'}."


def is_squashed(distribution: tfp.distributions.Distribution) -> bool:
    """Whether actions can be moved before the squash; see `distributions.latent_and_squash`."""
    try:
        latent_and_squash(distribution)
    except CapabilityError:
        return False
    return True
