"""Improvements of a policy against a discriminator, a network that tells its actions from others.

The discriminator is `f(observation [N, O], action [N, A]) -> [N]`, with actions in action units. One
forward and one backward pass compute f and ∇_a f. The policy's loss gives its parameters no gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import ActionBox, BoxSpec
from expol_tf.configurable import configurable
from expol_tf.number_types import NonNegative
from expol_tf.objectives.contrasts import Contrast
from expol_tf.objectives.masked import masked_mean, masked_variance
from expol_tf.objectives.matching import Matching, gradient_penalty
from expol_tf.objectives.policy_improvement import action_value, linearized
from expol_tf.objectives.protocols import (
    Critic,
    Improvement,
    Policy,
    distribution_at,
    require_inputs,
    require_temperature,
)
from expol_tf.objectives.soft_values import sample_actions
from expol_tf.shapes import require_shapes

tfd = tfp.distributions

# f: observations [N, O] and actions [N, A] → [N].
DiscriminatorFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# The entropy's spread is estimated from this many states, and this many actions for each of them.
_ENTROPY_STATES = 64
_ENTROPY_ACTIONS = 8


def discriminator_loss(
    discriminator: DiscriminatorFunction,
    observation: tf.Tensor,
    contrast: Contrast,
    matching: Matching,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    box: BoxSpec,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """−E[ value(f(s, a), f(s, a*)) ] + λ·E[ (‖∇f‖ − 1)² ], with a matching's value and its penalty weight λ.

    Both actions share their states, so that the joint distributions of states and actions are compared.

    Args:
      discriminator: f, which maps states and actions to one value each.
      observation: States s `[N, O]`.
      contrast: a and a*, `[N, A]` each.
      matching: The divergence to estimate, `jsd()` for example.
      seed: Stateless seed, int32 `[2]`, which draws the places of the penalty.
      valid: Bool `[N]`, the states that count; None counts all.
      box: Action spec with finite bounds, shape `[A]`.

    Returns:
      The loss and two metrics: `divergence`, the matching's estimate from this batch, and `accuracy`, the
      share of states where f ranks the policy's action above the other: ½ by chance.
    """
    require_shapes(
        ("observation", observation, "N O", "any"),
        ("contrast.policy_action", contrast.policy_action, "N A"),
        ("contrast.other_action", contrast.other_action, "N A"),
        ("seed", seed, "2", "int"),
        ("valid", valid, "N | None", "bool"),
    )
    # One call for both actions: a network's cost per call is high against that per row.
    both = tf.concat([contrast.policy_action, contrast.other_action], axis=0)
    f = discriminator(tf.concat([observation, observation], axis=0), both)
    require_shapes(("action", both, "N A"), ("discriminator(observation, action)", f, "N"))
    of_policy, of_other = tf.split(f, 2)
    values = matching.value(of_policy, of_other)
    require_shapes(("f", of_policy, "N"), ("matching.value(f_policy, f_target)", values, "N"))
    value = masked_mean(values, valid)
    # An f that gives both the same value ranks neither above the other, and counts as chance.
    above = 0.5 * (1.0 + tf.sign(of_policy - of_other))
    metrics = {"divergence": matching.divergence(value), "accuracy": masked_mean(above, valid)}
    # Skipped, not weighted by 0: training with the penalty takes second derivatives of f.
    if not matching.penalty:
        return -value, metrics
    excess = gradient_penalty(
        discriminator,
        observation,
        contrast.policy_action,
        contrast.other_action,
        seed,
        box,
        matching.one_sided,
    )
    return matching.penalty * masked_mean(excess, valid) - value, metrics


@configurable
def matching_improvement(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    box: BoxSpec,
    matching: Matching,
    discriminator: DiscriminatorFunction,
    entropy_weight: NonNegative = 0.0,
    density: bool = True,
    log_ratio: DiscriminatorFunction | None = None,
) -> Improvement:
    """Minimizes E[ policy_loss(f(s, a)) ] − w·H(π), with a reparameterized: π moves to the particles.

    The metric `entropy_spread`, for policies with a density, is the standard deviation over states of the
    entropy of π(·|s). It is estimated from 8 actions of each of the batch's first 64 states, those that
    count, and corrected for the variance that so few actions add.

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), §3.4.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `reparameterized_sample`.
      critic: Q, unused: it has moved the particles already.
      temperature: α, a scalar, unused for the same reason.
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count; None counts all.
      box: Action spec with finite bounds, shape `[A]`.
      matching: The divergence to minimize, which defines the policy's loss.
      discriminator: f, trained with the same matching.
      entropy_weight: w, in units of the divergence per nat of the action scaled to [−1, 1].
      density: Whether the policy has `sample_and_log_prob`.
      log_ratio: c, which replaces the density of a policy without one by log π ≈ c(s, a) − log|A|, see
        `uniform_actions`; None takes the policy's own density.
    """
    require_inputs(observation, temperature, seed, valid)
    scaling, distribution = ActionBox.of(box), distribution_at(policy, observation, box)
    log_prob: tf.Tensor | None = None
    metrics: dict[str, tf.Tensor] = {}
    if log_ratio is not None:
        action = distribution.sample(seed=seed)
        log_prob = _differentiable(log_ratio, observation, action) - scaling.log_volume
    elif density:
        action, log_prob = sample_actions(distribution, 1, seed)
        log_prob = scaling.scaled_log_prob(log_prob)
    else:
        action = distribution.sample(seed=seed)
    if density:
        # A call of its own, since a spread between states takes several actions of each.
        some = policy(tf.stop_gradient(observation[:_ENTROPY_STATES]))
        counts = None if valid is None else valid[:_ENTROPY_STATES]
        # With the loss's own seed, these samples would repeat its noise.
        spread_seed = tf.random.experimental.stateless_fold_in(seed, 1)
        metrics["entropy_spread"] = _entropy_spread(some, spread_seed, counts)
    loss = _differentiable(
        lambda states, actions: matching.policy_loss(discriminator(states, actions)),
        observation,
        action,
        "matching.policy_loss(f_policy)",
    )
    # The mean of w·log π is −w·H.
    if log_prob is not None and entropy_weight:
        loss += entropy_weight * log_prob
    return Improvement(masked_mean(loss, valid), log_prob, metrics)


@configurable
def density_ratio_improvement(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    box: BoxSpec,
    log_ratio: DiscriminatorFunction | None = None,
    reduction: str = "min",
) -> Improvement:
    """Maximizes E[ Q(s, a) − β·c(s, a) ], a = f_θ(s, ξ): the value, and through c the entropy, of the policy.

    c(s, a) = log π(a|s) + log|A|, so H = −E[c] + log|A|. The gradient of H is −E[∇_a c·∇_θ f_θ] with c held,
    because what c's own dependence on θ would add, E[∇_θ log π_θ(a|s)], is zero. Without c (β = 0) this is
    `deterministic_improvement` for a stochastic policy.

    Reference: Tang & Agrawal, *Implicit Policy for Reinforcement Learning*, Theorem 3.2 and Algorithm 1.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `reparameterized_sample`.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: β ≥ 0, a scalar, in reward per nat of the action scaled to [−1, 1].
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count; None counts all.
      box: Action spec with finite bounds, shape `[A]`.
      log_ratio: c, a discriminator between the policy's actions and `uniform_actions`, trained with `jsd()`;
        None drops the entropy (β = 0).
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    require_inputs(observation, temperature, seed, valid)
    action = distribution_at(policy, observation, box).sample(seed=seed)
    value = action_value(critic, observation, action, reduction)
    if log_ratio is None:
        return Improvement(-masked_mean(value, valid), None, {})
    require_temperature(temperature, value)
    ratio = _differentiable(log_ratio, observation, action)
    loss = tf.stop_gradient(temperature) * ratio - value
    return Improvement(masked_mean(loss, valid), ratio - ActionBox.of(box).log_volume, {})


def _differentiable(
    function: DiscriminatorFunction,
    observation: tf.Tensor,
    action: tf.Tensor,
    name: str = "discriminator(observation, action)",
) -> tf.Tensor:
    """function(s, a) `[N]`, with a gradient to the action alone."""
    # As in `action_value`: the function's parameters must get no gradient from the policy's loss.
    fixed = tf.stop_gradient(action)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(fixed)
        value = function(observation, fixed)
    require_shapes(("action", action, "N A"), (name, value, "N"))
    return linearized(value, action, tape.gradient(value, fixed))


def _entropy_spread(distribution: tfd.Distribution, seed: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """√Var_s H(π(·|s)), from the variance over states of a state's mean log π."""
    _, log_prob = distribution.experimental_sample_and_log_prob(_ENTROPY_ACTIONS, seed=seed)  # [M, N]
    log_prob = tf.stop_gradient(log_prob)
    # The mean of K actions has a variance of its own, Var[log π]/K, which would show as spread between states
    # where there is none. Its unbiased estimate is the sample variance (divided by K) over K − 1.
    within = masked_mean(tf.math.reduce_variance(log_prob, axis=0), valid) / (_ENTROPY_ACTIONS - 1)
    between = masked_variance(tf.reduce_mean(log_prob, axis=0), valid)
    # Both are estimates, and their difference can be negative.
    return tf.sqrt(tf.maximum(between - within, 0.0))
