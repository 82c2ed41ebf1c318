"""The data of off-policy training: transitions in any order."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from expol_tf.errors import ConfigurationError


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


def transitions_from_trajectory(experience: trajectory.Trajectory) -> Transitions:
    """Returns the B·T transitions of a TF-Agents trajectory `[B, T + 1, …]`, its boundary frames masked.

    A frame that ends an episode is followed by the first of the next one: no action led from one to the
    other. The last frame only gives the last transitions' successors.
    """
    batch, frames = experience.reward.shape[:2]

    def merge(tensor):
        """Returns `[B, T, …]` as `[B·T, …]`."""
        return tf.reshape(tensor, [-1, *tensor.shape[2:]])

    if frames is None or frames < 2:
        raise ConfigurationError(
            f"experience: needs two frames or more, [B, T + 1]; got reward of shape [{batch}, {frames}]. "
            "Sample sequences of num_steps=2 from the replay buffer."
        )
    return Transitions(
        observation=merge(experience.observation[:, :-1]),
        action=merge(experience.action[:, :-1]),
        reward=merge(experience.reward[:, :-1]),
        discount=merge(experience.discount[:, :-1]),
        next_observation=merge(experience.observation[:, 1:]),
        # TF-Agents' environments reset in the step after LAST: no action led to the frame that follows.
        valid=merge(experience.step_type[:, :-1] != ts.StepType.LAST),
    )
