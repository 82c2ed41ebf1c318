"""What a distribution can do: the only coupling between policies and algorithms."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.distributions.divergence import has_analytic_kl
from expol_tf.distributions.greedy import greedy_action
from expol_tf.errors import CapabilityError

tfd = tfp.distributions

CAPABILITIES = (
    "sample",
    "reparameterized_sample",
    "log_prob",
    "sample_and_log_prob",
    "entropy",
    "kl",
    "greedy_action",
)


def capabilities(distribution: tfd.Distribution) -> frozenset[str]:
    """Returns the subset of `CAPABILITIES` that the distribution has.

    * `sample`, and `reparameterized_sample` if gradients flow through it;
    * `log_prob` of any action;
    * `sample_and_log_prob` of the distribution's own samples;
    * `entropy` and `kl` (to one of its kind) in closed form;
    * `greedy_action`, by `expol_tf.distributions.greedy_action`.

    TFP gives every distribution every method, and a missing one shows only when it is called; so each is
    traced abstractly, without computing anything. A distribution may declare them instead, in an attribute
    `declared_capabilities`.
    """
    declared = getattr(distribution, "declared_capabilities", None)
    if declared is not None:
        return frozenset(declared)
    action = tf.TensorSpec(distribution.batch_shape + distribution.event_shape, distribution.dtype)
    seed = tf.TensorSpec([2], tf.int32)
    found = set()
    if _traces(lambda s: distribution.sample(seed=s), seed):
        found.add("sample")
        if distribution.reparameterization_type == tfd.FULLY_REPARAMETERIZED:
            found.add("reparameterized_sample")
    if _traces(distribution.log_prob, action):
        found.add("log_prob")
    if _traces(lambda s: distribution.experimental_sample_and_log_prob(seed=s), seed):
        found.add("sample_and_log_prob")
    if _traces(distribution.entropy):
        found.add("entropy")
    if has_analytic_kl(distribution):
        found.add("kl")
    if _traces(lambda: greedy_action(distribution)):
        found.add("greedy_action")
    return frozenset(found)


def require(
    distribution: tfd.Distribution, needed: tuple[str, ...], *, policy: str, algorithm: str, instead: str
) -> None:
    """Raises a `CapabilityError` that names the policy, what it lacks and what to use instead.

    Args:
      distribution: One that the policy's network returned.
      needed: Capabilities that the algorithm needs.
      policy: Name of the actor network.
      algorithm: Name of the algorithm.
      instead: Which algorithms accept such a policy, in words.
    """
    found = capabilities(distribution)
    missing = [name for name in needed if name not in found]
    if missing:
        raise CapabilityError(
            f"actor_network: {algorithm} needs a policy whose distribution has {' and '.join(missing)}; "
            f"{policy}'s {type(distribution).__name__} does not. {instead}"
        )


def _traces(method: Callable, *specs: tf.TensorSpec) -> bool:
    try:
        tf.function(method, autograph=False).get_concrete_function(*specs)
    except (NotImplementedError, CapabilityError):
        return False
    return True
