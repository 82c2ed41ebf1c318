"""Collects transitions into a replay and trains an off-policy agent on samples of it."""

from __future__ import annotations

import fractions
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf
from absl import logging

from expol_tf.agents import Transitions
from expol_tf.configurable import configurable
from expol_tf.environments import VectorEnvironment
from expol_tf.interruption import stop_requested
from expol_tf.number_types import Count, SeedNumber, UpdateRate, WholeSteps
from expol_tf.random import stream
from expol_tf.saved_states import generator_state, require_saved, set_generator_state
from expol_tf.training.runners.episodes import REMEDY, RunningEpisodes, begun_anew, entries_below
from expol_tf.training.runners.iteration import Iteration, require_finite
from expol_tf.training.runners.replay import UniformReplay

# Columns of every off-policy algorithm, in this order; an algorithm's own follow.
ALGORITHM_COLUMNS = ("critic_loss", "actor_loss", "q_mean", "entropy", "temperature")

_REPLAY_PREFIX = "replay/"
_POLICY_STATE_PREFIX = "policy_state/"
# Of an iteration that a stop broke off.
_ITERATION_PREFIX = "iteration/"


@runtime_checkable
class OffPolicyLearner(Protocol):
    """What the runner asks of an agent; an `expol_tf.agents.ActorCriticAgent` has it.

    Attributes:
      collect_policy: Its `act` takes observations `[N, O]` and a state, its `get_initial_state` a batch size.
    """

    collect_policy: Any

    def update(self, transitions: Transitions, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Does one update of everything, inside the runner's compiled call; returns scalars."""

    def warnings(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Returns what a user should know of means over some updates."""


@configurable
class OffPolicyRunner:
    """One iteration: `iteration_steps` environment steps, each followed by updates on uniform samples.

    At first actions are uniform in the box and nothing is learned. From then on every step of all
    environments is one compiled call: the new transitions are appended to the replay, the updates run in the
    graph, each on a sample of its own, and the updated collect policy takes the next actions. Metrics are
    added up in the graph and fetched once per iteration, as means over its updates.

    Stored are the actions that the environments execute (clipped to the box), the true successors, and a
    discount of 0 only where an episode terminated.

    Args:
      env: Batched environments; reset here.
      agent: Whose `collect_policy.act` and `update` are called.
      replay_capacity: Transitions that the replay keeps.
      batch_size: Transitions of an update.
      updates_per_step: Updates per environment step, on average, between 1e-6 and 10,000; 0.5 is one after
        every second step.
      warm_up_steps: Environment steps, over all environments, with uniform actions and without updates;
        rounded up to a multiple of the number of environments.
      iteration_steps: Environment steps of an iteration over all environments; rounded up likewise.
      seed: Seeds warm-up actions, samples and updates; None takes entropy from the system.

    Attributes:
      iteration_steps: Environment steps of an iteration over all environments.
      algorithm_columns: The names of the metrics.
      first_update_step: Environment steps, over all environments, after which the first update comes.
      replay: The transitions.
    """

    def __init__(
        self,
        env: VectorEnvironment,
        agent: OffPolicyLearner,
        replay_capacity: Count = 1_000_000,
        batch_size: Count = 256,
        updates_per_step: UpdateRate = 1.0,
        warm_up_steps: WholeSteps = 10_000,
        iteration_steps: Count = 1000,
        seed: SeedNumber | None = None,
    ) -> None:
        self._agent = agent
        num_envs = env.num_envs
        self._num_steps = math.ceil(iteration_steps / num_envs)
        self.iteration_steps = self._num_steps * num_envs
        # Rounded up: all environments step together.
        self._warm_up_steps = math.ceil(warm_up_steps / num_envs) * num_envs
        # A fraction, so that nothing is rounded however long the run: 0.1 is one update in ten steps exactly.
        self._updates_per_step = fractions.Fraction(updates_per_step).limit_denominator(1_000_000)
        # Steps for one update, in vector steps.
        due = math.ceil(1 / self._updates_per_step / num_envs) * num_envs
        self.first_update_step = self._warm_up_steps + due
        self._batch_size = batch_size
        self._env_steps = 0
        self._num_updates = 0
        # Steps of all environments in the present iteration, and the updates made before it.
        self._steps_made = 0
        self._updates_before = 0

        size, action_size = env.observation_spec.shape[0], env.action_spec.shape[0]
        self.replay = UniformReplay(replay_capacity, size, action_size)
        self._low, self._high = env.action_spec.minimum, env.action_spec.maximum
        seeds = np.random.SeedSequence(seed).generate_state(2)
        # Named streams, so that drawing more from one does not shift another.
        if seed is not None:
            seeds = np.array([stream(seed, "warm_up"), stream(seed, "minibatches")])
        self._warm_up = np.random.default_rng(seeds[0])
        self._update_seed = int(seeds[1]) & 0x7FFFFFFF
        self._updates_made = tf.Variable(0, trainable=False, dtype=tf.int32)

        # What a compiled call is given: rows of the replay, each with the observation to act on next.
        self._input = np.zeros([num_envs, self.replay.row_size + size], np.float32)
        edges = np.cumsum([0, size, action_size, 1, 1, size, size])
        views = [self._input[:, a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
        self._observations, self._actions, reward, discount, self._successors, self._next = views
        self._rewards, self._discounts = reward[:, 0], discount[:, 0]

        self._initial_policy_state = agent.collect_policy.get_initial_state(num_envs)
        self._stateful = bool(tf.nest.flatten(self._initial_policy_state))
        self._policy_state = self._initial_policy_state
        self._action: np.ndarray | None = None
        self._compiled: dict[tuple[int, bool], Any] = {}
        self._update = tf.function(self._compute_update, autograph=False)
        # Traced here, because the columns of the table must be known before the first update.
        metrics = self._update.get_concrete_function().structured_outputs
        own = [name for name in metrics if name not in ALGORITHM_COLUMNS]
        self._metric_names = [*(name for name in ALGORITHM_COLUMNS if name in metrics), *own]
        self.algorithm_columns = (*ALGORITHM_COLUMNS, *own)
        # In double precision: thousands of numbers are added up.
        self._metric_sums = tf.Variable(tf.zeros([len(metrics)], tf.float64), trainable=False)
        self._act = tf.function(self._compute_action, autograph=False)
        self._episodes = RunningEpisodes(env)
        self._warned = False

    def iterate(self) -> Iteration:
        """Steps the environments `iteration_steps` times over all of them, and trains.

        Where a signal asks for a stop it returns between two steps, and the next call does the rest.

        Raises:
          NonFiniteError: If an update made anything NaN or infinite; the run's checkpoints are from before.
        """
        first = self._steps_made
        while self._steps_made < self._num_steps and not stop_requested():
            self._step()
            self._steps_made += 1
        env_steps = (self._steps_made - first) * len(self._input)
        metrics = self._mean_metrics()
        if self._steps_made < self._num_steps:
            return Iteration(env_steps, [], [], {}, complete=False)
        self._steps_made, self._updates_before = 0, self._num_updates
        self._metric_sums.assign(tf.zeros_like(self._metric_sums))
        if metrics and not self._warned:
            for sentence in self._agent.warnings(metrics):
                self._warned = True
                logging.warning("%s", sentence)
        return Iteration(env_steps, *self._episodes.take_finished(), metrics)

    def _mean_metrics(self) -> dict[str, float]:
        """Returns the means over the updates of the present iteration, so far; none if there were none."""
        updates = self._num_updates - self._updates_before
        if not updates:
            return {}
        means = self._metric_sums.numpy() / updates
        metrics = dict(zip(self._metric_names, means.tolist(), strict=True))
        require_finite(metrics, self._agent, "of actor, critics and temperature (Adam.learning_rate)")
        return metrics

    def _step(self) -> None:
        """Steps all environments once, stores what happened, updates, and chooses the next actions."""
        episodes = self._episodes
        if self._env_steps < self._warm_up_steps:
            self._actions[:] = self._warm_up.uniform(self._low, self._high, self._actions.shape)
        else:
            if self._action is None:
                action, self._policy_state = self._act(episodes.observation, self._policy_state)
                self._action = action.numpy()
            self._actions[:] = self._action
        self._observations[:] = episodes.observation
        step, ended = episodes.step(self._actions)
        self._rewards[:] = step.reward
        # Truncation is not termination: only a terminal state has discount 0.
        np.logical_not(step.terminated, out=self._discounts, casting="unsafe")
        # Where an episode ended these differ: one is stored as s′, the other begins the new episode.
        self._successors[:] = step.next_observation
        self._next[:] = step.observation
        if ended is not None and self._stateful:
            self._policy_state = begun_anew(self._initial_policy_state, self._policy_state, ended)

        self._env_steps += len(self._input)
        learned = self._env_steps - self._warm_up_steps
        # What is due by now, less what was made: fractions of an update carry over to later steps.
        updates = max(0, int(learned * self._updates_per_step)) - self._num_updates
        self._num_updates += updates
        function = self._function(updates, acts=learned >= 0)
        action, self._policy_state = function(tf.constant(self._input), self._policy_state)
        self._action = None if action is None else action.numpy()

    def _function(self, num_updates: int, acts: bool) -> Any:
        """Returns the compiled step with so many updates; there are one or two such numbers in a run."""
        if (num_updates, acts) not in self._compiled:

            def advance(rows: tf.Tensor, policy_state: Any) -> Any:
                """The step of `_advance` as a function of tensors only."""
                return self._advance(rows, policy_state, num_updates, acts)

            specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, self._policy_state)
            # A concrete function: dispatching a call of a tf.function takes as long as running a small one.
            self._compiled[num_updates, acts] = tf.function(advance, autograph=False).get_concrete_function(
                tf.TensorSpec(self._input.shape), specs
            )
        return self._compiled[num_updates, acts]

    def _advance(self, rows: tf.Tensor, policy_state: Any, num_updates: int, acts: bool) -> Any:
        # First, so that the updates of this step may already draw what it brought.
        self.replay.append_rows(rows[:, : self.replay.row_size])
        if num_updates == 1:
            self._add_update()
        elif num_updates > 1:
            # Outside of replicas, if there are any: they exchange nothing inside of loops of theirs.
            tf.while_loop(lambda i: i < num_updates, self._loop_body, [0], parallel_iterations=1)
        if not acts:
            return None, policy_state
        return self._compute_action(rows[:, self.replay.row_size :], policy_state)

    def _loop_body(self, i: tf.Tensor) -> tuple[tf.Tensor]:
        self._add_update()
        return (i + 1,)

    def _add_update(self) -> None:
        metrics = self._update()
        values = tf.stack([tf.cast(metrics[name], tf.float64) for name in self._metric_names])
        self._metric_sums.assign_add(values)

    def _compute_update(self) -> dict[str, tf.Tensor]:
        """Updates the agent on a sample of the replay, by seeds made of the run's and the update's number."""
        index = self._updates_made.assign_add(1)
        # The number of the update is in checkpoints, so a resumed run draws the same samples.
        seeds = tf.random.experimental.stateless_split([self._update_seed, index], 2)
        batch = self.replay.sample(self._batch_size, seeds[0])
        return self._agent.update(batch, seeds[1])

    def _compute_action(self, observation: Any, policy_state: Any) -> tuple[tf.Tensor, Any]:
        policy = self._agent.collect_policy
        if self._stateful:
            action, _, policy_state = policy.act(observation, policy_state)
        else:
            action, _ = policy.act(observation)
        # What the environment executes is what the replay must hold.
        return tf.clip_by_value(action, self._low, self._high), policy_state

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the replay, counters and generators, and the environments' state where it can be saved."""
        state = self._episodes.get_state()
        state |= {_REPLAY_PREFIX + name: value for name, value in self.replay.get_state().items()}
        state["counters"] = np.array([self._env_steps, self._num_updates])
        state["warm_up_generator"] = generator_state(self._warm_up)
        if self._action is not None:
            state["action"] = self._action.copy()
        for i, tensor in enumerate(tf.nest.flatten(self._policy_state)):
            state[f"{_POLICY_STATE_PREFIX}{i}"] = tensor.numpy()
        if self._steps_made:
            state[f"{_ITERATION_PREFIX}counters"] = np.array([self._steps_made, self._updates_before])
            state[f"{_ITERATION_PREFIX}metric_sums"] = self._metric_sums.numpy()
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned; environments whose state it has not begin new episodes.

        Raises:
          CheckpointError: If it is the state of another runner.
        """
        require_saved(state, {}, "OffPolicyRunner", REMEDY)
        require_saved(state, self._state_like(state), "OffPolicyRunner", REMEDY, optional=("action",))
        self.replay.set_state(entries_below(_REPLAY_PREFIX, state))
        self._env_steps, self._num_updates = state["counters"].tolist()
        self._updates_made.assign(self._num_updates)
        set_generator_state(self._warm_up, state["warm_up_generator"])
        iteration = entries_below(_ITERATION_PREFIX, state)
        self._steps_made, self._updates_before = iteration.get(
            "counters", np.array([0, self._num_updates])
        ).tolist()
        self._metric_sums.assign(iteration.get("metric_sums", np.zeros(self._metric_sums.shape)))
        if self._episodes.set_state(state):
            self._action = state.get("action")
            count = len(tf.nest.flatten(self._initial_policy_state))
            saved = [tf.constant(state[f"{_POLICY_STATE_PREFIX}{i}"]) for i in range(count)]
            self._policy_state = tf.nest.pack_sequence_as(self._initial_policy_state, saved)

    def _state_like(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns arrays like those that a state of this runner has, but for what its parts restore."""
        like = {"counters": np.zeros(2, np.int64), "warm_up_generator": np.array("")}
        if any(name.startswith(_ITERATION_PREFIX) for name in state):
            like[f"{_ITERATION_PREFIX}counters"] = np.zeros(2, np.int64)
            like[f"{_ITERATION_PREFIX}metric_sums"] = np.zeros(self._metric_sums.shape)
        if "episode_return" in state:
            like["action"] = self._actions
            for i, tensor in enumerate(tf.nest.flatten(self._initial_policy_state)):
                like[f"{_POLICY_STATE_PREFIX}{i}"] = tensor.numpy()
        return like
