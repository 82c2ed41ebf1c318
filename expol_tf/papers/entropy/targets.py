"""Densities on ℝ² with known entropies, and the particles that set out for them.

Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*, Table 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# The particles start from q⁰ = N(0, 6·I).
START_VARIANCE = 6.0
MEAN = (-0.69, 0.8)
COVARIANCE = ((1.13, 0.82), (0.82, 3.39))


class Mixture(NamedTuple):
    """Σₖ N(μₖ, C)/K with one covariance for all.

    Attributes:
      name: What tables call it.
      means: μ `[K, 2]`.
      covariance: C `[2, 2]`.
    """

    name: str
    means: np.ndarray
    covariance: np.ndarray

    def score(self, u: tf.Tensor) -> tf.Tensor:
        """∇ log p of particles `[..., M, 2]`."""
        precision = np.linalg.inv(self.covariance)
        return mixture_score(u, tf.constant(self.means, u.dtype), tf.constant(precision, u.dtype))

    def log_prob(self, u: np.ndarray) -> np.ndarray:
        """log p of points `[..., 2]`."""
        away = u[..., np.newaxis, :] - self.means
        exponents = -0.5 * np.einsum("...i,ij,...j->...", away, np.linalg.inv(self.covariance), away)
        highest = exponents.max(axis=-1)
        scaled = np.exp(exponents - highest[..., np.newaxis]).mean(axis=-1)
        return highest + np.log(scaled) - 0.5 * np.linalg.slogdet(2 * np.pi * self.covariance)[1]

    @property
    def entropy(self) -> float:
        """H[p], nats: in closed form of one component, else by quadrature."""
        if len(self.means) == 1:
            return gaussian_entropy(self.covariance)
        std = np.sqrt(np.diag(self.covariance).max())
        reach = np.abs(self.means).max() + 8 * std
        nodes = np.linspace(-reach, reach, 1 + 2 * int(np.ceil(reach / (0.1 * std))))
        log_prob = self.log_prob(np.stack(np.meshgrid(nodes, nodes), axis=-1))
        # The trapezoid rule converges faster than any power of the spacing where the density vanishes.
        return float(-np.sum(np.exp(log_prob) * log_prob) * (nodes[1] - nodes[0]) ** 2)


def mixture_score(u: tf.Tensor, means: tf.Tensor, precision: tf.Tensor) -> tf.Tensor:
    """∇ log Σₖ N(u; μₖ, Λ⁻¹) of particles `[..., M, 2]`.

    Args:
      u: `[..., M, 2]`.
      means: μ `[K, 2]`.
      precision: Λ `[2, 2]`.
    """
    away = u[..., tf.newaxis, :] - means
    pulled = tf.einsum("...i,ij->...j", away, precision)
    weights = tf.nn.softmax(-0.5 * tf.reduce_sum(away * pulled, axis=-1), axis=-1)
    return -tf.reduce_sum(weights[..., tf.newaxis] * pulled, axis=-2)


def paper_gaussian() -> Mixture:
    """Returns the Gaussian of the paper's Figures 4a, 4b and 9; its entropy is 3.4129."""
    return Mixture("Gaussian", np.array([MEAN]), np.array(COVARIANCE))


def round_gaussian(variance: float) -> Mixture:
    """Returns N(0, variance·I)."""
    return Mixture(f"N(0, {variance:g}·I)", np.zeros([1, 2]), variance * np.eye(2))


def ring(num_components: int, variance: float = 1.0, radius: float = 4.0) -> Mixture:
    """Returns a mixture of Gaussians N(μ, variance·I) evenly on a circle about the origin."""
    angles = 2 * np.pi * np.arange(num_components) / num_components
    means = radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return Mixture(f"ring of {num_components}", means, variance * np.eye(2))


def gaussian_entropy(covariance: np.ndarray) -> float:
    """½ log det 2πe·C."""
    return float(0.5 * np.linalg.slogdet(2 * np.pi * np.e * np.asarray(covariance))[1])


def start_particles(seeds: Sequence[int], num_particles: int) -> np.ndarray:
    """Draws from q⁰, `[S, M, 2]`: of a seed the same however many there are of others."""
    drawn = [
        tf.random.stateless_normal([num_particles, 2], tf.constant([0, seed], tf.int32)) for seed in seeds
    ]
    return np.sqrt(np.float32(START_VARIANCE)) * np.stack(drawn)


def start_log_prob(u: np.ndarray) -> np.ndarray:
    """log q⁰ `[...]` of points `[..., 2]`."""
    u = u.astype(np.float64)
    return -np.log(2 * np.pi * START_VARIANCE) - np.sum(u**2, axis=-1) / (2 * START_VARIANCE)
