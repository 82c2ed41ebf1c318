"""Objectives of a batch as those of its parts, which are computed side by side."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from expol_tf.objectives.protocols import Critic, Improvement, Policy

SoftValueFunction = Callable[[tf.Tensor, Policy, Critic, tf.Tensor, tf.Tensor], tf.Tensor]
ImprovementFunction = Callable[
    [tf.Tensor, Policy, Critic, tf.Tensor, tf.Tensor, tf.Tensor | None], Improvement
]


def soft_value_in_parts(
    soft_value: SoftValueFunction,
    num_parts: int,
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """V(s) `[N]`, as `soft_value` gives it for each of so many parts of the states.

    The parts are independent of each other, so that on a CPU each core computes one by itself. For chains of
    large products and much in between, that is faster than dividing each operation among the cores.

    Args:
      soft_value: As those of `soft_values`.
      num_parts: 1 or more; with 1 it is `soft_value` itself. Parts draw different random numbers.
      observation: s `[N, O]`.
      policy: π.
      critic: Q.
      temperature: α.
      seed: int32 `[2]`.
    """
    if num_parts == 1:
        return soft_value(observation, policy, critic, temperature, seed)
    values = []
    for index, part in enumerate(_parts(observation, num_parts)):
        part_seed = tf.random.experimental.stateless_fold_in(seed, index)
        values.append(soft_value(part, policy, critic, temperature, part_seed))
    return tf.concat(values, axis=0)


def improvement_in_parts(
    improvement: ImprovementFunction,
    num_parts: int,
    observation: tf.Tensor,
    policy: Policy,
    critic: Critic,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    valid: tf.Tensor | None = None,
) -> Improvement:
    """The improvement over all states as the mean of those of its parts; see `soft_value_in_parts`.

    Args:
      improvement: As those of `policy_improvement`.
      num_parts: 1 or more.
      observation: s `[N, O]`.
      policy: π.
      critic: Q.
      temperature: α.
      seed: int32 `[2]`.
      valid: bool `[N]`, states that count; None for all.
    """
    if num_parts == 1:
        return improvement(observation, policy, critic, temperature, seed, valid)
    observations = _parts(observation, num_parts)
    valids = [None] * num_parts if valid is None else _parts(valid, num_parts)
    found = []
    for index, (part, part_valid) in enumerate(zip(observations, valids, strict=True)):
        part_seed = tf.random.experimental.stateless_fold_in(seed, index)
        found.append(improvement(part, policy, critic, temperature, part_seed, part_valid))
    counts = [
        tf.shape(part)[0] if part_valid is None else tf.math.count_nonzero(part_valid, dtype=tf.int32)
        for part, part_valid in zip(observations, valids, strict=True)
    ]
    weights = tf.cast(tf.stack(counts), found[0].loss.dtype)
    weights /= tf.maximum(tf.reduce_sum(weights), 1.0)

    def mean(values: list[tf.Tensor]) -> tf.Tensor:
        # A part without states, where there are fewer than parts, has no mean.
        return tf.reduce_sum(tf.math.multiply_no_nan(tf.stack(values), weights))

    log_probs = [each.log_prob for each in found]
    return Improvement(
        loss=mean([each.loss for each in found]),
        log_prob=None if log_probs[0] is None else tf.concat(log_probs, axis=0),
        metrics={name: mean([each.metrics[name] for each in found]) for name in found[0].metrics},
    )


def _parts(values: tf.Tensor, num_parts: int) -> list[tf.Tensor]:
    count = values.shape[0] if values.shape[0] is not None else tf.shape(values)[0]
    return [values[i * count // num_parts : (i + 1) * count // num_parts] for i in range(num_parts)]
