"""Small tasks, and a slow reference of what stepping many of them means, for the environments' tests."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (3,), np.float64)
ACTIONS = spaces.Box(-1, 1, (2,), np.float32)


class CountingTask(gymnasium.Env):
    """Observes (step of the episode, first action component, a random draw); reward 10·step + the draw.

    Terminates with probability `end_probability` at each step. Keeps the actions that it saw.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self, end_probability=0.0, observation_space=OBSERVATIONS, action_space=ACTIONS, render_mode=None
    ):
        self.observation_space = observation_space
        self.action_space = action_space
        self.render_mode = render_mode
        self.end_probability = end_probability
        self.actions = []

    def _observe(self, action):
        self.draw = self.np_random.normal()
        return np.array([self.count, action, self.draw])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observe(0.0), {}

    def step(self, action):
        self.count += 1
        self.actions.append(action)
        observation = self._observe(action[0])
        terminated = bool(self.np_random.uniform() < self.end_probability)
        return observation, 10.0 * self.count + self.draw, terminated, False, {}

    def render(self):
        return np.full((4, 5, 3), self.count, np.uint8)


class SavableCountingTask(CountingTask):
    """A task that saves its own state; its random draws are saved for it."""

    def get_state(self):
        return {"count": np.array(self.count)}

    def set_state(self, state):
        self.count = int(state["count"])


def make_with_both_ends(end_probability=0.15, limit=7, cls=SavableCountingTask):
    """Returns a task whose episodes end in both ways."""
    return gymnasium.wrappers.TimeLimit(cls(end_probability), limit)


def random_actions(spec, num_steps, num_envs, seed=0, scale=1.5):
    """Returns `[T, N, A]` float32 actions that leave the box now and then."""
    generator = np.random.default_rng(seed)
    half, middle = (spec.maximum - spec.minimum) / 2, (spec.maximum + spec.minimum) / 2
    noise = generator.uniform(-scale, scale, (num_steps, num_envs, *spec.shape))
    return (middle + half * noise).astype(np.float32)


class SlowReference:
    """One environment at a time, in plain Python, exactly as Gymnasium's documentation says."""

    def __init__(self, make, num_envs, seed):
        self.envs = [make() for _ in range(num_envs)]
        children = np.random.SeedSequence(seed).spawn(num_envs)
        self.first = [
            env.reset(seed=int(child.generate_state(1)[0]))[0]
            for env, child in zip(self.envs, children, strict=True)
        ]

    def transitions(self, i, actions):
        """Yields (next observation, reward, terminated, truncated, observation to act on) of one of them."""
        env = self.envs[i]
        low, high = env.action_space.low, env.action_space.high
        for action in actions:
            observation, reward, terminated, truncated, _ = env.step(np.clip(action, low, high))
            following = env.reset()[0] if terminated or truncated else observation
            yield observation, reward, terminated, truncated, following

    def frames(self, i, actions):
        """Yields TF-Agents' (step type, reward, discount, observation) of one, boundaries included."""
        env = self.envs[i]
        low, high = env.action_space.low, env.action_space.high
        ended = False
        for action in actions:
            if ended:
                ended = False
                yield 0, 0.0, 1.0, env.reset()[0]
                continue
            observation, reward, terminated, truncated, _ = env.step(np.clip(action, low, high))
            ended = terminated or truncated
            yield 2 if ended else 1, reward, 0.0 if terminated else 1.0, observation
