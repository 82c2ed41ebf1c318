"""PPO of a linear Gaussian policy in NumPy, with every gradient written out."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from tests.agents.small_agents import OBSERVATION
from tests.optimizers.slow_adam import SlowAdam, minibatches

tfd = tfp.distributions


class LinearGaussianActorNetwork(network.Network):
    """a ~ N(Wᵀs, diag σ²), with θ = (W `[3, 2]`, log σ `[2]`)."""

    def __init__(self, seed=0, name="LinearGaussianActorNetwork"):
        super().__init__(OBSERVATION, state_spec=(), name=name)
        generator = np.random.default_rng(seed)
        self.weights_of_mean = tf.Variable(generator.normal(0.0, 0.5, (3, 2)).astype(np.float32))
        self.log_std = tf.Variable(generator.normal(0.0, 0.3, 2).astype(np.float32))
        self.create_variables()

    def call(self, observation, step_type=None, network_state=(), training=False):
        mean = observation @ self.weights_of_mean
        std = tf.broadcast_to(tf.exp(self.log_std), tf.shape(mean))
        return tfd.MultivariateNormalDiag(mean, std), network_state


class SlowPpo:
    """Schulman et al. 2017, Alg. 1 with Eq. 7 and an entropy bonus, from a network's parameters on."""

    def __init__(
        self, actor, rate, epochs, size, clip_range=0.2, max_norm=None, max_kl=None, entropy_weight=0.0
    ):
        self.weights = actor.weights_of_mean.numpy().astype(np.float64)
        self.log_std = actor.log_std.numpy().astype(np.float64)
        self.adam = SlowAdam(rate)
        self.epochs, self.size, self.clip_range = epochs, size, clip_range
        self.max_norm, self.max_kl, self.entropy_weight = max_norm, max_kl, entropy_weight

    def update(self, batch, seed, entropy_scale=1.0):
        """Trains on arrays of a `PolicyBatch`, given the update's seed; returns its metrics."""
        self.entropy_scale = float(entropy_scale)
        batch = batch._replace(
            **{name: np.array(part) for name, part in batch._asdict().items() if part is not None}
        )
        everything = np.arange(len(batch.valid))
        before = self._evaluate(batch, everything)["surrogate"]
        old_mean, old_log_std = batch.observation[batch.valid] @ self.weights, self.log_std
        size = min(self.size, len(everything))
        steps_seed = tf.random.experimental.stateless_split(seed, 3)[2]
        order = minibatches(len(everything), size, self.epochs, steps_seed)
        taken = 0
        for index, chosen in enumerate(order):
            if index % (len(everything) // size) == 0:
                norms = []
            at = self._evaluate(batch, chosen)
            norms.append(np.linalg.norm(at["gradient"]))
            if self.max_kl is not None and at["kl"] > self.max_kl:
                break
            self._ascend(at["gradient"], norms[-1])
            taken += 1
        after = self._evaluate(batch, everything)
        new_mean = batch.observation[batch.valid] @ self.weights
        spread = (np.exp(2 * old_log_std) + (old_mean - new_mean) ** 2) / (2 * np.exp(2 * self.log_std))
        return {
            "surrogate": after["surrogate"] - before,
            "kl": np.mean(np.sum(self.log_std - old_log_std + spread - 0.5, axis=1)),
            "accepted_step_fraction": taken / len(order),
            "clip_fraction": after["clip_fraction"],
            "gradient_norm": np.mean(norms),
        }

    def _ascend(self, gradient, norm):
        if self.max_norm is not None and norm > self.max_norm:
            gradient = gradient * self.max_norm / norm
        step = -self.adam.step(-gradient)
        self.weights = self.weights + step[:-2].reshape(3, 2)
        self.log_std = self.log_std + step[-2:]

    def _evaluate(self, batch, chosen):
        chosen = chosen[batch.valid[chosen]]
        count = max(len(chosen), 1)
        variance = np.exp(2 * self.log_std)
        gradient = np.zeros(8)
        surrogate = clipped = kl = 0.0
        for n in chosen:
            observation, advantage = batch.observation[n].astype(np.float64), batch.advantage[n]
            deviation = batch.action[n] - observation @ self.weights
            log_prob = -np.sum(deviation**2 / (2 * variance) + self.log_std + 0.5 * np.log(2 * np.pi))
            log_ratio = log_prob - batch.log_prob[n]
            ratio = np.exp(log_ratio)
            kl += (ratio - 1.0 - log_ratio) / count
            clipped += (abs(ratio - 1.0) > self.clip_range) / count
            bound = 1.0 + self.clip_range if advantage > 0 else 1.0 - self.clip_range
            if (ratio - bound) * advantage >= 0:
                surrogate += bound * advantage / count
                continue
            surrogate += ratio * advantage / count
            score = [*np.outer(observation, deviation / variance).ravel(), *(deviation**2 / variance - 1.0)]
            gradient += ratio * advantage / count * np.array(score)
        if len(chosen):
            # H = Σ log σ + (A/2)·log 2πe, whatever the observation.
            weight = self.entropy_weight * self.entropy_scale
            surrogate += weight * np.sum(self.log_std + 0.5 * np.log(2 * np.pi * np.e))
            gradient[-2:] += weight
        return {"surrogate": surrogate, "gradient": gradient, "kl": kl, "clip_fraction": clipped}
