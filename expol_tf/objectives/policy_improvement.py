"""Losses whose gradient with respect to the policy's parameters improves it under given action values.

All functions are called as `improvement(observation, policy, critic, temperature, seed, valid)` and return
an `Improvement`, so that an agent can take any of them. `functools.partial` sets their other arguments.

* `policy(observation [N, O])` returns a TFP distribution over actions `[N, A]`.
* `critic(observation [N, O], action [N, A] or [N, M, A])` returns Q `[N, C]` or `[N, M, C]` of C critics.

The critic computes Q and ∇_a Q in one forward and one backward pass. Its parameters receive no gradient,
whatever the caller differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import ActionBox, BoxSpec
from expol_tf.checks import require_number
from expol_tf.configurable import configurable
from expol_tf.distributions import SteinDistribution, latent_and_squash
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count
from expol_tf.objectives.masked import masked_mean
from expol_tf.objectives.protocols import (
    Critic,
    Improvement,
    Policy,
    distribution_at,
    require_inputs,
    require_temperature,
)
from expol_tf.objectives.soft_values import reduced_value, sample_actions

tfb = tfp.bijectors
tfd = tfp.distributions

SPACES = ("latent", "action")


@configurable
def reparameterized_improvement(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    box: BoxSpec,
    reduction: str = "min",
    num_samples: Count = 1,
) -> Improvement:
    """Minimizes E[ α log π(a|s) − Q(s, a) ], with a and log π from one reparameterized call.

    Up to a constant this is α·KL[π ‖ exp(Q/α)/Z], so the policy comes as near the best one as its class
    allows. The metrics are the statistics that a `SteinDistribution` has of its samples.

    Reference: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, Eq. 7.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `sample_and_log_prob` and `reparameterized_sample`.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: α ≥ 0, a scalar, in reward per nat of the action scaled to [−1, 1].
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count; None counts all.
      box: Action spec with finite bounds, shape `[A]`.
      reduction: How the values of the critics become one: "min", "mean" or "first".
      num_samples: Number of actions drawn per state.
    """
    require_inputs(observation, temperature, seed, valid)
    distribution = distribution_at(policy, observation, box)
    action, log_prob, statistics = _sample_with_statistics(distribution, num_samples, seed)
    # The density of the scaled action, so that α means the same on every box.
    log_prob = ActionBox.of(box).scaled_log_prob(log_prob)
    q = action_value(critic, observation, action, reduction)
    require_temperature(temperature, q)
    # α is learned by a loss of its own, and this one must not move it.
    loss = tf.stop_gradient(temperature) * log_prob - q
    if num_samples > 1:
        loss, log_prob = tf.reduce_mean(loss, axis=-1), tf.reduce_mean(log_prob, axis=-1)
    metrics = {
        name: statistic if statistic.shape.rank == 0 else masked_mean(statistic, valid)
        for name, statistic in statistics.items()
    }
    return Improvement(masked_mean(loss, valid), log_prob, metrics)


@configurable
def deterministic_improvement(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    reduction: str = "first",
) -> Improvement:
    """Maximizes Q(s, μ(s)) along the deterministic policy gradient, ∇_φ μ·∇_a Q.

    Reference: Silver et al. 2014, *Deterministic Policy Gradient Algorithms*, Eq. 9.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `reparameterized_sample`.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: α, a scalar, unused.
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count; None counts all.
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    require_inputs(observation, temperature, seed, valid)
    action = distribution_at(policy, observation).sample(seed=seed)
    loss = -masked_mean(action_value(critic, observation, action, reduction), valid)
    return Improvement(loss, None, {})


@configurable
def amortized_svgd(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    box: BoxSpec,
    direction: Callable[..., tf.Tensor],
    num_particles: Count = 32,
    separate: bool = True,
    space: str = "latent",
    reduction: str = "min",
) -> Improvement:
    """∇_φ loss = −E_s (1/M) Σ_j Δ(ỹ_j)ᵀ ∂ỹ_j/∂φ: each action goes where SVGD would move it.

    The policy draws 2M actions for a state. M of them, y, stay, and the other M, ỹ, are moved along

        Δ(ỹ_j) = (1/M) Σ_i [ κ(y_i, ỹ_j) ∇ℓ(y_i) + α ∇_{y_i} κ(y_i, ỹ_j) ],

    toward the best policy's density, ∝ exp(Q/α). In space "latent" y is the pre-squash action u, and
    ℓ(u) = Q(s, squash(u)) + α log|∂squash/∂u|. In space "action" y is the action scaled to [−1, 1] and
    ℓ = Q, as in the paper. That is kept for comparison: SVGD knows nothing of a box and piles actions up at
    its edges (see `docs/errata.md`). One particle with `separate=False` in this space gives the
    deterministic policy gradient at any α.

    The value of the loss is −mean Q. The metric `particle_spread` is the standard deviation of a state's y,
    averaged over components and states.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, Eq. 13 and 14.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `reparameterized_sample` and, in the latent space, be squashed.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: α ≥ 0, a scalar, in reward per nat of the action scaled to [−1, 1].
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count; None counts all.
      box: Action spec with finite bounds, shape `[A]`.
      direction: Δ, called as `direction(particles, score, temperature, moved)`: `samplers.svgd_direction`,
        or a partial of it that sets another kernel.
      num_particles: M, the number of particles per state.
      separate: Whether y and ỹ are different actions; otherwise only M are drawn and used as both.
      space: "latent" or "action".
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    require_inputs(observation, temperature, seed, valid)
    require_particles(num_particles, space)
    temperature, scaling = tf.stop_gradient(temperature), ActionBox.of(box)
    distribution = distribution_at(policy, observation, box)
    if space == "latent":
        distribution, squash = latent_and_squash(distribution)

    def draw(seed: tf.Tensor) -> tf.Tensor:
        """Returns M actions per state `[N, M, A]`: u in the latent space, otherwise scaled actions."""
        particles = tf.transpose(distribution.sample(num_particles, seed=seed), [1, 0, 2])  # [N, M, A]
        return particles if space == "latent" else scaling.to_scaled(particles)

    # Two calls, not the halves of one call: only `moving` needs a gradient, and backpropagation through one
    # call would carry all 2M rows.
    seeds = tf.random.experimental.stateless_split(seed, 2)
    moving = draw(seeds[0])
    # Eq. 14 holds Δ constant: φ is reached by ∂ỹ/∂φ alone, not through the places of y.
    fixed = tf.stop_gradient(draw(seeds[1]) if separate else moving)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(fixed)
        action = squash.forward(fixed) if space == "latent" else scaling.from_scaled(fixed)
        q = reduced_value(critic, observation, action, reduction)
        require_temperature(temperature, q)
        log_density = q
        if space == "latent":
            log_density += temperature * squash.forward_log_det_jacobian(fixed, event_ndims=1)
    # ∇ℓ and the loss below share this one pass through the critic.
    score = tape.gradient(log_density, fixed)
    delta = direction(fixed, score, temperature, tf.stop_gradient(moving) if separate else None)
    # Δ takes the place of a gradient of q; it is divided by M, as the loss is a mean over particles.
    improvement = linearized(tf.reduce_mean(q, axis=-1), moving, delta / num_particles)
    spread = tf.math.reduce_std(fixed, axis=1)
    metrics = {"particle_spread": masked_mean(tf.reduce_mean(spread, axis=-1), valid)}
    return Improvement(-masked_mean(improvement, valid), None, metrics)


def require_particles(num_particles: int, space: str) -> None:
    """Raises a `ConfigurationError` if `amortized_svgd` does not take these."""
    require_number("num_particles", num_particles, "1 or more", "The usual number is 32.")
    if space not in SPACES:
        raise ConfigurationError(f"space must be one of {SPACES}; got {space!r}.")


def action_value(critic: Critic, observation: tf.Tensor, action: tf.Tensor, reduction: str) -> tf.Tensor:
    """Q(s, a) `[N]` or `[N, M]`, reduced over critics, with a gradient to the action alone.

    Args:
      critic: Q, which maps states and actions to the values of C critics.
      observation: States s `[N, O]`.
      action: a `[N, A]` or `[N, M, A]`, in action units.
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    # Backpropagating the loss through the critic would also give its parameters a gradient. So ∇_a Q is taken
    # here and enters the result as a constant.
    fixed = tf.stop_gradient(action)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(fixed)
        q = reduced_value(critic, observation, fixed, reduction)
    return linearized(q, action, tape.gradient(q, fixed))


def linearized(value: tf.Tensor, at: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """value + slopeᵀ(at − stop(at)): `value`, whose only gradient is `slope`, in `at`.

    Args:
      value: Values `[...]`.
      at: Where they were taken, `[..., *S, A]`; the product is summed over the axes that `value` lacks.
      slope: Gradient of each value, in the shape of `at`.
    """
    # at − stop(at) is 0, so it adds nothing to the value, but its gradient with respect to `at`
    # is the identity.
    value, slope = tf.stop_gradient(value), tf.stop_gradient(slope)
    change = slope * (at - tf.stop_gradient(at))
    return value + tf.reduce_sum(change, axis=list(range(value.shape.rank, at.shape.rank)))


def _sample_with_statistics(
    distribution: tfd.Distribution, num_samples: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, Mapping[str, tf.Tensor]]:
    """As `sample_actions`, with a Stein distribution's statistics of its samples, scalars or `[N]`."""
    require_number("num_samples", num_samples, "1 or more")
    if not isinstance(distribution, SteinDistribution):
        return *sample_actions(distribution, num_samples, seed), {}
    action, log_prob, statistics = distribution.sample_with_statistics(num_samples, seed)
    if num_samples == 1:
        return action[0], log_prob[0], statistics
    return tf.transpose(action, [1, 0, 2]), tf.transpose(log_prob), statistics
