"""Actions of the policy, and others of the same states, for a discriminator to tell apart.

All functions are called as `contrast(observation, policy, critic, temperature, seed, valid)`, like a policy
improvement, and return a `Contrast`. No gradient flows through what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from expol_tf.bijectors import ActionBox, BoxSpec, into_box
from expol_tf.configurable import configurable
from expol_tf.distributions import latent_and_squash
from expol_tf.number_types import Count, Positive
from expol_tf.objectives.masked import masked_mean
from expol_tf.objectives.protocols import Critic, Policy, distribution_at, require_inputs, require_temperature
from expol_tf.objectives.soft_values import reduced_value


class Contrast(NamedTuple):
    """Two actions for each state: one of the policy and one of the distribution it is compared with.

    Attributes:
      policy_action: a ~ π(·|s) `[N, A]`, in action units.
      other_action: a* `[N, A]` of the other distribution, in action units.
      metrics: Scalars to report, means over the states that count.
    """

    policy_action: tf.Tensor
    other_action: tf.Tensor
    metrics: Mapping[str, tf.Tensor]


@configurable
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
    num_steps: Count = 5,
    step_size: Positive = 3e-4,
    reduction: str = "min",
) -> Contrast:
    """a = squash(u) is the policy's action, and a* = squash(u*) is K Langevin steps nearer to exp(Q/α):

        u ← u + η·∇_u [ Q(s, squash(u))/α + Σ_i log|squash′(u_i)| ] + √(2η)·ξ,  ξ ~ N(0, I).

    The particles start at the policy's own samples, one per state. A few steps therefore improve the policy a
    little, and many steps (K·η a few times the squared width of the modes) reach the best policy at this α.
    The noise alone moves a component by √(2Kη) in root mean square: 0.055 with the defaults. Metrics:

    * `particle_displacement`: the root mean square of u* − u, per component;
    * `particle_q_gain`: the mean of Q(s, a*) − Q(s, a).

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), Eq. 4 and §3.4, as corrected in
    `docs/errata.md`.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must be squashed and have `reparameterized_sample`.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: α > 0, a scalar, in reward per nat of the action scaled to [−1, 1].
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count in the metrics; None counts all.
      box: Action spec with finite bounds, shape `[A]`.
      langevin: `expol_tf.samplers.langevin`, or a sampler called like it.
      num_steps: K, the number of steps, 1 or more.
      step_size: η > 0, in units of u². Steps larger than the curvature allows, η·|∇²Q|/α > 2, throw particles
        into the corners of the box.
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    require_inputs(observation, temperature, seed, valid)
    seeds = tf.random.experimental.stateless_split(seed, 2)
    latent, squash = latent_and_squash(distribution_at(policy, observation, box))
    start = latent.sample(seed=seeds[0])[:, tf.newaxis]  # One particle a state, [N, 1, A].

    def value(u: tf.Tensor) -> tf.Tensor:
        """Q(s, squash(u)) `[N, 1]`, reduced over the critics."""
        return reduced_value(critic, observation, squash.forward(u), reduction)

    def score(u: tf.Tensor) -> tf.Tensor:
        """∇_u [ Q/α + Σ_i log|squash′(u_i)| ] `[N, 1, A]`."""
        # TFP's bijector cache returns what it computed for this tensor before, and no tape recorded that.
        u = tf.identity(u)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(u)
            # The slope of the squash makes this the density of u whose actions have density ∝ exp(Q/α).
            # Without it exp(Q/α) does not fall off as |u| grows, and particles drift to the edges of the box.
            q = value(u)
            require_temperature(temperature, q)
            log_density = q / temperature + squash.forward_log_det_jacobian(u, event_ndims=1)
        return tape.gradient(log_density, u)

    # The score is divided by α already, so the sampler's own temperature stays 1.
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


@configurable
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
    """a ~ π(·|s) and a* ~ U(A), uniform on the box of actions; a is drawn now, not taken from the replay.

    The best f of `jsd()` between the two is c*(s, a) = log π(a|s) + log|A|. A classifier trained to tell them
    apart therefore replaces the density of a policy that has none.

    Reference: Tang & Agrawal, *Implicit Policy for Reinforcement Learning*, Lemma A.1, as corrected in
    `docs/errata.md`.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `sample` and stay in the box: no uniform action lies outside it, so f would
        grow there without bound.
      critic: Q, unused.
      temperature: α, a scalar, unused.
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]` or None, unused.
      box: Action spec with finite bounds, shape `[A]`.
    """
    require_inputs(observation, temperature, seed, valid)
    seeds = tf.random.experimental.stateless_split(seed, 2)
    # Actions in the replay are those of earlier policies: a classifier of them would not estimate log π.
    action = tf.stop_gradient(distribution_at(policy, observation, box).sample(seed=seeds[0]))
    scaled = tf.random.stateless_uniform(tf.shape(action), seeds[1], -1.0, 1.0)
    return Contrast(action, into_box(ActionBox.of(box).from_scaled(scaled), box), {})
