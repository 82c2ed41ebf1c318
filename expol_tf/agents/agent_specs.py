"""What an agent is made for, as the checks of its parts see it."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.distributions import capabilities


class AgentSpecs(NamedTuple):
    """The specs of an agent, and the name under which it refuses what does not fit.

    Attributes:
      algorithm: The agent's class name, for messages.
      time_step: TF-Agents time-step spec with one float vector as observation.
      action: Bounded float vector.
    """

    algorithm: str
    time_step: ts.TimeStep
    action: types.NestedTensorSpec

    def example(self, count: int = 1) -> tf.Tensor:
        """Returns `count` observations of zeros, `[count, O]`."""
        spec = tensor_spec.from_spec(self.time_step.observation)
        return tf.zeros([count, *spec.shape], spec.dtype)

    def distribution(self, actor_network: network.Network) -> tfp.distributions.Distribution:
        """Returns the network's distribution at one observation."""
        return actor_network(self.example())[0]

    def capabilities(self, actor_network: network.Network) -> frozenset[str]:
        """Returns what the network's distributions can do; see `expol_tf.distributions.capabilities`."""
        return capabilities(self.distribution(actor_network))
