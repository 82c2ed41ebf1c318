"""Policies and value networks as users might write them, some of which agents must refuse."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.keras_api import keras
from tests.agents.small_agents import OBSERVATION

tfd = tfp.distributions


class Unseen(tfd.Distribution):
    """Samples, of which nobody knows the density."""

    def __init__(self, location):
        self.location = location
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, False, True)

    def _batch_shape(self):
        return self.location.shape[:-1]

    def _event_shape(self):
        return self.location.shape[-1:]

    def _sample_n(self, n, seed=None):
        return self.location + tf.random.stateless_normal([n, *self.location.shape], tf.cast(seed, tf.int32))

    def _mode(self):
        return self.location


class NotReparameterized(Unseen):
    """Has a density, but neither an entropy nor samples that gradients flow through."""

    def __init__(self, location):
        super().__init__(location)
        self._reparameterization_type = tfd.NOT_REPARAMETERIZED

    def _log_prob(self, value):
        return -0.5 * tf.reduce_sum(tf.square(value - self.location), axis=-1)


class CustomActorNetwork(network.Network):
    """A user's own network around a distribution."""

    def __init__(self, make_distribution, observation_spec=OBSERVATION, name="CustomActorNetwork"):
        super().__init__(observation_spec, state_spec=(), name=name)
        self._make_distribution = make_distribution
        self._scale = tf.Variable(tf.ones([2]))

    def call(self, observation, step_type=None, network_state=(), training=False):
        return self._make_distribution(self._scale * observation[:, :2]), network_state


class LateActorNetwork(network.Network):
    """Its variables are made when it is first called."""

    def __init__(self, name="LateActorNetwork"):
        super().__init__(OBSERVATION, state_spec=(), name=name)
        self._mean = keras.layers.Dense(2)

    def call(self, observation, step_type=None, network_state=(), training=False):
        mean = self._mean(observation)
        return tfd.MultivariateNormalDiag(mean, tf.ones_like(mean)), network_state


class LateValueNetwork(network.Network):
    """Its variables are made when it is first called."""

    def __init__(self, name="LateValueNetwork"):
        super().__init__(OBSERVATION, state_spec=(), name=name)
        self._value = keras.layers.Dense(1)

    def call(self, observation, step_type=None, network_state=(), training=False):
        return self._value(observation)[:, 0], network_state
