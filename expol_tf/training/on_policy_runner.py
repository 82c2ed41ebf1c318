"""Collects rollouts from batched environments and trains an on-policy agent on each."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import gin
import numpy as np

from expol_tf.agents import OnPolicyAgent, Rollout
from expol_tf.environments import VectorEnvironment
from expol_tf.errors import ConfigurationError, NonFiniteError

# Columns of every on-policy algorithm, in this order; an algorithm's own follow.
ALGORITHM_COLUMNS = (
    "surrogate",
    "kl",
    "accepted_step_fraction",
    "entropy",
    "value_loss",
    "explained_variance",
)

_ENVIRONMENT_PREFIX = "environment/"


class Iteration(NamedTuple):
    """What one iteration did: environment steps, the episodes that ended in it and the agent's metrics."""

    env_steps: int
    episode_returns: list[float]
    episode_lengths: list[int]
    metrics: dict[str, float]


@gin.configurable(module="expol_tf")
class OnPolicyRunner:
    """One iteration: `iteration_steps` environment steps with the collect policy, then one compiled update.

    Every transition is a real one, as the environments reset within the step that ends an episode.
    Observations and actions go through one compiled call a step for all environments, rollouts through
    preallocated arrays, and metrics are fetched once.

    Args:
      env: Batched environments; reset here.
      agent: Whose `collect_policy.act` and `train_on_rollout` are called.
      iteration_steps: Environment steps of an iteration over all environments; a multiple of their number.
    """

    def __init__(self, env: VectorEnvironment, agent: OnPolicyAgent, iteration_steps: int = 2048) -> None:
        if iteration_steps < env.num_envs or iteration_steps % env.num_envs:
            raise ConfigurationError(
                f"OnPolicyRunner.iteration_steps must be a multiple of the number of environments; got "
                f"{iteration_steps} steps for {env.num_envs} environments. "
                f"Take {max(1, round(iteration_steps / env.num_envs)) * env.num_envs}, or another NUM_ENVS."
            )
        self._env = env
        self._agent = agent
        self.iteration_steps = iteration_steps
        num_envs, num_steps = env.num_envs, iteration_steps // env.num_envs
        self._num_steps = num_steps

        def array(*shape: int, dtype: Any = np.float32) -> np.ndarray:
            return np.zeros((num_envs, num_steps, *shape), dtype)

        observation_shape, action_shape = env.observation_spec.shape, env.action_spec.shape
        info_spec = agent.collect_policy.info_spec
        self._rollout = Rollout(
            observation=array(*observation_shape),
            action=array(*action_shape),
            reward=array(),
            discount=array(),
            next_observation=array(*observation_shape),
            episode_end=array(dtype=bool),
            valid=np.ones((num_envs, num_steps), bool),
            policy_info={name: array(*spec.shape) for name, spec in info_spec.items()},
        )
        self._observation = env.reset()
        self._episode_return = np.zeros(num_envs)
        self._episode_length = np.zeros(num_envs, np.int64)

    def collect(self) -> tuple[Rollout, list[float], list[int]]:
        """Steps all environments; returns the rollout and the returns and lengths of the episodes that ended.

        The rollout's arrays are overwritten by the next call.
        """
        rollout, act, step_env = self._rollout, self._agent.collect_policy.act, self._env.step
        returns: list[float] = []
        lengths: list[int] = []
        observation = self._observation
        for t in range(self._num_steps):
            rollout.observation[:, t] = observation
            action, info = act(observation)
            action = action.numpy()
            rollout.action[:, t] = action
            for name, values in info.items():
                rollout.policy_info[name][:, t] = values.numpy()
            step = step_env(action)
            rollout.reward[:, t] = step.reward
            np.logical_not(step.terminated, out=rollout.discount[:, t], casting="unsafe")
            rollout.next_observation[:, t] = step.next_observation
            ended = step.terminated | step.truncated
            rollout.episode_end[:, t] = ended
            self._episode_return += step.reward
            self._episode_length += 1
            if ended.any():
                returns += self._episode_return[ended].tolist()
                lengths += self._episode_length[ended].tolist()
                self._episode_return[ended] = 0.0
                self._episode_length[ended] = 0
            observation = step.observation
        self._observation = observation
        return rollout, returns, lengths

    def iterate(self) -> Iteration:
        """Collects a rollout and trains on it.

        Raises:
          NonFiniteError: If the update made anything NaN or infinite; the run's checkpoints are from before.
        """
        rollout, returns, lengths = self.collect()
        info = self._agent.train_on_rollout(rollout)
        # Fetched before the next rollout overwrites arrays that the update may still be reading.
        metrics = {name: float(value.numpy()) for name, value in info.extra.items()}
        broken = [name for name, value in metrics.items() if not np.isfinite(value)]
        if broken:
            raise NonFiniteError(
                f"{type(self._agent).__name__}: {', '.join(broken)} must be finite; got "
                f"{', '.join(str(metrics[name]) for name in broken)}. The last checkpoint is from before "
                "this iteration. Lower the step sizes of policy and value (such as TrustRegion.max_kl, "
                "MinibatchAdam.learning_rate, MinibatchRegression.learning_rate, AcktrAgent.desired_kl), or "
                "look at the scale of the task's rewards."
            )
        return Iteration(self.iteration_steps, returns, lengths, metrics)

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the environments' state, where it can be saved, and the running episodes', as arrays."""
        if not self._env.can_save_state:
            return {}
        state = {_ENVIRONMENT_PREFIX + name: value for name, value in self._env.get_state().items()}
        state["episode_return"], state["episode_length"] = self._episode_return, self._episode_length
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned; an empty state leaves the environments as they are."""
        if not state:
            return
        self._env.set_state(
            {
                name.removeprefix(_ENVIRONMENT_PREFIX): value
                for name, value in state.items()
                if name.startswith(_ENVIRONMENT_PREFIX)
            }
        )
        self._observation = self._env.current_observation()
        self._episode_return = np.array(state["episode_return"])
        self._episode_length = np.array(state["episode_length"])


class EpisodeStatistics:
    """Returns and lengths of finished episodes: those since the last row, and the last hundred.

    Everything is plain numbers, so that a checkpoint holds it exactly.
    """

    def __init__(self, window: int = 100) -> None:
        self.episodes = 0
        self.recent: collections.deque[float] = collections.deque(maxlen=window)
        self._returns: list[float] = []
        self._lengths: list[int] = []

    def add(self, returns: list[float], lengths: list[int]) -> None:
        """Counts episodes that ended."""
        self.episodes += len(returns)
        self.recent.extend(returns)
        self._returns += returns
        self._lengths += lengths

    def row(self) -> dict[str, float | int | None]:
        """Returns the columns of the episodes since the last call, empty cells if there were none."""
        row = {
            "episode_return_mean": float(np.mean(self._returns)) if self._returns else None,
            "episode_length_mean": float(np.mean(self._lengths)) if self._lengths else None,
            "episodes": self.episodes,
        }
        self._returns, self._lengths = [], []
        return row

    @property
    def recent_return(self) -> float | None:
        """Mean return of the last hundred episodes, None before the first has ended."""
        return float(np.mean(self.recent)) if self.recent else None

    def get_state(self) -> dict[str, Any]:
        """Returns everything as JSON values."""
        return {
            "episodes": self.episodes,
            "recent": list(self.recent),
            "returns": self._returns,
            "lengths": self._lengths,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned."""
        self.episodes = state["episodes"]
        self.recent.clear()
        self.recent.extend(state["recent"])
        self._returns, self._lengths = list(state["returns"]), list(state["lengths"])
