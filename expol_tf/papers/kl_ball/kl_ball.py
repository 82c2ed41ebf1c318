"""How far a Gaussian and a flow reach inside a KL ball, and at a given entropy.

Tang & Agrawal 2018, *Boosting Trust Region Policy Optimization by Normalizing Flows Policy*, §4.2, Figure 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import AffineConditioner, flow_chain, make_transformations
from expol_tf.diagnostics import spread
from expol_tf.keras_api import keras

tfd = tfp.distributions

SOURCE_STD = 0.1
KL_RADIUS = 0.01
ENTROPIES = (-1.0, -4.0)
_SOURCE_SAMPLES = 2000
_FRESH_SAMPLES = 100_000
_ENTROPY_SAMPLES = 10_000
_ENTROPY_TOLERANCE = 0.01
_LEARNING_RATE = 3e-3


class FactorizedGaussian:
    """N(μ, diag σ²), with μ and log σ drawn from N(0, ½²)."""

    def __init__(self) -> None:
        self.variables = [tf.Variable(tf.zeros([2]), name=name) for name in ("mean", "log_std")]

    def randomize(self, generator: np.random.Generator) -> None:
        """Draws all parameters anew."""
        for variable in self.variables:
            variable.assign(0.5 * generator.standard_normal(2))

    def distribution(self) -> tfd.Distribution:
        """Returns the density at the variables' present values."""
        mean, log_std = self.variables
        return tfd.MultivariateNormalDiag(mean, tf.exp(log_std))


class Flow:
    """The flow of the policy without its squash: K transformations of N(0, I) and a shift.

    A policy's flow starts close to its base. Here every weight is drawn from N(0, 1/inputs) instead, and the
    shift from N(0, ½²), so that the densities that the descent starts from are of many shapes.
    """

    def __init__(
        self, activation: str = "tanh", layer_norm: bool = False, num_transformations: int = 4
    ) -> None:
        conditioner = functools.partial(AffineConditioner, activation=activation, layer_norm=layer_norm)
        self._transformations = make_transformations(2, num_transformations, conditioner)
        self._shift = tf.Variable(tf.zeros([2]), name="shift")
        layers = [layer for pair in self._transformations for layer in pair]
        self.variables = [
            self._shift,
            *(variable for layer in layers for variable in layer.trainable_variables),
        ]

    def randomize(self, generator: np.random.Generator) -> None:
        """Draws all parameters anew."""
        self._shift.assign(0.5 * generator.standard_normal(2))
        for variable in self.variables[1:]:
            if variable.name.startswith("kernel"):  # [2, inputs, outputs]
                value = generator.standard_normal(variable.shape) * variable.shape[1] ** -0.5
            elif variable.name.startswith("gain"):
                value = np.ones(variable.shape)
            else:
                value = 0.1 * generator.standard_normal(variable.shape)
            variable.assign(value)

    def distribution(self) -> tfd.Distribution:
        """Returns the density at the variables' present values."""
        base = tfd.MultivariateNormalDiag(tf.zeros([2]), tf.ones([2]))
        return tfd.TransformedDistribution(base, flow_chain(self._transformations, 2, self._shift))


Model = FactorizedGaussian | Flow
# Families of densities on ℝ² with variables to move.
FAMILIES: dict[str, Callable[[], Model]] = {
    "Gaussian": FactorizedGaussian,
    "flow": Flow,
    # The form of the code released with the paper.
    "flow, released": functools.partial(Flow, activation="relu", layer_norm=True),
}


class Descent(NamedTuple):
    """A density that was descended to, and numbers of it.

    Attributes:
      policy: One of `FAMILIES`.
      constraint: "KL = 0.01", "H = -1" or "H = -4".
      seed: Seeds the start and all samples.
      kl_source_samples: KL[source ‖ π] over the samples that the descent saw, nats.
      kl_fresh_samples: The same over 100,000 others.
      entropy: H[π], nats.
      covariance_trace, radius_99: The `Spread` of 100,000 samples of π.
      steps: Gradient steps taken.
      reached: Whether the constraint was met within the steps allowed.
    """

    policy: str
    constraint: str
    seed: int
    kl_source_samples: float
    kl_fresh_samples: float
    entropy: float
    covariance_trace: float
    radius_99: float
    steps: int
    reached: bool


class Pictured(NamedTuple):
    """What a picture shows of a density: samples `[n, 2]` and log π on the grid `[g, g]`."""

    samples: np.ndarray
    log_prob: np.ndarray


def picture_grid(half_width: float = 0.5, num: int = 121) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nodes `[num]` of each axis and the grid's points `[num, num, 2]` (rows are a₂)."""
    nodes = np.linspace(-half_width, half_width, num)
    return nodes, np.stack(np.meshgrid(nodes, nodes), axis=-1)


def source() -> tfd.Distribution:
    """Returns N(0, 0.1²·I) in ℝ²."""
    return tfd.MultivariateNormalDiag(tf.zeros([2]), tf.fill([2], SOURCE_STD))


def source_samples(seed: int) -> tf.Tensor:
    """Returns the source's samples `[n, 2]` that the descents of a seed see."""
    return source().sample(_SOURCE_SAMPLES, seed=_stateless(seed, 1))


def descend_all(num_seeds: int, seed: int, max_steps: int) -> Iterator[tuple[Descent, Pictured]]:
    """Yields a descent for every seed, family and constraint, with what to picture of its end.

    Args:
      num_seeds: Number of random starts for each family and constraint.
      seed: The first of their seeds.
      max_steps: Gradient steps after which a descent is given up.
    """
    for policy, make in FAMILIES.items():
        search = _Search(make())
        for own_seed in range(seed, seed + num_seeds):
            yield search.into_ball(policy, own_seed, max_steps)
            for target in ENTROPIES:
                yield search.to_entropy(policy, own_seed, target, max_steps)


class _Search:
    """Descents over one model, whose graphs are traced once for all seeds."""

    def __init__(self, model: Model):
        self._model = model
        self._optimizer = keras.optimizers.Adam(_LEARNING_RATE)
        self._optimizer.build(model.variables)
        self._kl_step = tf.function(self._descend_kl, autograph=False)
        self._entropy_step = tf.function(self._descend_entropy, autograph=False)
        self._kl = tf.function(self._source_kl, autograph=False)
        self._sample = tf.function(self._draw, autograph=False)
        self._log_prob = tf.function(
            lambda points: self._model.distribution().log_prob(tf.identity(points)), autograph=False
        )

    def into_ball(self, policy: str, seed: int, max_steps: int) -> tuple[Descent, Pictured]:
        """Descends the KL over fixed samples of the source until it is within the radius."""
        samples = source_samples(seed)
        return self._descend_until(
            (policy, f"KL = {KL_RADIUS:g}", seed),
            max_steps,
            lambda _: self._kl_step(samples),
            lambda kl: kl <= KL_RADIUS,
        )

    def to_entropy(self, policy: str, seed: int, target: float, max_steps: int) -> tuple[Descent, Pictured]:
        """Descends (H[π] − target)², H estimated by fresh samples at every step."""
        aim = tf.constant(target, tf.float32)
        return self._descend_until(
            (policy, f"H = {target:g}", seed),
            max_steps,
            lambda steps: self._entropy_step(aim, _stateless(seed, 2 + steps)),
            lambda entropy: abs(entropy - target) < _ENTROPY_TOLERANCE,
        )

    def _descend_until(self, labels, max_steps, step, met) -> tuple[Descent, Pictured]:
        """Makes steps until the value before one meets the constraint; that step is not made."""
        self._restart(labels[2])
        steps, reached = 0, False
        while steps < max_steps and not reached:
            reached = met(float(step(steps)))
            steps += not reached
        return self._describe(labels, steps, reached)

    def _restart(self, seed: int) -> None:
        self._model.randomize(np.random.default_rng([seed, len(self._model.variables)]))
        for variable in self._optimizer.variables:
            if variable is not self._optimizer.learning_rate:
                variable.assign(tf.zeros_like(variable))

    def _descend_kl(self, samples):
        return self._descend(lambda: self._source_kl(samples), lambda kl: kl, lambda kl: kl > KL_RADIUS)

    def _descend_entropy(self, target, seed):
        def estimate() -> tf.Tensor:
            # At samples that gradients flow through, not at fixed ones.
            _, log_prob = self._model.distribution().experimental_sample_and_log_prob(
                _ENTROPY_SAMPLES, seed=seed
            )
            return -tf.reduce_mean(log_prob)

        return self._descend(
            estimate, lambda h: (h - target) ** 2, lambda h: tf.abs(h - target) >= _ENTROPY_TOLERANCE
        )

    def _descend(self, estimate, loss, far):
        """Makes a step on loss(estimate()) if that is far yet; returns the estimate before it."""
        variables = self._model.variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value = estimate()
            objective = loss(value)
        # The Gaussian's entropy does not depend on its mean.
        gradients = tape.gradient(objective, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # A random flow's first gradients can be thousands of times as long as later ones.
        gradients, _ = tf.clip_by_global_norm(gradients, 10.0)

        def step() -> tf.Tensor:
            self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return value

        return tf.cond(far(value), step, lambda: value)

    def _source_kl(self, samples):
        log_prob = self._model.distribution().log_prob(tf.identity(samples))
        return tf.reduce_mean(source().log_prob(samples) - log_prob)

    def _draw(self, seed):
        return self._model.distribution().experimental_sample_and_log_prob(_FRESH_SAMPLES, seed=seed)

    def _describe(self, labels, steps, reached) -> tuple[Descent, Pictured]:
        policy, constraint, seed = labels
        own, log_prob = self._sample(_stateless(seed, -1))
        fresh = source().sample(_FRESH_SAMPLES, seed=_stateless(seed, -2))
        own = own.numpy()
        trace, radius = spread(own)
        numbers = Descent(
            policy,
            constraint,
            seed,
            kl_source_samples=float(self._kl(source_samples(seed))),
            kl_fresh_samples=float(self._kl(fresh)),
            entropy=-float(tf.reduce_mean(log_prob)),
            covariance_trace=trace,
            radius_99=radius,
            steps=steps,
            reached=reached,
        )
        _, points = picture_grid()
        on_grid = self._log_prob(tf.constant(points, tf.float32)).numpy()
        return numbers, Pictured(own[:1000], on_grid)


def _stateless(seed: int, index: int) -> tf.Tensor:
    return tf.constant([seed, index], tf.int32)
