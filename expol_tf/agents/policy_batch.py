"""What an on-policy agent hands to the rule that updates its policy."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class PolicyBatch(NamedTuple):
    """What a policy update sees: N transitions of π_old, observations as the network takes them.

    Attributes:
      observation: Normalized, `[N, O]`.
      action: `[N, A]`.
      pre_squash_action: `[N, A]`, or None where actions are not squashed.
      log_prob: log π_old(a|s) as recorded at collection, `[N]`.
      advantage: Scaled Â, `[N]`.
      valid: Bool `[N]`; other frames do not count.
    """

    observation: tf.Tensor
    action: tf.Tensor
    pre_squash_action: tf.Tensor | None
    log_prob: tf.Tensor
    advantage: tf.Tensor
    valid: tf.Tensor

    def every(self, step: int) -> PolicyBatch:
        """Returns the batch of every `step`-th transition."""
        if step == 1:
            return self
        return PolicyBatch(*(None if tensor is None else tensor[::step] for tensor in self))
