"""Entropy and Kullback–Leibler divergence, exact where they are known and from samples elsewhere."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.distributions.squashed import action_log_prob, split_squash
from expol_tf.errors import ConfigurationError
from expol_tf.tfp_types import is_transformed

tfd = tfp.distributions


def entropy_estimate(
    distribution: tfd.Distribution, num_samples: int = 10, seed: tf.Tensor | None = None
) -> tf.Tensor:
    """H[π] = −E[log π(a)], in closed form if there is one, else the mean over samples.

    The estimate's gradient is unbiased too: pathwise, through reparameterized samples, or by the score
    function (∇H = −E[log π ∇log π], noisier) where samples are not, as of TFP's mixtures by default.
    Returns `[...]`, the batch shape, in nats of the action's own units.

    Args:
      distribution: With `entropy`, or `sample_and_log_prob` (`log_prob` if samples are not reparameterized).
      num_samples: Samples per batch member.
      seed: A stateless seed, int32 `[2]`.
    """
    try:
        return distribution.entropy()
    except NotImplementedError:
        pass
    if distribution.reparameterization_type == tfd.FULLY_REPARAMETERIZED:
        _, log_prob = distribution.experimental_sample_and_log_prob(num_samples, seed=seed)
        return -tf.reduce_mean(log_prob, axis=0)
    inner, squash = split_squash(distribution)
    sample = tf.stop_gradient(inner.sample(num_samples, seed=seed))
    log_prob = action_log_prob(distribution, sample if squash is None else squash.forward(sample), sample)
    # This has the value of log π, and the gradient (1 + log π)·∇log π, whose first term is 0 on average.
    fixed = tf.stop_gradient(log_prob)
    return -tf.reduce_mean(log_prob + fixed * (log_prob - fixed), axis=0)


def has_analytic_kl(distribution: tfd.Distribution) -> bool:
    """Whether `analytic_kl` is defined between distributions of this kind.

    TFP answers for two `TransformedDistribution`s with the divergence of their bases whenever it takes the
    bijectors to be the same, which two snapshots of one flow seem to be; so flows never count, nor does what
    is made of them (`Independent`, say), and a squashed distribution counts if the one under its (fixed)
    squash does.
    """
    inner, _ = split_squash(distribution)
    if _has_transformed_part(inner):
        return False
    try:
        tf.function(lambda: tfd.kl_divergence(inner, inner), autograph=False).get_concrete_function()
    except NotImplementedError:
        return False
    return True


def _has_transformed_part(distribution: tfd.Distribution) -> bool:
    if is_transformed(distribution):
        return True
    parts = tf.nest.flatten(list(distribution.parameters.values()))
    return any(isinstance(part, tfd.Distribution) and _has_transformed_part(part) for part in parts)


def analytic_kl(p: tfd.Distribution, q: tfd.Distribution) -> tf.Tensor:
    """KL[p ‖ q] `[...]` in closed form; a common squash leaves it unchanged and is left out."""
    return tfd.kl_divergence(split_squash(p)[0], split_squash(q)[0])


def sampled_kl(log_p: tf.Tensor, log_q: tf.Tensor, estimator: str = "k3") -> tf.Tensor:
    """Estimates KL[p ‖ q] at samples of p, one term per sample: take the mean of them.

    With r = q/p at the sample: `k1` is −log r (unbiased, of either sign); `k3` is r − 1 − log r (unbiased,
    never negative, lower variance near p = q). Reference: Schulman 2020, *Approximating KL Divergence*.

    Args:
      log_p: log p at samples of p, `[...]`.
      log_q: log q at the same samples.
      estimator: "k1" or "k3".
    """
    log_ratio = log_q - log_p
    if estimator == "k1":
        return -log_ratio
    if estimator == "k3":
        # expm1 keeps the second-order remainder, which is what is left when p ≈ q.
        return tf.math.expm1(log_ratio) - log_ratio
    raise ConfigurationError(f'estimator must be "k1" or "k3"; got {estimator!r}.')
