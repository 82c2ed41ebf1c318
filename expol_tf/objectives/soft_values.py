"""The value of a state under a policy or of the best policy there is, from action values.

All functions are called alike, `value(observation, policy, critic, temperature, seed)`, so that an agent
takes any of them (with `functools.partial` for what follows), and return V(s) `[N]`:

* `policy(observation [N, O])` is a TFP distribution over actions `[N, A]`;
* `critic(observation [N, O], action [N, A] or [N, M, A])` is Q `[N, C]` or `[N, M, C]`, of C critics;
* `temperature` is the scalar α, in units of the reward per nat of the action scaled to [−1, 1];
* `seed` is a stateless seed, int32 `[2]`;
* `box`, where there is one, is the action spec, whose bounds are finite.

Gradients flow wherever they can; targets are computed outside of the tape.
"""

from __future__ import annotations

import math

import gin
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import ActionBox, BoxSpec
from expol_tf.errors import ConfigurationError
from expol_tf.objectives.protocols import Critic, Policy

tfd = tfp.distributions

REDUCTIONS = ("min", "mean", "first")
PROPOSALS = ("uniform", "mixture")


def reduce_critics(q: tf.Tensor, reduction: str = "min") -> tf.Tensor:
    """min, mean or first over the critics: Q `[..., C]` -> `[...]`."""
    require_reduction("reduction", reduction)
    if reduction == "min":
        return tf.reduce_min(q, axis=-1)
    return tf.reduce_mean(q, axis=-1) if reduction == "mean" else q[..., 0]


def require_reduction(argument: str, reduction: str) -> None:
    """Raises a `ConfigurationError` if `reduce_critics` does not know the argument's value."""
    if reduction not in REDUCTIONS:
        raise ConfigurationError(f"{argument} must be one of {REDUCTIONS}; got {reduction!r}.")


def require_samples(num_samples: int, proposal: str) -> None:
    """Raises a `ConfigurationError` if `sampled_soft_value` does not take these."""
    if proposal not in PROPOSALS:
        raise ConfigurationError(f"proposal must be one of {PROPOSALS}; got {proposal!r}.")
    if num_samples < (2 if proposal == "mixture" else 1):
        raise ConfigurationError(
            f"num_samples must be 1 or more, 2 or more for the mixture; got {num_samples} for {proposal!r}."
        )


@gin.configurable(module="expol_tf")
def expected_soft_value(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    *,
    box: BoxSpec,
    reduction: str = "min",
    num_samples: int = 1,
) -> tf.Tensor:
    """V(s) = E[ Q(s, a) − α log π(a|s) ], a ~ π(·|s): what the policy earns, with its entropy.

    Reference: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, Eq. 3.

    Args:
      observation: s `[N, O]`.
      policy: With `sample_and_log_prob`.
      critic: See the module.
      temperature: α.
      seed: See the module.
      box: See the module.
      reduction: Over critics, "min", "mean" or "first".
      num_samples: Actions a state.
    """
    scaling = ActionBox.of(box)
    action, log_prob = sample_actions(policy(observation), num_samples, seed)
    q = reduce_critics(critic(observation, action), reduction)
    value = q - temperature * scaling.scaled_log_prob(log_prob)
    return value if num_samples == 1 else tf.reduce_mean(value, axis=-1)


@gin.configurable(module="expol_tf")
def sampled_soft_value(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    *,
    box: BoxSpec,
    reduction: str = "min",
    num_samples: int = 50,
    proposal: str = "uniform",
) -> tf.Tensor:
    """V(s) = α log ∫ exp(Q(s, a)/α) da ≈ α log (1/M) Σ_j exp(Q(s, a_j)/α) / q(a_j), a_j ~ q.

    That is the value of the best policy at this α, π ∝ exp(Q/α). The estimate is a little low, by about
    α·Var[w]/(2M) for weights w = exp(Q/α)/q of mean 1.

    The proposal q is uniform on the box or, half and half, uniform and the policy, with as many samples of
    each: then no weight exceeds twice that of uniform samples, which the policy alone could not promise.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, Eq. 10.

    Args:
      observation: s `[N, O]`.
      policy: With `sample_and_log_prob` and `log_prob` for the mixture, else of no importance.
      critic: See the module.
      temperature: α, positive.
      seed: See the module.
      box: See the module.
      reduction: Over critics, "min", "mean" or "first".
      num_samples: M, drawn anew for every state.
      proposal: "uniform" or "mixture".
    """
    require_samples(num_samples, proposal)
    scaling = ActionBox.of(box)
    from_policy = num_samples // 2 if proposal == "mixture" else 0
    from_box = num_samples - from_policy
    seeds = tf.random.experimental.stateless_split(seed, 2)
    shape = tf.stack([tf.shape(observation)[0], from_box, len(scaling.half)])
    scaled = tf.random.stateless_uniform(shape, seeds[0], -1.0, 1.0)
    action = scaling.from_scaled(scaled)
    if not from_policy:
        log_q = tf.constant(-scaling.log_volume, scaled.dtype)
    else:
        distribution = policy(observation)
        own, log_own = sample_actions(distribution, from_policy, seeds[1], keep_axis=True)
        # [M, N], TFP's order, back to [N, M].
        log_other = tf.transpose(distribution.log_prob(tf.transpose(action, [1, 0, 2])))
        log_policy = scaling.scaled_log_prob(tf.concat([log_other, log_own], axis=1))
        log_q = tf.reduce_logsumexp(
            tf.stack(
                [
                    log_policy + math.log(from_policy / num_samples),
                    tf.fill(tf.shape(log_policy), math.log(from_box / num_samples) - scaling.log_volume),
                ]
            ),
            axis=0,
        )
        action = tf.concat([action, own], axis=1)
    q = reduce_critics(critic(observation, action), reduction)
    log_weight = q / temperature - log_q
    if from_policy:
        # Actions that an unsquashed policy draws outside of the box are none that the integral is over.
        outside = tf.reduce_any(tf.abs(scaling.to_scaled(action)) > 1.0 + 1e-4, axis=-1)
        log_weight = tf.where(outside, -math.inf, log_weight)
    return temperature * (tf.reduce_logsumexp(log_weight, axis=-1) - math.log(num_samples))


@gin.configurable(module="expol_tf")
def deterministic_value(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    *,
    reduction: str = "min",
) -> tf.Tensor:
    """V(s) = Q(s, μ(s)) of a deterministic policy; α plays no part. Of any other: Q of one of its actions.

    Reference: Lillicrap et al. 2016, *Continuous Control with Deep Reinforcement Learning*, Eq. 5.

    Args:
      observation: s `[N, O]`.
      policy: With `sample`.
      critic: See the module.
      temperature: Of no importance.
      seed: See the module.
      reduction: Over critics, "min", "mean" or "first".
    """
    return reduce_critics(critic(observation, policy(observation).sample(seed=seed)), reduction)


def sample_actions(
    distribution: tfd.Distribution, num_samples: int, seed: tf.Tensor, keep_axis: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws actions `[N, M, A]` and their log π `[N, M]`, in action units, in one pass.

    Without the axis of the samples, `[N, A]` and `[N]`, if there is one and `keep_axis` is not set.
    """
    if num_samples < 1:
        raise ConfigurationError(f"num_samples must be 1 or more; got {num_samples}.")
    if num_samples == 1 and not keep_axis:
        return distribution.experimental_sample_and_log_prob(seed=seed)
    action, log_prob = distribution.experimental_sample_and_log_prob(num_samples, seed=seed)
    return tf.transpose(action, [1, 0, 2]), tf.transpose(log_prob)
