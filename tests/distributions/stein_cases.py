"""Gaussians, a score and starts for the tests of the Stein distribution."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.distributions import SteinDistribution

tfd = tfp.distributions

BOX = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
MEAN = np.array([[0.3, -0.2], [1.0, 0.5], [-0.7, 0.0]])
STD = np.array([[0.5, 1.0], [0.2, 0.4], [1.5, 0.7]])
STRENGTH = np.array([1.0, 3.0, 0.3])
SEED = tf.constant([1, 2])


def make_base(dtype=tf.float64, batch=(3,)):
    mean, std = (each[: batch[-1]] if batch else each[0] for each in (MEAN, STD))
    mean, std = (tf.constant(np.broadcast_to(each, [*batch, 2]), dtype) for each in (mean, std))
    return tfd.MultivariateNormalDiag(mean, std)


def score(u):
    """The gradient of Σ −u⁴/4 + 2 sin(u), in every member of the batch with another strength."""
    strength = 1.0
    if u.shape.rank > 2:
        strength = tf.constant(STRENGTH[: u.shape[-3]], u.dtype)[:, tf.newaxis, tf.newaxis]
    return strength * (2.0 * tf.cos(u) - u**3)


def starts_of(base, sampler, num_sets):
    """Where all particles, spare ones too, of so many sets start: `[B, S, M + spares, A]` and log q⁰."""
    total = sampler.num_particles + sampler.num_spares
    still = dataclasses.replace(sampler, num_particles=total, num_spares=0, num_sampler_steps=0)
    u, log_prob = SteinDistribution(base, score, still).experimental_sample_and_log_prob(
        num_sets * total, seed=SEED
    )
    u, log_prob = np.moveaxis(u.numpy(), 0, 1), np.moveaxis(log_prob.numpy(), 0, 1)
    return u.reshape([3, num_sets, total, 2]), log_prob.reshape([3, num_sets, total])
