"""An agent with the interface of off-policy agents that learns nothing, and a task that counts its steps."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf

from expol_tf.agents import Transitions

OBSERVATION, ACTION = 2, 1
INITIAL_STATE = 0.25


class StandInPolicy(tf.Module):
    """Action = 0.001·(updates so far) + 0.1·(first observation) [+ a state that each action adds 0.01 to]."""

    def __init__(self, updates: tf.Variable, stateful: bool) -> None:
        super().__init__()
        self._updates, self._stateful = updates, stateful
        self.act = tf.function(self._act, autograph=False)

    def get_initial_state(self, batch_size: int) -> Any:
        return tf.fill([batch_size, ACTION], INITIAL_STATE) if self._stateful else ()

    def _act(self, observation: Any, policy_state: Any = ()) -> Any:
        action = 0.001 * self._updates + 0.1 * tf.cast(observation, tf.float32)[:, :ACTION]
        if not self._stateful:
            return action, ()
        return action + policy_state, (), policy_state + 0.01


class StandInAgent(tf.Module):
    """Counts updates and remembers the last batch and seed; its metrics are the count and what it is told."""

    def __init__(self, stateful: bool = False, batch_size: int = 4, **metrics: float) -> None:
        super().__init__()
        self.updates = tf.Variable(0.0)
        self.rewards = tf.Variable(tf.zeros([batch_size]))
        self.seed = tf.Variable([0, 0])
        self.collect_policy = StandInPolicy(self.updates, stateful)
        self._metrics = metrics

    def update(self, transitions: Transitions, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        self.rewards.assign(transitions.reward)
        self.seed.assign(seed)
        count = self.updates.assign_add(1.0)
        return {"count": count, **{name: tf.constant(value) for name, value in self._metrics.items()}}

    def warnings(self, metrics: dict[str, float]) -> tuple[str, ...]:
        # Once there is something to warn of, in every iteration anew.
        return (f"own is {metrics['own']:g}",) if metrics.get("own", 0.0) > 10.0 else ()


class Counting(gymnasium.Env):
    """Observation (steps of this episode, episodes so far), reward the action; episodes of 3, 4 and 5 steps.

    Every second one terminates, the others are truncated.
    """

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


class Forgetful(Counting):
    """One whose state cannot be saved."""

    get_state = None  # type: ignore[assignment]
