"""Actions of the policy and others beside them, for a discriminator to tell apart.

All functions are called alike, `contrast(observation, policy, critic, temperature, seed, valid)`, with the
arguments of `policy_improvement`; no gradient flows through what they return.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gin
import tensorflow as tf

from expol_tf.bijectors import ActionBox, BoxSpec
from expol_tf.distributions import latent_and_squash
from expol_tf.errors import ConfigurationError
from expol_tf.objectives.masked import masked_mean
from expol_tf.objectives.protocols import Critic, Policy
from expol_tf.objectives.soft_values import reduce_critics


class Contrast(NamedTuple):
    """Two actions of each state.

    Attributes:
      policy_action: a ~ π(·|s) `[N, A]`, in action units.
      other_action: a* `[N, A]`, of the distribution that it is compared with.
      metrics: Scalars to report, means over states.
    """

    policy_action: tf.Tensor
    other_action: tf.Tensor
    metrics: Mapping[str, tf.Tensor]


@gin.configurable(module="expol_tf")
def langevin_particles(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    box: BoxSpec,
    langevin: Callable[..., Any],
    num_steps: int = 5,
    step_size: float = 3e-4,
    reduction: str = "min",
) -> Contrast:
    """a = squash(u) of the policy, and a* = squash(u*) after K Langevin steps of u toward exp(Q/α):

        u ← u + η·∇_u [ Q(s, squash(u))/α + Σ_i log|squash′(u_i)| ] + √(2η)·ξ,  ξ ~ N(0, I).

    The particles start at the policy's own samples, one a state, so few steps improve the policy by little
    and many (K·η of a few units of the modes' width squared) bring it to the best one at this α. With noise
    alone a component moves by √(2Kη) rms: 0.055 with the defaults. Metrics:

    * `particle_displacement`: root mean square of u* − u, per component;
    * `particle_q_gain`: mean of Q(s, a*) − Q(s, a).

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), Eq. 4 and §3.4, corrected as
    `docs/errata.md` tells.

    Args:
      observation: s `[N, O]`.
      policy: With `reparameterized_sample`, squashed.
      critic: Q.
      temperature: α, positive.
      seed: int32 `[2]`.
      valid: bool `[N]`, states that count in the metrics; None for all.
      box: The action spec.
      langevin: `expol_tf.samplers.langevin`, or another called alike.
      num_steps: K, 1 or more.
      step_size: η, positive, in units of u². Steps beyond the curvature's scale, η·|∇²Q|/α > 2, throw
        particles into the corners of the box.
      reduction: Over critics, "min", "mean" or "first".
    """
    if num_steps < 1:
        raise ConfigurationError(f"num_steps must be 1 or more; got {num_steps}.")
    if not 0 < step_size < math.inf:
        raise ConfigurationError(f"step_size must be positive and finite; got {step_size}.")
    seeds = tf.random.experimental.stateless_split(seed, 2)
    latent, squash = latent_and_squash(policy(observation))
    start = latent.sample(seed=seeds[0])[:, tf.newaxis]  # One particle a state, [N, 1, A].

    def value(u: tf.Tensor) -> tf.Tensor:
        return reduce_critics(critic(observation, squash.forward(u)), reduction)

    def score(u: tf.Tensor) -> tf.Tensor:
        u = tf.identity(u)  # The squash remembers what it did to a tensor, but no tape saw that.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(u)
            log_density = value(u) / temperature + squash.forward_log_det_jacobian(u, event_ndims=1)
        return tape.gradient(log_density, u)

    end = langevin(start, score, num_steps, step_size, seed=seeds[1]).particles
    gain = tf.squeeze(value(end) - value(start), axis=-1)
    moved = tf.reduce_mean(tf.square(end - start), axis=[1, 2])
    metrics = {
        "particle_displacement": tf.sqrt(masked_mean(moved, valid)),
        "particle_q_gain": masked_mean(gain, valid),
    }
    return Contrast(
        tf.stop_gradient(squash.forward(start[:, 0])), tf.stop_gradient(squash.forward(end[:, 0])), metrics
    )


@gin.configurable(module="expol_tf")
def uniform_actions(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    box: BoxSpec,
) -> Contrast:
    """a ~ π(·|s), drawn now and not of the replay, and a* ~ U(A) on the box.

    The best f of `jsd()` between the two is c*(s, a) = log π(a|s) + log|A|, so that a classifier of them
    stands in for the density of a policy that has none.

    Reference: Tang & Agrawal, *Implicit Policy for Reinforcement Learning*, Lemma A.1, corrected as
    `docs/errata.md` tells.

    Args:
      observation: s `[N, O]`.
      policy: With `sample`, of actions in the box: outside of it, where no uniform action is, f grows without
        bound.
      critic: Of no importance.
      temperature: Of no importance.
      seed: int32 `[2]`.
      valid: Of no importance.
      box: The action spec.
    """
    seeds = tf.random.experimental.stateless_split(seed, 2)
    action = tf.stop_gradient(policy(observation).sample(seed=seeds[0]))
    scaled = tf.random.stateless_uniform(tf.shape(action), seeds[1], -1.0, 1.0)
    return Contrast(action, ActionBox.of(box).from_scaled(scaled), {})
