"""Whether a policy's log π is a density: ∫ π(a|s) da = 1, before a training step and after it."""

from __future__ import annotations

import contextlib

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.distributions import split_squash
from expol_tf.errors import CapabilityError
from expol_tf.optimizers import Adam
from expol_tf.testing.assertions import ensure, restored
from expol_tf.testing.network_under_test import SAMPLES, NetworkUnderTest

# The policy's own samples, around which points are drawn, and the points around each.
_CENTRES = 100
_POINTS_OF_EACH = 40
# A kernel's width in standard deviations of the samples.
_WIDTH = 0.5
# Student's kernels have this ν; `_log_kernels` has the constants that belong to it.
_FREEDOM = 3
# What may be missing or too much beside four standard errors of the estimate.
_SLACK = 0.01
_STEPS = 5
_LEARNING_RATE = 0.02


def check_density(subject: NetworkUnderTest) -> None:
    """Checks that the density integrates to 1 as the network is made, and after steps of training."""
    _ensure_density(
        subject,
        "as the network is made",
        "The log-determinant of a bijector may be wrong, or have another sign.",
    )
    variables = subject.network.trainable_variables
    with restored(variables):
        _train(subject, variables)
        _ensure_density(
            subject,
            "after a step of training",
            "A mask or another property of the weights is lost when they move: keep it by a constraint of "
            "the variable (kernel_constraint of a Keras layer), or apply it in `call`.",
        )


def _train(subject: NetworkUnderTest, variables: list[tf.Variable]) -> None:
    """Takes steps that make some of the network's samples likelier and others less likely."""
    distribution = subject.distribution()
    sample = tf.stop_gradient(distribution.sample(SAMPLES, seed=subject.seed))
    weight = tf.random.stateless_normal(sample.shape[:2], subject.seed, dtype=sample.dtype)
    optimizer = Adam(_LEARNING_RATE)
    optimizer.build(variables)
    # A step of Adam is as long as its learning rate; some small ones reach further than one.
    for _ in range(_STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(weight * subject.distribution().log_prob(tf.identity(sample)))
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))


def _ensure_density(subject: NetworkUnderTest, when: str, remedy: str) -> None:
    estimate, error = integral(subject)
    allowed = _SLACK + 4.0 * error
    ensure(
        abs(estimate - 1.0) <= allowed,
        f"∫ exp(log π(a|s)) da must be 1 {when}; got {estimate:.4f}, which importance sampling knows to "
        f"± {allowed:.4f}. {remedy}",
    )


def integral(subject: NetworkUnderTest) -> tuple[float, float]:
    """Returns ∫ π(a|s) da, averaged over the subject's observations, and the standard error of this estimate.

    Importance sampling: mean π(x)/q(x) over x from q. The q of a state is a mixture of kernels, each around a
    sample of π(·|s), so that q is large where π is. The kernels are Student's, with tails broader than
    most policies'. A squashed policy is integrated before the squash, where its density has no edges; the
    log-determinant of the squash is held against its slope, by autodiff.
    """
    distribution, squash = subject.distribution(), None
    with contextlib.suppress(CapabilityError):  # A squash that is not the last step cannot be split off.
        distribution, squash = split_squash(distribution)
    centres = distribution.sample(_CENTRES, seed=subject.seed).numpy()  # [S, B, A]
    width = np.maximum(_WIDTH * np.std(centres, axis=0), 1e-6)
    noise = np.random.default_rng(0).standard_t(_FREEDOM, [_POINTS_OF_EACH, *centres.shape])
    points = (centres + width * noise).astype(centres.dtype).reshape(-1, *centres.shape[1:])  # [N, B, A]
    log_q = np.concatenate([_log_kernels(part, centres, width) for part in np.split(points, _POINTS_OF_EACH)])
    ratio = np.exp(distribution.log_prob(tf.constant(points)).numpy() - log_q)
    if squash is not None:
        ratio *= _volume_of(squash, tf.constant(points))
    low, high = subject.action_spec.minimum, subject.action_spec.maximum
    if squash is None and np.all((centres >= low) & (centres <= high)):
        # A distribution on the box alone, such as a Beta, may say anything elsewhere.
        ratio = np.where(np.all((points >= low) & (points <= high), axis=-1), ratio, 0.0)
    return float(np.mean(ratio)), float(np.std(ratio) / np.sqrt(ratio.size))


def _volume_of(squash: tfp.bijectors.Bijector, points: tf.Tensor) -> np.ndarray:
    """Π |∂aᵢ/∂uᵢ| / exp(log-determinant) `[N, B]` at u `[N, B, A]`: 1 if the squash knows its volume."""
    with tf.GradientTape() as tape:
        tape.watch(points)
        action = squash.forward(points)
    slope = np.abs(tape.gradient(action, points).numpy())
    claimed = tf.exp(squash.forward_log_det_jacobian(tf.identity(points), event_ndims=0)).numpy()
    # Where it saturates autodiff loses its slope to rounding, and finds 0 in the end.
    steep = slope > 1e-2 * np.max(slope, axis=(0, 1))
    return np.prod(np.where(steep, slope / np.where(steep, claimed, 1.0), 1.0), axis=-1)


def _log_kernels(points: np.ndarray, centres: np.ndarray, width: np.ndarray) -> np.ndarray:
    """log q `[N, B]` of points `[N, B, A]`: the mean of Student's densities around centres `[S, B, A]`."""
    scaled = (points[:, np.newaxis] - centres) / width
    # Γ((ν + 1)/2) / (Γ(ν/2)·√(νπ)) is 2 / (π√3) for ν = 3.
    log_kernel = np.log(2.0 / (np.pi * np.sqrt(3.0)) / width) - 2.0 * np.log1p(np.square(scaled) / _FREEDOM)
    return np.logaddexp.reduce(np.sum(log_kernel, axis=-1), axis=1) - np.log(len(centres))
