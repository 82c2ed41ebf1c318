"""The contract of an agent."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from expol_tf.agents import Rollout, Transitions
from expol_tf.checked import checked
from expol_tf.keras_api import keras
from expol_tf.number_types import Count, NonNegative, SeedNumber
from expol_tf.testing.assertions import ensure, ensure_close, ensure_finite

MakeAgent = Callable[[], tf_agent.TFAgent]


@checked
def check_agent(
    make_agent: MakeAgent,
    *,
    batch_size: Count = 3,
    num_steps: Count = 8,
    tolerance: NonNegative = 1e-5,
    seed: SeedNumber = 0,
) -> None:
    """Checks an agent with flat float observations and actions: acting, training, checkpoints and seeds.

    * The policies have the agent's specs, and `collect_data_spec` describes what the collect policy reports.
      `act` and `action` return actions `[B, A]` for any B. Greedy actions lie in the box and do not vary.
    * `train` on a trajectory `[B, T + 1]` with both kinds of episode end returns finite numbers and changes
      the actor network.
    * `train_on_rollout`, if the agent has it, does the same as `train` on the same transitions. The content
      of the frames between two episodes changes nothing.
    * `update`, if the agent has it, trains inside a compiled loop, and ignores transitions that are not
      `valid`.
    * A checkpoint restored into another agent makes it act and train on bit for bit as the saved one does.
    * Two agents made in the same way act and train in the same way.

    Example:

    ```python
    acting = Acting(seed=0)
    check_agent(lambda: TrpoAgent(specs, action_spec, MyNetwork(…), ValueNetwork(…), acting=acting))
    ```

    Args:
      make_agent: Function that makes the agent and its networks with a fixed seed. TensorFlow's global seed
        is set before each call, so that networks start with equal weights.
      batch_size: Batch size B of the training data.
      num_steps: Number of steps T of the training data, at least 5. An agent with a `train_sequence_length`
        gets that length − 1 instead.
      tolerance: Largest |error| / (1 + |value|) allowed between parameters after two ways of training.
      seed: Seed of the training data and of TensorFlow's global generator.

    Raises:
      AssertionError: At the first broken rule.
    """

    def make():
        """Makes the agent, with networks that start with the same weights at each call."""
        keras.utils.set_random_seed(seed)
        return make_agent()

    agent, other = make(), make()
    ensure(
        isinstance(agent, tf_agent.TFAgent), f"make_agent must return a tf_agents TFAgent; got {type(agent)}."
    )
    if agent.train_sequence_length is not None:
        num_steps = agent.train_sequence_length - 1
    with tempfile.TemporaryDirectory() as directory:
        states = _States(pathlib.Path(directory))
        states.ensure_same(agent, other, "Agents made alike must start alike: does make_agent pass a seed?")
        _check_acting(agent, batch_size, seed)
        data = _Data(other, batch_size, num_steps, seed)
        # Acting has drawn from both agents' generators; from here on they are in one state.
        states.load(agent, states.save(other))
        start = states.save(agent)
        _check_training(agent, data)
        trained = states.save(agent)
        states.load(agent, start)
        agent.train(data.experience())
        states.ensure_equal(
            states.save(agent), trained, 0.0, "Training twice from one checkpoint must do the same."
        )
        # Both ways of training begin from the same state as `train` did, so that the ends can be compared.
        _check_rollouts(agent, data, states, start, trained, tolerance)
        _check_updates(agent, data, states, start, tolerance)
        _check_checkpoint(agent, other, data, states, trained)


class _States:
    """Checkpoints of agents, which can be compared and restored."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Keeps the checkpoints in `directory`."""
        self._directory = directory
        self._count = 0

    def save(self, agent: tf_agent.TFAgent) -> str:
        """Writes a checkpoint of `agent` and returns its path."""
        self._count += 1
        return tf.train.Checkpoint(agent=agent).write(str(self._directory / str(self._count)))

    def load(self, agent: tf_agent.TFAgent, path: str) -> None:
        """Restores `agent`, which must have just what the checkpoint holds."""
        status = tf.train.Checkpoint(agent=agent).read(path)
        try:
            status.assert_existing_objects_matched().assert_consumed()
        except AssertionError as error:
            raise AssertionError(
                f"A checkpoint must hold all of an agent and nothing else: {error}"
            ) from error

    def ensure_equal(self, path: str, expected_path: str, tolerance: float, message: str) -> None:
        """Checks that two checkpoints hold the same arrays within the tolerance."""
        actual, expected = _arrays(path), _arrays(expected_path)
        ensure(actual.keys() == expected.keys(), f"{message} Their checkpoints hold different things.")
        for name, value in expected.items():
            ensure_close(
                actual[name],
                value,
                tolerance,
                f"{message} {name.removesuffix('/.ATTRIBUTES/VARIABLE_VALUE')}:",
            )

    def ensure_same(self, agent: tf_agent.TFAgent, other: tf_agent.TFAgent, message: str) -> None:
        """Checks that two agents hold the same arrays bit for bit."""
        self.ensure_equal(self.save(agent), self.save(other), 0.0, message)


def _arrays(path: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in sorted(names)}


def _check_acting(agent, batch_size, seed):
    spec = agent.time_step_spec.observation
    generator = np.random.default_rng(seed)
    for name, policy in (("policy", agent.policy), ("collect_policy", agent.collect_policy)):
        ensure(policy.action_spec == agent.action_spec, f"{name}.action_spec must be the agent's.")
        ensure(policy.time_step_spec == agent.time_step_spec, f"{name}.time_step_spec must be the agent's.")
    ensure(
        agent.collect_data_spec.policy_info == agent.collect_policy.info_spec,
        "collect_data_spec.policy_info must be the collect policy's info_spec "
        f"{agent.collect_policy.info_spec}; got {agent.collect_data_spec.policy_info}.",
    )
    for name, policy in (("policy", agent.policy), ("collect_policy", agent.collect_policy)):
        for size in (1, batch_size):
            observation = tf.constant(generator.standard_normal([size, *spec.shape]), spec.dtype)
            step = _act(policy, observation)
            _check_action(step.action, step.info, policy, size, f"{name}.action")
        if hasattr(policy, "act"):
            # Plain arrays of any float type, as environments and users have them.
            state = policy.get_initial_state(batch_size)
            has_state = bool(tf.nest.flatten(policy.policy_state_spec))
            action, info, *rest = policy.act(
                observation.numpy().astype(np.float64), *([state] if has_state else [])
            )
            _check_action(action, info, policy, batch_size, f"{name}.act")
            ensure(
                len(rest) == has_state,
                f"{name}.act must return (action, info), and the next state where it has one.",
            )
    greedy = _act(agent.policy, observation).action
    ensure(
        np.all((greedy >= agent.action_spec.minimum) & (greedy <= agent.action_spec.maximum)),
        f"policy must act inside the box; got {greedy}.",
    )
    ensure_close(_act(agent.policy, observation).action, greedy, 0.0, "policy must be deterministic.")


def _act(policy, observation):
    size = observation.shape[0]
    return policy.action(ts.restart(observation, batch_size=size), policy.get_initial_state(size))


def _check_action(action, info, policy, size, what):
    spec = policy.action_spec
    ensure(
        action.shape == [size, *spec.shape] and action.dtype == spec.dtype,
        f"{what} must return {spec.dtype.name} actions {[size, *spec.shape]} for a batch of {size}; got "
        f"{action.dtype.name} {action.shape}.",
    )
    ensure_finite(action, what)
    try:
        tf.nest.assert_same_structure(policy.info_spec, info)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} must report what info_spec says. {error}") from error
    for wanted, got in zip(tf.nest.flatten(policy.info_spec), tf.nest.flatten(info), strict=True):
        shape = [size, *wanted.shape]
        ensure(
            got.shape == shape and got.dtype == wanted.dtype,
            f"{what} must report {wanted.name} {wanted.dtype.name} {shape}; got {got.dtype.name} "
            f"{got.shape}.",
        )


class _Data:
    """Random experience of an agent's collect policy, with terminated and truncated episodes in it."""

    def __init__(self, agent: tf_agent.TFAgent, batch_size: int, num_steps: int, seed: int) -> None:
        """Draws the experience.

        Args:
          agent: The agent whose collect policy acts.
          batch_size: Number of rows B.
          num_steps: Number of steps T; there are T + 1 frames.
          seed: Seed of observations, rewards and episode ends.
        """
        generator = np.random.default_rng(seed)
        frames = num_steps + 1
        spec = agent.time_step_spec.observation
        shape = [batch_size, frames]
        self.observation = generator.standard_normal([*shape, *spec.shape]).astype(spec.dtype.as_numpy_dtype)
        # Step types of T + 2 frames. Episodes have 2 to 4 steps and begin at different frames in each row.
        types = np.full([batch_size, frames + 1], ts.StepType.MID, np.int32)
        for row in range(batch_size):
            types[row, row % 3 :: 4 + row % 2] = ts.StepType.FIRST
        types[:, :-1][types[:, 1:] == ts.StepType.FIRST] = ts.StepType.LAST
        self.step_type, self.next_step_type = types[:, :-1], types[:, 1:]
        ending = self.next_step_type == ts.StepType.LAST
        self.boundary = self.step_type == ts.StepType.LAST
        terminated = ending & (generator.uniform(size=shape) < 0.5)
        self.discount = np.where(terminated, 0, 1).astype(np.float32)
        self.reward = np.where(self.boundary, 0, generator.standard_normal(shape)).astype(np.float32)
        steps = [_act(agent.collect_policy, tf.constant(row)) for row in np.moveaxis(self.observation, 1, 0)]
        self.action, self.policy_info = tf.nest.map_structure(
            lambda *frames: np.stack(frames, axis=1), *((step.action, step.info) for step in steps)
        )
        self._garbage = generator

    def experience(self) -> trajectory.Trajectory:
        """Returns the experience as TF-Agents' batch-major trajectory `[B, T + 1, ...]`."""
        return tf.nest.map_structure(
            tf.constant,
            trajectory.Trajectory(
                self.step_type,
                self.observation,
                self.action,
                self.policy_info,
                self.next_step_type,
                self.reward,
                self.discount,
            ),
        )

    def transitions(self, garbage: bool) -> Transitions:
        """Returns the transitions of `rollout` in one batch `[B·T, ...]`."""
        rollout = self.rollout(garbage)
        names = [name for name in Transitions._fields if name != "valid"]
        merged = {
            name: tf.reshape(getattr(rollout, name), [-1, *getattr(rollout, name).shape[2:]])
            for name in names
        }
        return Transitions(**merged, valid=tf.reshape(rollout.valid, [-1]))

    def rollout(self, garbage: bool = False) -> Rollout:
        """Returns the experience as a rollout `[B, T, ...]`; garbage fills its boundary frames on request."""
        masked = self.boundary[:, :-1]

        def frames(array, last=-1):
            """All frames but the last, or but the first with `last=0`; garbage fills the masked ones."""
            array = np.array(array[:, :last] if last else array[:, 1:])
            # Large, so that a mean or a statistic that takes it in is far off.
            if garbage:
                array[masked] = 100 * self._garbage.standard_normal(array[masked].shape)
            return tf.constant(array)

        return Rollout(
            observation=frames(self.observation),
            action=frames(self.action),
            reward=frames(self.reward),
            discount=frames(self.discount),
            next_observation=frames(self.observation, last=0),
            episode_end=tf.constant(self.next_step_type[:, :-1] == ts.StepType.LAST),
            valid=tf.constant(~masked),
            policy_info=tf.nest.map_structure(frames, self.policy_info),
        )


def _check_training(agent, data):
    network = getattr(agent, "actor_network", None)
    before = [variable.numpy() for variable in network.trainable_variables] if network is not None else []
    counter = int(agent.train_step_counter)
    loss = agent.train(data.experience())
    for name, value in [("loss", loss.loss), *_named(loss.extra)]:
        ensure_finite(value, f"train's {name}")
    ensure(int(agent.train_step_counter) > counter, "train must advance agent.train_step_counter.")
    if network is not None:
        for variable, value in zip(network.trainable_variables, before, strict=True):
            ensure_finite(variable, f"{variable.name} after train")
            ensure(
                np.any(variable.numpy() != value), f"train must change {variable.name} of the actor network."
            )


def _named(extra):
    return extra.items() if isinstance(extra, dict) else enumerate(tf.nest.flatten(extra))


def _check_rollouts(agent, data, states, start, trained, tolerance):
    if not hasattr(agent, "train_on_rollout"):
        return
    for garbage, message in (
        (False, "train_on_rollout must do what train does on the same transitions."),
        (
            True,
            "What is in frames that are not `valid` must change nothing: mask them in every mean and "
            "statistic.",
        ),
    ):
        states.load(agent, start)
        agent.train_on_rollout(data.rollout(garbage))
        states.ensure_equal(states.save(agent), trained, tolerance, message)


def _check_updates(agent, data, states, start, tolerance):
    if not hasattr(agent, "update"):
        return

    @tf.function(autograph=False)
    def update_twice(transitions):
        """Makes two updates in one loop and returns the metrics of the second."""

        def step(i, _):
            """Makes an update and returns the loop's state after it."""
            metrics = agent.update(transitions, tf.stack([7, i]))
            for name, value in metrics.items():
                ensure(value.shape.rank == 0, f"update's {name} must be a scalar; got shape {value.shape}.")
            return i + 1, tf.stack([tf.cast(value, tf.float32) for value in metrics.values()])

        count = len(agent_metrics)
        return tf.while_loop(lambda i, _: i < 2, step, (0, tf.zeros([count])), parallel_iterations=1)[1]

    agent_metrics = _metric_names(agent, data.transitions(False))
    ends = []
    for garbage in (False, True):
        states.load(agent, start)
        transitions = data.transitions(garbage)
        ensure_finite(update_twice(transitions), "update's metrics")
        ends.append(states.save(agent))
    states.ensure_equal(
        ends[1], ends[0], tolerance, "What is in transitions that are not `valid` must change nothing:"
    )


def _metric_names(agent, transitions):
    update = tf.function(lambda: agent.update(transitions, tf.constant([7, 0])), autograph=False)
    return list(update.get_concrete_function().structured_outputs)


def _check_checkpoint(agent, other, data, states, trained):
    states.load(agent, trained)
    # So that no variable has the right value before it is restored.
    for variable in other.trainable_variables:
        variable.assign(variable + 0.1)
    states.load(other, trained)
    message = (
        "A restored agent must {} as the saved one does: tf.train.Checkpoint must find all of its state."
    )
    observation = tf.constant(data.observation[:, 0])
    actual, expected = (_act(actor.collect_policy, observation).action for actor in (other, agent))
    ensure_close(actual, expected, 0.0, message.format("act"))
    for learner in (agent, other):
        learner.train(data.experience())
    states.ensure_same(other, agent, message.format("train on"))
