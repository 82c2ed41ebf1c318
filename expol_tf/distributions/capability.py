"""What a distribution can do: the only coupling between policies and algorithms."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.distributions.divergence import has_analytic_kl
from expol_tf.distributions.greedy import greedy_action
from expol_tf.errors import CapabilityError, ConfigurationError

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

    TFP gives every distribution every method, and a missing one shows only when it is called. So each method
    is traced, without computing anything. A distribution may declare its capabilities instead, in an
    attribute `declared_capabilities`.

    Args:
      distribution: Any TFP distribution over actions, such as an actor network returns.
    """
    declared = getattr(distribution, "declared_capabilities", None)
    if declared is not None:
        where = f"{type(distribution).__name__}.declared_capabilities"
        return frozenset(known_capabilities(where, declared))
    action = tf.TensorSpec(distribution.batch_shape + distribution.event_shape, distribution.dtype)
    seed = tf.TensorSpec([2], tf.int32)
    # With specs in place of tensors: tracing must not depend on values, nor draw from a seed.
    known = set()
    if _traces(lambda s: distribution.sample(seed=s), seed):
        known.add("sample")
        if distribution.reparameterization_type == tfd.FULLY_REPARAMETERIZED:
            known.add("reparameterized_sample")
    if _traces(distribution.log_prob, action):
        known.add("log_prob")
    if _traces(lambda s: distribution.experimental_sample_and_log_prob(seed=s), seed):
        known.add("sample_and_log_prob")
    if _traces(distribution.entropy):
        known.add("entropy")
    if has_analytic_kl(distribution):
        known.add("kl")
    if _traces(lambda: greedy_action(distribution)):
        known.add("greedy_action")
    return frozenset(known)


def known_capabilities(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    """Returns names of `CAPABILITIES` as a tuple; refuses a name that is none of them.

    Args:
      argument: What holds the names, for the message.
      names: The names.

    Raises:
      ConfigurationError: If a name is unknown, or a single text is given in the place of a sequence.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        remedy = f" Write ({names!r},)." if isinstance(names, str) else ""
        raise ConfigurationError(
            f"{argument} must be a sequence of names from {CAPABILITIES}; got {names!r}.{remedy}"
        )
    names = tuple(names)
    for name in names:
        if name not in CAPABILITIES:
            near = difflib.get_close_matches(str(name).lower(), CAPABILITIES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"{argument} must name some of {CAPABILITIES}; got {name!r}.{hint}")
    return names


def require(
    distribution: tfd.Distribution, needed: tuple[str, ...], *, policy: str, algorithm: str, instead: str
) -> None:
    """Raises a `CapabilityError` that names the policy, what it lacks and what to use instead.

    Args:
      distribution: A distribution that the policy's network returned.
      needed: The capabilities that the algorithm needs.
      policy: The name of the actor network.
      algorithm: The name of the algorithm.
      instead: A sentence that says which policies or algorithms to use instead.
    """
    known = capabilities(distribution)
    missing = [name for name in needed if name not in known]
    if missing:
        raise CapabilityError(
            f"actor_network: {algorithm} needs a policy whose distribution has {' and '.join(missing)}; "
            f"{policy}'s {type(distribution).__name__} does not. {instead}"
        )


def _traces(method: Callable, *specs: tf.TensorSpec) -> bool:
    """Whether TFP implements a method for arguments of these specs."""
    try:
        tf.function(method, autograph=False).get_concrete_function(*specs)
    except (NotImplementedError, CapabilityError):
        # Any other error is a defect of the distribution, which its user should see.
        return False
    return True
