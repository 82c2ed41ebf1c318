"""The data of training, on and off policy, and its conversion from TF-Agents trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from expol_tf.errors import ConfigurationError
from expol_tf.shapes import as_numbers, require_shapes


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


def require_rollout(
    rollout: Any, observation_size: int, action_size: int, info_spec: Mapping[str, tf.TensorSpec]
) -> None:
    """Raises a `ConfigurationError` that names what is not as `Rollout` says.

    Args:
      rollout: What an agent was given to train on.
      observation_size: O.
      action_size: A.
      info_spec: What `policy_info` must hold, by name: the `info_spec` of the agent's collect policy.
    """
    named = _fields(rollout, "rollout", Rollout)
    info = named.pop("rollout.policy_info")
    if not isinstance(info, Mapping) or set(info) != set(info_spec):
        raise ConfigurationError(
            f"rollout.policy_info must hold {', '.join(info_spec)}, as the agent's collect_policy records "
            f"them; got {_names(info)}. Collect with that policy."
        )
    for name, value in named.items():
        # What follows reads shapes and dtypes, and a list of lists would be a tensor for each number.
        if isinstance(value, list | tuple):
            raise ConfigurationError(
                f"{name} must be a tensor or an array; got a {type(value).__name__}. Give np.asarray({name})."
            )
    shape = tf.TensorShape(getattr(rollout.reward, "shape", None))
    if shape.rank == 2 and 0 in shape.as_list():
        raise ConfigurationError(
            f"rollout must hold a step of one environment or more; got [B, T] = {shape.as_list()}. Collect "
            "first."
        )
    shapes = [f"B T {observation_size}", f"B T {action_size}", "B T", "B T", f"B T {observation_size}"]
    dtypes = ["any", "float32", "float32", "float32", "any", "bool", "bool"]
    require_shapes(
        *zip(named, named.values(), [*shapes, "B T", "B T"], dtypes, strict=True),
        *(
            (
                f"rollout.policy_info[{name!r}]",
                info[name],
                " ".join(["B T", *map(str, spec.shape)]),
                "float32",
            )
            for name, spec in info_spec.items()
        ),
    )


def rollout_from_trajectory(experience: trajectory.Trajectory) -> Rollout:
    """Converts a batch-major trajectory `[B, T + 1, …]`, whose last frame only gives the last successor.

    A frame of step type LAST is the boundary between two episodes: it holds the final observation of one,
    and an action that nobody took. It stays in place, not `valid`. Where it is missing (TF-Agents'
    `EpisodicReplayBuffer` keeps no such frames), a truncated episode's last transition has no successor to
    bootstrap from, and is not `valid` either.

    Raises:
      ConfigurationError: If it has another shape, there is no transition in it, or the densities of its
        actions were not recorded.
    """
    experience = _require_trajectory(
        experience, "Collect with the agent's collect_policy over two steps or more."
    )
    info = experience.policy_info
    if not isinstance(info, dict) or "log_prob" not in info:
        raise ConfigurationError(
            "experience: its policy_info must hold the actions' log_prob, recorded when they were taken; "
            f"got {_names(info)}. Collect with the agent's collect_policy."
        )
    require_shapes(
        ("experience.reward", experience.reward, "B frames"),
        ("experience.policy_info['log_prob']", info["log_prob"], "B frames"),
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
        valid=_are_transitions(experience),
        policy_info=this.policy_info,
    )


def padded_rollout(rollout: Rollout) -> Rollout:
    """Returns a rollout `[B, T′, …]`, T′ the next power of two, whose new frames are not `valid`.

    A graph is traced for each T, and whole episodes are of any length: up to 2048 steps there are 12 powers.

    Args:
      rollout: `[B, T, …]`; it is returned itself where T is a power of two, or not known.
    """
    time = tf.TensorShape(rollout.reward.shape)[1]
    if time is None or time & (time - 1) == 0:
        return rollout
    missing = (1 << time.bit_length()) - time

    def filled(tensor: tf.Tensor) -> tf.Tensor:
        """The tensor with its last frame repeated, at which densities are as finite as elsewhere."""
        return tf.concat([tensor, tf.repeat(tensor[:, -1:], missing, axis=1)], axis=1)

    padded = tf.nest.map_structure(filled, rollout)
    frame = np.arange(time + missing)
    return padded._replace(
        # The λ-trace ends with the last step: advantages are sums over what was recorded.
        episode_end=padded.episode_end | tf.constant(frame >= time - 1),
        valid=padded.valid & tf.constant(frame < time),
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
    transitions: Any, seed: tf.Tensor, observation_size: int, action_size: int
) -> Transitions:
    """Returns transitions; raises a `ConfigurationError` that names what is not as `Transitions` says.

    A number of rows that is unknown while a graph is traced is compared when it runs.

    Args:
      transitions: What an agent was given to train on.
      seed: A stateless seed, int32 `[2]`.
      observation_size: O.
      action_size: A.
    """
    named = _fields(transitions, "transitions", Transitions)
    # NumPy's arrays and Python's lists are tensors to the user, and have no rank to what follows.
    named = {name: _as_tensor(name, value) for name, value in named.items()}
    transitions = Transitions(*named.values())
    seed = _as_tensor("seed", seed)
    for name, value in named.items():
        # A graph would be built for any rank, and for most of them compute something else.
        if value is not None and tf.is_tensor(value) and value.shape.rank is None:
            raise ConfigurationError(
                f"{name} must have a known rank; got a tensor of shape {value.shape}. Set it by "
                "tf.ensure_shape, or in the input_signature."
            )
    if tf.TensorShape(getattr(transitions.reward, "shape", None)) == [0]:
        # Means over them would be NaN, and so would be all that an optimizer remembers.
        raise ConfigurationError("transitions must hold one or more; got none. Sample before you update.")
    shapes = [f"N {observation_size}", f"N {action_size}", "N", "N", f"N {observation_size}", "N | None"]
    # Networks convert observations and actions themselves.
    dtypes = ["any", "any", "float32", "float32", "any", "bool"]
    require_shapes(*zip(named, named.values(), shapes, dtypes, strict=True), ("seed", seed, "2", "int"))
    return _of_one_length(transitions, named)


def _of_one_length(transitions: Transitions, named: Mapping[str, Any]) -> Transitions:
    """The transitions, compared at run time where their numbers of rows are not all known."""
    tensors = {name: value for name, value in named.items() if value is not None}
    if all(tf.TensorShape(value.shape)[0] is not None for value in tensors.values()):
        return transitions
    rows = tf.shape(transitions.reward)[0]
    checks = [
        tf.debugging.assert_equal(
            tf.shape(value)[0],
            rows,
            f"{name} must have as many rows as transitions.reward. Sizes are not broadcast here: give all.",
        )
        for name, value in tensors.items()
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.nest.map_structure(tf.identity, transitions)


def transitions_from_trajectory(experience: trajectory.Trajectory) -> Transitions:
    """Returns the B·T transitions of a TF-Agents trajectory `[B, T + 1, …]`, its boundary frames masked.

    A frame that ends an episode is followed by the first of the next one: no action led from one to the
    other. The last frame only gives the last transitions' successors.

    Raises:
      ConfigurationError: If it has another shape, or there is no transition in it.
    """
    experience = _require_trajectory(experience, "Sample sequences of num_steps=2 from the replay buffer.")

    def merge(tensor: tf.Tensor) -> tf.Tensor:
        """Returns `[B, T, …]` as `[B·T, …]`."""
        return tf.reshape(tensor, [-1, *tensor.shape[2:]])

    return Transitions(
        observation=merge(experience.observation[:, :-1]),
        action=merge(experience.action[:, :-1]),
        reward=merge(experience.reward[:, :-1]),
        discount=merge(experience.discount[:, :-1]),
        next_observation=merge(experience.observation[:, 1:]),
        valid=merge(_are_transitions(experience)),
    )


def _are_transitions(experience: trajectory.Trajectory) -> tf.Tensor:
    """Bool `[B, T]`, which frames but the last are transitions whose successor is known or not needed."""
    ends = tf.equal(experience.next_step_type[:, :-1], ts.StepType.LAST)
    # Some buffers leave LAST frames out: what follows is the first observation of another episode. Where the
    # episode terminated nobody asks for V of the successor.
    is_boundary = tf.equal(experience.step_type, ts.StepType.LAST)
    known = ~ends | is_boundary[:, 1:] | tf.equal(experience.discount[:, :-1], 0.0)
    # TF-Agents' environments reset in the step after LAST: no action led to the frame that follows.
    return ~is_boundary[:, :-1] & known


def _require_trajectory(experience: Any, remedy: str) -> trajectory.Trajectory:
    """Returns a trajectory of tensors; refuses what is no batch-major one of two frames or more."""
    named = _fields(experience, "experience", trajectory.Trajectory)
    tensors = {
        field: value if field == "policy_info" else _as_tensor(name, value)
        for field, (name, value) in zip(experience._fields, named.items(), strict=True)
    }
    info = experience.policy_info
    if isinstance(info, Mapping):
        tensors["policy_info"] = {
            name: _as_tensor(f"experience.policy_info[{name!r}]", value) for name, value in info.items()
        }
    experience = experience._replace(**tensors)
    shape = tf.TensorShape(getattr(experience.reward, "shape", None))
    if shape.rank is not None and (shape.rank < 2 or (shape[1] is not None and shape[1] < 2)):
        raise ConfigurationError(
            "experience: must be a batch-major trajectory [B, T + 1, …] of two frames or more, the last of "
            f"which only gives the last successor; got a reward of shape {shape}. {remedy}"
        )
    # Observations first: a reward of another shape is then said to be wrong, not they.
    names = ("observation", "action", "reward", "discount", "step_type", "next_step_type")
    sizes = [" O", " A", "", "", "", ""]
    require_shapes(
        *(
            (f"experience.{name}", getattr(experience, name), f"B frames{size}", "any")
            for name, size in zip(names, sizes, strict=True)
        )
    )
    return experience


def _as_tensor(name: str, value: Any) -> Any:
    """Returns a tensor of what NumPy takes for an array of numbers, its floats float32; None stays."""
    if value is None or tf.is_tensor(value) or isinstance(value, tf.Variable):
        return value
    array = as_numbers(name, value, "Give a tensor.")
    return tf.convert_to_tensor(array.astype(np.float32) if array.dtype.kind == "f" else array)


def _fields(value: Any, argument: str, kind: Any) -> dict[str, Any]:
    """Returns the fields of a named tuple by `argument.field`; refuses what is no such tuple."""
    if not isinstance(value, kind):
        raise ConfigurationError(
            f"{argument} must be a {kind.__name__}({', '.join(kind._fields)}); got {_type_name(value)}. "
            f"Import it from {kind.__module__.rpartition('.')[0]}."
        )
    return {f"{argument}.{name}": getattr(value, name) for name in kind._fields}


def _names(info: Any) -> str:
    if isinstance(info, Mapping):
        return ", ".join(map(str, info)) or "an empty dictionary"
    return "()" if isinstance(info, tuple) and not info else _type_name(info)


def _type_name(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"
