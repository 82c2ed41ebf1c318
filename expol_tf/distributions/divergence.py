"""Entropy and Kullback–Leibler divergence, exact where they are known and from samples elsewhere."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.checks import require_number
from expol_tf.distributions.squashed import action_log_prob, split_squash
from expol_tf.errors import ConfigurationError
from expol_tf.shapes import require_shapes
from expol_tf.tfp_types import is_transformed

tfd = tfp.distributions


def entropy_estimate(
    distribution: tfd.Distribution, num_samples: int = 10, seed: tf.Tensor | None = None
) -> tf.Tensor:
    """H[π] = −E[log π(a)], in closed form if there is one, else the mean over samples.

    The gradient of the estimate is unbiased too. It is pathwise where samples are reparameterized. Where they
    are not, as those of TFP's mixtures by default, it is that of the score function, ∇H = −E[log π ∇log π],
    which is noisier.

    Args:
      distribution: A distribution with `entropy`, or with `sample_and_log_prob` (with `log_prob` where
        samples are not reparameterized).
      num_samples: Number of samples for each member of the batch.
      seed: A stateless seed, int32 `[2]`.

    Returns:
      H `[...]`, the batch shape, in nats of the action in its own units.
    """
    require_number("num_samples", num_samples, "1 or more", "The usual number is 10.")
    try:
        return distribution.entropy()
    except NotImplementedError:
        pass
    if distribution.reparameterization_type == tfd.FULLY_REPARAMETERIZED:
        _, log_prob = distribution.experimental_sample_and_log_prob(num_samples, seed=seed)
        return -tf.reduce_mean(log_prob, axis=0)
    inner, squash = split_squash(distribution)
    sample = tf.stop_gradient(inner.sample(num_samples, seed=seed))
    # By way of u: inverting the squash loses u near the edge of the box.
    log_prob = action_log_prob(distribution, sample if squash is None else squash.forward(sample), sample)
    # Samples that carry no gradient leave only the explicit one, E[∇log π] = 0, of a mean of log π. This sum
    # has the value of log π and the gradient (1 + log π)·∇log π, whose first term is 0 on average.
    fixed = tf.stop_gradient(log_prob)
    return -tf.reduce_mean(log_prob + fixed * (log_prob - fixed), axis=0)


def has_analytic_kl(distribution: tfd.Distribution) -> bool:
    """Whether `analytic_kl` is defined between distributions of this kind.

    It is not for flows, nor for distributions made of them (`Independent`, say). A squashed distribution
    counts if the one under its squash does.
    """
    # Between two TransformedDistributions TFP returns the divergence of their bases if it takes the bijectors
    # to be the same, and it takes two snapshots of one flow to be so.
    inner, _ = split_squash(distribution)
    if _has_transformed_part(inner):
        return False
    try:
        tf.function(lambda: tfd.kl_divergence(inner, inner), autograph=False).get_concrete_function()
    except NotImplementedError:
        return False
    return True


def _has_transformed_part(distribution: tfd.Distribution) -> bool:
    """Whether the distribution, or one among its parameters, is a TransformedDistribution."""
    if is_transformed(distribution):
        return True
    parameters = tf.nest.flatten(list(distribution.parameters.values()))
    components = (value for value in parameters if isinstance(value, tfd.Distribution))
    return any(map(_has_transformed_part, components))


def analytic_kl(p: tfd.Distribution, q: tfd.Distribution) -> tf.Tensor:
    """KL[p ‖ q] `[...]` in closed form.

    Args:
      p: A distribution for which `has_analytic_kl` holds.
      q: A distribution of the same kind, with the same squash if there is one.
    """
    # An invertible map of both, such as their squash, leaves the divergence unchanged.
    return tfd.kl_divergence(split_squash(p)[0], split_squash(q)[0])


def sampled_kl(log_p: tf.Tensor, log_q: tf.Tensor, estimator: str = "k3") -> tf.Tensor:
    """KL[p ‖ q] ≈ mean of −log r ("k1") or of r − 1 − log r ("k3"), r = q/p at samples of p.

    Both are unbiased. "k1" has either sign; "k3" is never negative and has a lower variance near p = q.
    Reference: Schulman 2020, *Approximating KL Divergence*.

    Args:
      log_p: log p at samples of p, `[...]`.
      log_q: log q at the same samples, `[...]`.
      estimator: "k1" or "k3".

    Returns:
      One term for each sample, `[...]`, of which the mean is the estimate.
    """
    require_shapes(("log_p", log_p, "..."), ("log_q", log_q, "..."))
    log_ratio = log_q - log_p
    if estimator == "k1":
        return -log_ratio
    if estimator == "k3":
        # Near p = q, r − 1 and log r cancel up to log² r / 2, which exp(log r) − 1 would lose to rounding.
        return tf.math.expm1(log_ratio) - log_ratio
    raise ConfigurationError(f'estimator must be "k1" or "k3"; got {estimator!r}.')
