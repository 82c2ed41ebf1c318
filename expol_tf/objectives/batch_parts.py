"""Objectives of a batch computed in parts that can run side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.objectives.protocols import Critic, Improvement, Policy, require_inputs

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
    """V(s) `[N]`, computed by `soft_value` for `num_parts` parts of the states.

    The parts are independent of each other, so on a CPU each core computes a part of its own. Where large
    matrix products alternate with many small operations, that is faster than dividing each operation among
    the cores.

    Args:
      soft_value: A function of states, called like `expected_soft_value`.
      num_parts: Number of parts, 1 or more; 1 calls `soft_value` itself. Parts draw different random numbers.
      observation: States s `[N, O]`.
      policy, critic, temperature: As `soft_value` takes them.
      seed: Stateless seed, int32 `[2]`.
    """
    require_inputs(observation, temperature, seed)
    _require_parts(num_parts)
    if num_parts == 1:
        return soft_value(observation, policy, critic, temperature, seed)
    of_part = _traced_once(
        lambda states, part_seed: soft_value(states, policy, critic, temperature, part_seed)
    )
    values = []
    for index, states in enumerate(_split(observation, num_parts)):
        # With one seed for all, states at the same place in their parts would get the same noise.
        part_seed = tf.random.experimental.stateless_fold_in(seed, index)
        values.append(of_part(states, part_seed))
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
    """The improvement over all states, as the weighted mean over parts of them; see `soft_value_in_parts`.

    Args:
      improvement: A policy improvement, called like `reparameterized_improvement`.
      num_parts: Number of parts, 1 or more; 1 calls `improvement` itself. Parts draw different numbers.
      observation: States s `[N, O]`.
      policy, critic, temperature: As `improvement` takes them.
      seed: Stateless seed, int32 `[2]`.
      valid: Bool `[N]`, the states that count; None counts all.
    """
    require_inputs(observation, temperature, seed, valid)
    _require_parts(num_parts)
    if num_parts == 1:
        return improvement(observation, policy, critic, temperature, seed, valid)
    observations = _split(observation, num_parts)
    valids = [None] * num_parts if valid is None else _split(valid, num_parts)
    of_part = _traced_once(
        lambda states, part_seed, counted: improvement(
            states, policy, critic, temperature, part_seed, counted
        )
    )
    improvements = []
    for index, (states, counted) in enumerate(zip(observations, valids, strict=True)):
        # Seeds differ between parts, for the reason given in `soft_value_in_parts`.
        part_seed = tf.random.experimental.stateless_fold_in(seed, index)
        improvements.append(of_part(states, part_seed, counted))
    # A part's mean weighs as many states as count in it: parts may differ by a state, and in their masks.
    counts = [
        tf.shape(states)[0] if counted is None else tf.math.count_nonzero(counted, dtype=tf.int32)
        for states, counted in zip(observations, valids, strict=True)
    ]
    weights = tf.cast(tf.stack(counts), improvements[0].loss.dtype)
    # If no state counts, all weights are 0, and not 0/0.
    weights /= tf.maximum(tf.reduce_sum(weights), 1.0)

    def mean(values: list[tf.Tensor]) -> tf.Tensor:
        """Returns the mean of the parts' scalars, weighted by the states that count in each."""
        # Fewer states than parts leave a part empty. Its mean is NaN, and so is NaN times its weight of 0.
        return tf.reduce_sum(tf.math.multiply_no_nan(tf.stack(values), weights))

    log_probs = [of_part.log_prob for of_part in improvements]
    return Improvement(
        loss=mean([of_part.loss for of_part in improvements]),
        log_prob=None if log_probs[0] is None else tf.concat(log_probs, axis=0),
        metrics={
            name: mean([of_part.metrics[name] for of_part in improvements])
            for name in improvements[0].metrics
        },
    )


def _traced_once(of_part: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a graph within the graph, which parts of one size share, so that it is traced once."""
    return of_part if tf.executing_eagerly() else tf.function(of_part, autograph=False)


def _require_parts(num_parts: int) -> None:
    require_number("num_parts", num_parts, "1 or more", "1 computes the batch as a whole.")


def _split(values: tf.Tensor, num_parts: int) -> list[tf.Tensor]:
    """Cuts values `[N, …]` into parts whose sizes differ by 1 at most."""
    count = values.shape[0] if values.shape[0] is not None else tf.shape(values)[0]
    # By hand, as tf.split wants N to be a multiple of the number of parts.
    return [values[i * count // num_parts : (i + 1) * count // num_parts] for i in range(num_parts)]
