"""Improvements of a policy against a network that tells its actions from others.

The discriminator is `f(observation [N, O], action [N, A]) -> [N]`, actions in action units. It is asked for
its value and for ∇_a f in one pass; its parameters receive no gradient from the policy's loss.
"""

from __future__ import annotations

from collections.abc import Callable

import gin
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import ActionBox, BoxSpec
from expol_tf.objectives.contrasts import Contrast
from expol_tf.objectives.masked import masked_mean, masked_variance
from expol_tf.objectives.matching import Matching, gradient_penalty
from expol_tf.objectives.policy_improvement import action_value, linearized
from expol_tf.objectives.protocols import Critic, Improvement, Policy
from expol_tf.objectives.soft_values import sample_actions

tfd = tfp.distributions

# f: observations [N, O] and actions [N, A] → [N].
DiscriminatorFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Of these many states and actions each, the entropy's spread is told.
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
    """−E[ value(f(s, a), f(s, a*)) ] + λ·E[ (‖∇f‖ − 1)² ], of a matching's value and penalty weight λ.

    Both actions share their states, so that the joint distributions of states and actions are compared.

    Returns:
      The loss and the metrics `divergence`, the matching's estimate from this batch, and `accuracy`, the
      share of states where f ranks the policy's action above the other: ½ by chance.

    Args:
      discriminator: f.
      observation: s `[N, O]`.
      contrast: a and a* `[N, A]`.
      matching: `jsd()`, say.
      seed: int32 `[2]`, of the penalty's places.
      valid: bool `[N]`, states that count; None for all.
      box: The action spec.
    """
    both = tf.concat([contrast.policy_action, contrast.other_action], axis=0)
    f = discriminator(tf.concat([observation, observation], axis=0), both)
    of_policy, of_other = tf.split(f, 2)
    value = masked_mean(matching.value(of_policy, of_other), valid)
    above = 0.5 * (1.0 + tf.sign(of_policy - of_other))
    metrics = {"divergence": matching.divergence(value), "accuracy": masked_mean(above, valid)}
    if not matching.penalty:
        return -value, metrics
    excess = gradient_penalty(
        discriminator, observation, contrast.policy_action, contrast.other_action, seed, box
    )
    return matching.penalty * masked_mean(excess, valid) - value, metrics


@gin.configurable(module="expol_tf")
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
    entropy_weight: float = 0.0,
    density: bool = True,
    log_ratio: DiscriminatorFunction | None = None,
) -> Improvement:
    """Minimizes E[ policy_loss(f(s, a)) ] − w·H(π), a reparameterized: π goes where the particles are.

    The metric `entropy_spread` is the standard deviation over states of the entropy of π(·|s), estimated from
    8 actions of each of the batch's first 64 states, those that count, less what so few actions add to it. It
    is there where the policy has a density.

    Reference: *Particle Based Stochastic Policy Optimization* (ParPI), §3.4.

    Args:
      observation: s `[N, O]`.
      policy: With `reparameterized_sample`.
      critic: Of no importance: the particles know it.
      temperature: Likewise.
      seed: int32 `[2]`.
      valid: bool `[N]`, states that count; None for all.
      box: The action spec.
      matching: Has the policy's loss.
      discriminator: f.
      entropy_weight: w, in units of the divergence per nat of the action scaled to [−1, 1].
      density: Whether the policy has `sample_and_log_prob`.
      log_ratio: c, which then stands in for the density: log π ≈ c(s, a) − log|A|. See `uniform_actions`.
    """
    scaling, distribution = ActionBox.of(box), policy(observation)
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
        some = policy(tf.stop_gradient(observation[:_ENTROPY_STATES]))
        counts = None if valid is None else valid[:_ENTROPY_STATES]
        spread_seed = tf.random.experimental.stateless_fold_in(seed, 1)
        metrics["entropy_spread"] = _entropy_spread(some, spread_seed, counts)
    loss = _differentiable(
        lambda states, actions: matching.policy_loss(discriminator(states, actions)), observation, action
    )
    if log_prob is not None and entropy_weight:
        loss += entropy_weight * log_prob
    return Improvement(masked_mean(loss, valid), log_prob, metrics)


@gin.configurable(module="expol_tf")
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
    """Maximizes E[ Q(s, a) − β·c(s, a) ], a = f_θ(s, ξ): the policy's value and its entropy through c.

    With c(s, a) = log π(a|s) + log|A|, H = −E[c] + log|A|, and its gradient is −E[∇_a c·∇_θ f_θ] with c held:
    what c's own dependence on θ adds, E[∇_θ log π_θ(a|s)], is zero. Without c (β = 0) this is
    `deterministic_improvement` of a policy that is not deterministic.

    Reference: Tang & Agrawal, *Implicit Policy for Reinforcement Learning*, Theorem 3.2 and Algorithm 1.

    Args:
      observation: s `[N, O]`.
      policy: With `reparameterized_sample`.
      critic: Q.
      temperature: β, in units of the reward per nat of the action scaled to [−1, 1].
      seed: int32 `[2]`.
      valid: bool `[N]`, states that count; None for all.
      box: The action spec.
      log_ratio: c, as a discriminator between the policy's actions and `uniform_actions` learns it by
        `jsd()`; None for β = 0.
      reduction: Over critics, "min", "mean" or "first".
    """
    action = policy(observation).sample(seed=seed)
    value = action_value(critic, observation, action, reduction)
    if log_ratio is None:
        return Improvement(-masked_mean(value, valid), None, {})
    ratio = _differentiable(log_ratio, observation, action)
    loss = tf.stop_gradient(temperature) * ratio - value
    return Improvement(masked_mean(loss, valid), ratio - ActionBox.of(box).log_volume, {})


def _differentiable(function: DiscriminatorFunction, observation: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    """function(s, a) `[N]`, with a gradient to the action alone."""
    fixed = tf.stop_gradient(action)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(fixed)
        value = function(observation, fixed)
    return linearized(value, action, tape.gradient(value, fixed))


def _entropy_spread(distribution: tfd.Distribution, seed: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """√Var_s H(π(·|s)): the variance between states of mean −log π, less the part that actions make."""
    _, log_prob = distribution.experimental_sample_and_log_prob(_ENTROPY_ACTIONS, seed=seed)  # [M, N]
    log_prob = tf.stop_gradient(log_prob)
    within = masked_mean(tf.math.reduce_variance(log_prob, axis=0), valid) / (_ENTROPY_ACTIONS - 1)
    between = masked_variance(tf.reduce_mean(log_prob, axis=0), valid)
    return tf.sqrt(tf.maximum(between - within, 0.0))
