"""Values of states, under a policy or under the best policy there is, computed from action values.

All functions are called as `value(observation, policy, critic, temperature, seed)` and return V(s) `[N]`, so
that an agent can take any of them. `functools.partial` sets their other arguments.

* `policy(observation [N, O])` returns a TFP distribution over actions `[N, A]`.
* `critic(observation [N, O], action [N, A] or [N, M, A])` returns Q `[N, C]` or `[N, M, C]` of C critics.

Gradients flow through everything here. A caller who wants a target computes it outside the tape.
"""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import ActionBox, BoxSpec, into_box
from expol_tf.checks import require_number
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count
from expol_tf.objectives.protocols import Critic, Policy, distribution_at, require_inputs, require_temperature
from expol_tf.shapes import require_shapes

tfd = tfp.distributions

REDUCTIONS = ("min", "mean", "first")
PROPOSALS = ("uniform", "mixture")


def reduce_critics(q: tf.Tensor, reduction: str = "min") -> tf.Tensor:
    """min_c Q_c, mean_c Q_c or Q_1: one value `[...]` from those of C critics.

    Args:
      q: Values of the critics `[..., C]`, in units of the reward.
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    require_shapes(("q", q, "* C"))
    require_reduction("reduction", reduction)
    if reduction == "min":
        return tf.reduce_min(q, axis=-1)
    return tf.reduce_mean(q, axis=-1) if reduction == "mean" else q[..., 0]


def reduced_value(critic: Critic, observation: tf.Tensor, action: tf.Tensor, reduction: str) -> tf.Tensor:
    """Q(s, a) `[N]` or `[N, M]`, reduced over the critics.

    Args:
      critic: Q, which maps states and actions to the values of C critics.
      observation: States s `[N, O]`.
      action: a `[N, A]` or `[N, M, A]`, in action units.
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    q = critic(observation, action)
    # Without the critics' axis, Q [N] would be reduced over the states and then broadcast to all of them.
    require_shapes(("action", action, "... A", "any"), ("critic(observation, action)", q, "... C"))
    return reduce_critics(q, reduction)


def require_reduction(argument: str, reduction: str) -> None:
    """Raises a `ConfigurationError` unless `reduce_critics` knows the reduction.

    Args:
      argument: Name under which the caller was given it, for the message.
      reduction: Name to check.
    """
    if reduction not in REDUCTIONS:
        raise ConfigurationError(f"{argument} must be one of {REDUCTIONS}; got {reduction!r}.")


def require_samples(num_samples: int, proposal: str) -> None:
    """Raises a `ConfigurationError` unless `sampled_soft_value` can use these.

    Args:
      num_samples: Number of actions per state; the mixture needs 2, one for each of its halves.
      proposal: "uniform" or "mixture".
    """
    if proposal not in PROPOSALS:
        raise ConfigurationError(f"proposal must be one of {PROPOSALS}; got {proposal!r}.")
    if not num_samples >= (2 if proposal == "mixture" else 1):
        raise ConfigurationError(
            f"num_samples must be 1 or more, 2 or more for the mixture; got {num_samples} for {proposal!r}."
        )


@configurable
def expected_soft_value(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    *,
    box: BoxSpec,
    reduction: str = "min",
    num_samples: Count = 1,
) -> tf.Tensor:
    """V(s) = E[ Q(s, a) − α log π(a|s) ], a ~ π(·|s): the policy's value, entropy included.

    Reference: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, Eq. 3.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `sample_and_log_prob`.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: α ≥ 0, a scalar, in reward per nat of the action scaled to [−1, 1].
      seed: Stateless seed, int32 `[2]`.
      box: Action spec with finite bounds, shape `[A]`.
      reduction: How the values of the critics become one: "min", "mean" or "first".
      num_samples: Number of actions drawn per state.
    """
    require_inputs(observation, temperature, seed)
    scaling = ActionBox.of(box)
    action, log_prob = sample_actions(distribution_at(policy, observation, box), num_samples, seed)
    q = reduced_value(critic, observation, action, reduction)
    require_temperature(temperature, q)
    value = q - temperature * scaling.scaled_log_prob(log_prob)
    return value if num_samples == 1 else tf.reduce_mean(value, axis=-1)


@configurable
def sampled_soft_value(
    observation: tf.Tensor,
    policy: Policy | None,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    *,
    box: BoxSpec,
    reduction: str = "min",
    num_samples: Count = 50,
    proposal: str = "uniform",
) -> tf.Tensor:
    """V(s) = α log ∫ exp(Q(s, a)/α) da ≈ α log (1/M) Σ_j exp(Q(s, a_j)/α) / q(a_j), a_j ~ q.

    This is the value of the best policy at this α, π ∝ exp(Q/α). By Jensen's inequality the estimate is low
    on average, by about α·Var[w]/(2M) for weights w = exp(Q/α)/q of mean 1.

    The proposal q is uniform on the box, or an equal mixture of uniform and policy, from which each gives
    half of the samples. In the mixture no weight exceeds twice that of a uniform sample. Samples of the
    policy alone would have no such bound.

    Reference: Haarnoja et al. 2017, *Reinforcement Learning with Deep Energy-Based Policies*, Eq. 10.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `sample_and_log_prob` and `log_prob` for the mixture; unused otherwise.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: α > 0, a scalar, in reward per nat of the action scaled to [−1, 1].
      seed: Stateless seed, int32 `[2]`.
      box: Action spec with finite bounds, shape `[A]`.
      reduction: How the values of the critics become one: "min", "mean" or "first".
      num_samples: M, the number of actions, which are drawn anew for every state.
      proposal: q, "uniform" or "mixture".
    """
    require_inputs(observation, temperature, seed)
    require_samples(num_samples, proposal)
    scaling = ActionBox.of(box)
    # Fixed shares, not a coin for each sample: the estimate is the same on average, and varies less.
    from_policy = num_samples // 2 if proposal == "mixture" else 0
    from_box = num_samples - from_policy
    seeds = tf.random.experimental.stateless_split(seed, 2)
    # Other actions for every state, so that the errors of a batch's targets are independent.
    shape = tf.stack([tf.shape(observation)[0], from_box, len(scaling.half)])
    scaled = tf.random.stateless_uniform(shape, seeds[0], -1.0, 1.0)
    action = into_box(scaling.from_scaled(scaled), box)
    if policy is not None and tf.executing_eagerly():
        # In a graph it would cost a call of a policy of which the uniform proposal needs nothing.
        distribution_at(policy, observation, box)
    if not from_policy:
        # Densities are those of the scaled action, whose box has the volume 2ᴬ.
        log_q = tf.constant(-scaling.log_volume, scaled.dtype)
    else:
        if policy is None:
            raise ConfigurationError(
                'policy must be given for the proposal "mixture"; got None. Give it, or proposal="uniform".'
            )
        distribution = distribution_at(policy, observation, box)
        own, log_own = sample_actions(distribution, from_policy, seeds[1], keep_axis=True)
        # Balance heuristic: every sample is weighted by the density of the whole mixture, whichever half drew
        # it. TFP puts samples first: [M, N] is transposed back to [N, M].
        log_other = tf.transpose(distribution.log_prob(tf.transpose(action, [1, 0, 2])))
        log_policy = scaling.scaled_log_prob(tf.concat([log_other, log_own], axis=1))
        # Densities of many components overflow single precision; their logarithms do not.
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
    q = reduced_value(critic, observation, action, reduction)
    require_temperature(temperature, q)
    # Q/α is easily in the hundreds, where exp overflows in float32 (at 88): the sum is taken by logsumexp,
    # which subtracts the largest term first.
    log_weight = q / temperature - log_q
    if from_policy:
        # The integral is over the box, but an unsquashed policy also draws actions outside it.
        # The margin keeps squashed actions that rounding has put just across the edge.
        outside = tf.reduce_any(tf.abs(scaling.to_scaled(action)) > 1.0 + 1e-4, axis=-1)
        # They weigh nothing but stay among the M that the sum is divided by, as samples of q must.
        log_weight = tf.where(outside, -math.inf, log_weight)
    return temperature * (tf.reduce_logsumexp(log_weight, axis=-1) - math.log(num_samples))


@configurable
def deterministic_value(
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    *,
    reduction: str = "min",
) -> tf.Tensor:
    """V(s) = Q(s, a), a ~ π(·|s): for a deterministic policy Q(s, μ(s)), without an entropy.

    Reference: Lillicrap et al. 2016, *Continuous Control with Deep Reinforcement Learning*, Eq. 5.

    Args:
      observation: States s `[N, O]`.
      policy: π, which must have `sample`.
      critic: Q, which maps states and actions to the values of C critics.
      temperature: α, a scalar, unused.
      seed: Stateless seed, int32 `[2]`.
      reduction: How the values of the critics become one: "min", "mean" or "first".
    """
    require_inputs(observation, temperature, seed)
    action = distribution_at(policy, observation).sample(seed=seed)
    return reduced_value(critic, observation, action, reduction)


def sample_actions(
    distribution: tfd.Distribution, num_samples: int, seed: tf.Tensor, keep_axis: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws actions `[N, M, A]` and their log π `[N, M]`, both in action units, in one pass.

    One pass is cheaper than two, and it never inverts the squash, which float32 cannot do near the edge of
    the box.

    Args:
      distribution: Distribution over actions `[N, A]`.
      num_samples: M, the number of actions per state.
      seed: Stateless seed, int32 `[2]`.
      keep_axis: Whether one sample keeps its axis; without it M = 1 gives `[N, A]` and `[N]`.
    """
    require_number("num_samples", num_samples, "1 or more")
    if num_samples == 1 and not keep_axis:
        return distribution.experimental_sample_and_log_prob(seed=seed)
    action, log_prob = distribution.experimental_sample_and_log_prob(num_samples, seed=seed)
    return tf.transpose(action, [1, 0, 2]), tf.transpose(log_prob)
