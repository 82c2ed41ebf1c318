"""The data of training, on and off policy, and its conversion from TF-Agents trajectories."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from expol_tf.errors import ConfigurationError
from expol_tf.shapes import require_shapes


class Rollout(NamedTuple):
    """Transitions (sₜ, aₜ, rₜ, s′ₜ) of B environments over T steps, batch-major.

    Attributes:
      observation: sₜ `[B, T, O]`.
      action: aₜ as sampled, before any clipping, `[B, T, A]`.
      reward: rₜ `[B, T]`.
      discount: 0 where s′ₜ is terminal, else 1, `[B, T]`.
      next_observation: s′ₜ, the true successor, `[B, T, O]`.
      episode_end: Whether the episode ended with this transition, bool `[B, T]`.
      valid: Whether this is a transition at all, not the frame between two episodes; bool `[B, T]`.
      policy_info: `log_prob` `[B, T]` and, of a squashed policy, `pre_squash_action` `[B, T, A]`.
    """

    observation: Any
    action: Any
    reward: Any
    discount: Any
    next_observation: Any
    episode_end: Any
    valid: Any
    policy_info: dict[str, Any]


def rollout_from_trajectory(experience: trajectory.Trajectory) -> Rollout:
    """Converts a batch-major trajectory `[B, T + 1, …]`, whose last frame only gives the last successor.

    A frame of step type LAST is the boundary between two episodes: it holds the final observation of one,
    and an action that nobody took. It stays in place, not `valid`.

    Raises:
      ConfigurationError: If there is no transition in it, or the densities of its actions were not recorded.
    """
    if experience.reward.shape.rank != 2 or experience.reward.shape[1] < 2:
        raise ConfigurationError(
            "experience: must be a batch-major trajectory [B, T + 1, …] of two frames or more, the last of "
            f"which only gives the last successor; got a reward of shape {experience.reward.shape}."
        )
    info = experience.policy_info
    if not isinstance(info, dict) or "log_prob" not in info:
        raise ConfigurationError(
            "experience: its policy_info must hold the actions' log_prob, recorded when they were taken; "
            f"got {list(info) if isinstance(info, dict) else info}. Collect with the agent's collect_policy."
        )
    this = tf.nest.map_structure(lambda tensor: tensor[:, :-1], experience)
    return Rollout(
        observation=this.observation,
        action=this.action,
        # A trajectory has reward and discount of the time step that its action led to.
        reward=this.reward,
        discount=this.discount,
        next_observation=experience.observation[:, 1:],
        # The transition into a LAST frame ends the episode; the one out of it is no transition.
        episode_end=tf.equal(this.next_step_type, ts.StepType.LAST),
        valid=tf.not_equal(this.step_type, ts.StepType.LAST),
        policy_info=this.policy_info,
    )


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


def require_transitions(
    transitions: Transitions, seed: tf.Tensor, observation_size: int, action_size: int
) -> None:
    """Raises a `ConfigurationError` that names what is not as `Transitions` says, or a seed that is none."""
    named = {f"transitions.{name}": value for name, value in transitions._asdict().items()}
    shapes = [f"N {observation_size}", f"N {action_size}", "N", "N", f"N {observation_size}", "N | None"]
    # Networks convert observations and actions themselves.
    dtypes = ["any", "any", "float32", "float32", "any", "bool"]
    require_shapes(*zip(named, named.values(), shapes, dtypes, strict=True), ("seed", seed, "2", "int"))


def transitions_from_trajectory(experience: trajectory.Trajectory) -> Transitions:
    """Returns the B·T transitions of a TF-Agents trajectory `[B, T + 1, …]`, its boundary frames masked.

    A frame that ends an episode is followed by the first of the next one: no action led from one to the
    other. The last frame only gives the last transitions' successors.
    """
    batch, frames = experience.reward.shape[:2]

    def merge(tensor: tf.Tensor) -> tf.Tensor:
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
