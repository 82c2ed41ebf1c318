"""An actor network with all that its checks need."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network as tf_agents_network
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import ActionBox
from expol_tf.distributions import capabilities, split_squash
from expol_tf.testing.assertions import ensure

tfd = tfp.distributions

# Number of observations B, and of samples S for each of them.
BATCH = 6
SAMPLES = 8


class NetworkUnderTest:
    """An actor network, observations for it, and the distributions that it returns for them.

    Attributes:
      network: The network.
      action_spec: Spec `[A]` of the actions.
      observation: Observations, `[B, O]`.
      tolerance: Largest allowed error, relative to 1 + |expected value|.
      seed: Seed of samples, `[2]` int32.
      first_variables: References to the variables that the network had when it was made.
      capabilities: What its distribution can do.
    """

    def __init__(
        self,
        network: tf_agents_network.Network,
        observation: tf.Tensor,
        action_spec: tensor_spec.BoundedTensorSpec,
        tolerance: float,
        seed: int,
    ):
        """Lists the network's variables before it is called for the first time."""
        self.network = network
        self.observation = observation
        self.action_spec = action_spec
        self.tolerance = tolerance
        self.seed = tf.constant([seed, 1], tf.int32)
        # Before the first call, since a network that builds its variables late must not pass.
        self.first_variables = self.listed_variables()
        self.capabilities = capabilities(self.distribution())

    def listed_variables(self) -> list:
        """Returns references to the variables that the network lists."""
        try:
            return [variable.ref() for variable in self.network.variables]
        except ValueError as error:
            raise AssertionError(
                "The network must have its variables when it is made; call self.create_variables() at the "
                f"end of its constructor. ({error})"
            ) from error

    def distribution(self, observation: tf.Tensor | None = None) -> tfd.Distribution:
        """Returns the network's distribution for `observation`, or else for its own observations."""
        output = self.network(self.observation if observation is None else observation)
        ensure(
            isinstance(output, tuple) and len(output) == 2,
            f"A network must return (distribution, state); got {type(output)}.",
        )
        ensure(
            isinstance(output[0], tfd.Distribution),
            f"An actor network must return a tfp.distributions.Distribution; got {type(output[0])}.",
        )
        return output[0]

    @functools.cached_property
    def samples(self) -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
        """Samples `[S, B, A]`, their log π `[S, B]`, and which are well inside the box, bool `[S, B]`.

        Near the edge the squash's inverse amplifies rounding, so that two ways to compute log π differ there.
        """
        distribution = self.distribution()
        sample, log_prob = distribution.experimental_sample_and_log_prob(SAMPLES, seed=self.seed)
        middle, half = ActionBox.of(self.action_spec)
        inside = np.all(np.abs((sample - middle) / half) < 0.99, axis=-1)
        if split_squash(distribution)[1] is None:
            inside = np.ones_like(inside)
        return sample, log_prob, inside
