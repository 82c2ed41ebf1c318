"""The data of off-policy training: transitions in any order."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Transitions(NamedTuple):
    """N transitions (s, a, r, s′), each independent of its neighbours.

    Attributes:
      observation: s, `[N, O]`, as the environment gives it.
      action: a, `[N, A]`, in action units.
      reward: r, `[N]`.
      discount: `[N]`, 0 where s′ is terminal, otherwise 1; truncation does not make a state terminal.
      next_observation: s′, `[N, O]`: where an episode ended, its true last observation.
      valid: Bool `[N]`, false for frames between two episodes, which no loss counts; None if all count.
    """

    observation: tf.Tensor
    action: tf.Tensor
    reward: tf.Tensor
    discount: tf.Tensor
    next_observation: tf.Tensor
    valid: tf.Tensor | None = None
