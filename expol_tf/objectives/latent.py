"""The pre-squash action of a squashed policy, as objectives see it."""

from __future__ import annotations

import tensorflow_probability as tfp

from expol_tf.errors import CapabilityError
from expol_tf.tfp_types import is_chain

tfb = tfp.bijectors
tfd = tfp.distributions


def latent_and_squash(distribution: tfd.Distribution) -> tuple[tfd.Distribution, tfb.Bijector]:
    """The distribution of u and the map from u to actions, of a squashed policy.

    The map is the policy's bijector or, of a chain (a flow and then a squash), its last step.
    """
    latent, squash = getattr(distribution, "distribution", None), getattr(distribution, "bijector", None)
    if squash is not None and is_chain(squash) and squash.bijectors:
        latent = tfd.TransformedDistribution(latent, tfb.Chain(squash.bijectors[1:]))
        squash = squash.bijectors[0]
    # A map with parameters, or one that mixes components, as a Gaussian's own bijector does, is part of the
    # policy, not of the box; one of constant slope does not end at the box's edges.
    if (
        latent is None
        or squash is None
        or squash.forward_min_event_ndims != 0
        or squash.is_constant_jacobian
        or squash.trainable_variables
    ):
        raise CapabilityError(
            "policy: moving actions before the squash needs a squashed policy, "
            "tfd.TransformedDistribution(latent, Squash(…)) or an ImplicitDistribution with a Squash; got "
            f"{type(distribution).__name__}. Make the network with squash=True; soft Q-learning takes "
            'it with kernel_space="action".'
        )
    return latent, squash
