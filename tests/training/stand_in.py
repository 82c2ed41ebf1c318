"""An agent with the interface of off-policy agents that learns nothing, and a task that counts its steps."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf

from expol_tf.agents import Transitions

OBSERVATION, ACTION = 2, 1


class StandInPolicy(tf.Module):
    """Acts by a variable that updates move: action = weight + 0.1·(first observation) [+ a state]."""

    def __init__(self, weight: tf.Variable, stateful: bool) -> None:
        super().__init__()
        self._weight, self._stateful = weight, stateful
        self.info_spec: tuple = ()
        self.policy_state_spec: Any = tf.TensorSpec([ACTION], tf.float32) if stateful else ()
        self.act = tf.function(self._act, autograph=False)

    def get_initial_state(self, batch_size: int) -> Any:
        return tf.fill([batch_size, ACTION], 0.5) if self._stateful else ()

    def _act(self, observation: Any, policy_state: Any = ()) -> Any:
        action = self._weight + 0.1 * tf.cast(observation, tf.float32)[:, :ACTION]
        if not self._stateful:
            return action, ()
        return action + policy_state, (), policy_state + 1.0


class StandInAgent(tf.Module):
    """`update` adds up what it is given; its one variable is the number of updates times a thousandth."""

    def __init__(self, stateful: bool = False, metrics: tuple[str, ...] = ("critic_loss", "own")) -> None:
        super().__init__()
        self.weight = tf.Variable(0.0)
        self.seen = tf.Variable(tf.zeros([2 * OBSERVATION + ACTION + 2]))
        self.collect_policy = StandInPolicy(self.weight, stateful)
        self._metrics = metrics

    def update(self, transitions: Transitions, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        noise = tf.random.stateless_uniform([], seed)
        self.weight.assign_add(0.001 * noise)
        rows = [transitions.observation, transitions.action, transitions.reward[:, None]]
        rows += [transitions.discount[:, None], transitions.next_observation]
        self.seen.assign_add(tf.reduce_sum(tf.concat(rows, 1), 0))
        return {name: tf.reduce_mean(transitions.reward) for name in self._metrics}


class Counting(gymnasium.Env):
    """Observation (steps of this episode, episode's number); terminates or is truncated by its number."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, [OBSERVATION])
    action_space = gymnasium.spaces.Box(-2.0, 1.0, [ACTION])

    def __init__(self) -> None:
        self._episode, self._t = -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._episode, self._t = self._episode + 1, 0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> Any:
        self._t += 1
        ended = self._t >= 3 + self._episode % 3
        terminated = ended and self._episode % 2 == 0
        return self._observe(), float(action[0]), terminated, ended and not terminated, {}

    def get_state(self) -> dict[str, np.ndarray]:
        return {"episode": np.array(self._episode), "t": np.array(self._t)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self._episode, self._t = int(state["episode"]), int(state["t"])

    def _observe(self) -> np.ndarray:
        return np.array([self._t, self._episode], np.float32)
