"""Collects rollouts from batched environments and trains an on-policy agent on each."""

from __future__ import annotations

from typing import Any

import numpy as np

from expol_tf.agents import OnPolicyAgent, Rollout
from expol_tf.configurable import configurable
from expol_tf.environments import VectorEnvironment
from expol_tf.errors import CheckpointError, ConfigurationError
from expol_tf.interruption import Stopped, raise_if_stopped
from expol_tf.number_types import Count
from expol_tf.training.runners.episodes import RunningEpisodes, entries_below
from expol_tf.training.runners.iteration import Iteration, require_finite
from expol_tf.training.runners.reward_normalizer import RewardNormalizer, RewardScale

# Columns of every on-policy algorithm, in this order; an algorithm's own follow.
ALGORITHM_COLUMNS = (
    "surrogate",
    "kl",
    "accepted_step_fraction",
    "entropy",
    "value_loss",
    "explained_variance",
)
DEFAULT_STEPS = 2048
_SCALE_PREFIX = "reward_scale/"


def require_whole_steps(iteration_steps: int, num_envs: int) -> None:
    """Raises a `ConfigurationError` unless all environments make the same number of steps in an iteration."""
    if iteration_steps < num_envs or iteration_steps % num_envs:
        raise ConfigurationError(
            f"OnPolicyRunner.iteration_steps must be a multiple of the number of environments; got "
            f"{iteration_steps} steps for {num_envs} environments. "
            f"Take {max(1, round(iteration_steps / num_envs)) * num_envs}, or another NUM_ENVS."
        )


@configurable
class OnPolicyRunner:
    """One iteration: `iteration_steps` environment steps with the collect policy, then one compiled update.

    Every transition is a real one, as the environments reset within the step that ends an episode.
    Observations and actions go through one compiled call a step for all environments, rollouts through
    preallocated arrays, and metrics are fetched once.

    Args:
      env: Batched environments; reset here.
      agent: Whose `collect_policy.act` and `train_on_rollout` are called.
      iteration_steps: Environment steps of an iteration over all environments; a multiple of their number.
      reward_normalizer: Scales the rewards that the agent learns from by a running deviation of returns;
        None leaves them. Episode returns stay those of the task. The metric `reward_std` is the divisor.

    Attributes:
      iteration_steps: Environment steps of an iteration over all environments.
      algorithm_columns: The names of the metrics.
    """

    def __init__(
        self,
        env: VectorEnvironment,
        agent: OnPolicyAgent,
        iteration_steps: Count = DEFAULT_STEPS,
        reward_normalizer: RewardNormalizer | None = None,
    ) -> None:
        require_whole_steps(iteration_steps, env.num_envs)
        self._agent = agent
        self.iteration_steps = iteration_steps
        self._reward_scale: RewardScale | None = None
        if reward_normalizer is not None:
            self._reward_scale = RewardScale(reward_normalizer, env.num_envs)
        self.algorithm_columns = (*ALGORITHM_COLUMNS, *(["reward_std"] if reward_normalizer else []))
        num_envs, num_steps = env.num_envs, iteration_steps // env.num_envs
        self._num_steps = num_steps

        def array(*shape: int, dtype: Any = np.float32) -> np.ndarray:
            """Returns zeros `[N, T, …]`, a row for each environment."""
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
            # The environments reset within the step that ends an episode, so that every row is a transition.
            valid=np.ones((num_envs, num_steps), bool),
            policy_info={name: array(*spec.shape) for name, spec in info_spec.items()},
        )
        self._episodes = RunningEpisodes(env)

    def collect(self) -> tuple[Rollout, list[float], list[int]]:
        """Steps all environments; returns the rollout and the returns and lengths of the episodes that ended.

        The rollout's arrays are overwritten by the next call.

        Raises:
          Stopped: If a signal asked for a stop before the last step.
        """
        rollout, episodes = self._rollout, self._episodes
        act = self._agent.collect_policy.act
        for t in range(self._num_steps):
            raise_if_stopped()
            # A copy: the environments overwrite their array at the next step.
            rollout.observation[:, t] = episodes.observation
            action, info = act(episodes.observation)
            action = action.numpy()
            rollout.action[:, t] = action
            for name, values in info.items():
                rollout.policy_info[name][:, t] = values.numpy()
            step, ended = episodes.step(action)
            scale = self._reward_scale
            rollout.reward[:, t] = step.reward if scale is None else scale(step.reward, ended)
            # Truncation is not termination: a truncated episode bootstraps from its `next_observation`.
            np.logical_not(step.terminated, out=rollout.discount[:, t], casting="unsafe")
            rollout.next_observation[:, t] = step.next_observation
            rollout.episode_end[:, t] = False if ended is None else ended
        return rollout, *episodes.take_finished()

    def iterate(self) -> Iteration:
        """Collects a rollout and trains on it.

        If a signal asks for a stop before the update, the rollout is dropped and everything as it was before.

        Raises:
          NonFiniteError: If the update made anything NaN or infinite; the run's checkpoints are from before.
        """
        generator = self._agent.collect_policy.generator
        # Half a rollout is of no use, so the iteration begins again where this was the state. A single step
        # is not broken off: to read the state of a thousand environments would take longer than the step.
        begun = None if self._num_steps == 1 else (self.get_state(), generator.state.numpy())
        try:
            rollout, returns, lengths = self.collect()
            if begun is not None:
                # The update may take long.
                raise_if_stopped()
        except Stopped:
            if begun is not None:
                self.set_state(begun[0])
                generator.state.assign(begun[1])
            return Iteration(0, [], [], {}, complete=False)
        info = self._agent.train_on_rollout(rollout)
        # Fetched before the next rollout overwrites arrays that the update may still be reading.
        metrics = {name: float(value.numpy()) for name, value in info.extra.items()}
        require_finite(
            metrics,
            self._agent,
            "of policy and value (such as TrustRegion.max_kl, MinibatchAdam.learning_rate, "
            "MinibatchRegression.learning_rate, KroneckerUpdate.desired_kl)",
        )
        if self._reward_scale is not None:
            metrics["reward_std"] = self._reward_scale.std
        return Iteration(self.iteration_steps, returns, lengths, metrics)

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the environments' state, where it can be saved, the running episodes' and the rewards'."""
        scale = {} if self._reward_scale is None else self._reward_scale.get_state()
        return self._episodes.get_state() | {_SCALE_PREFIX + name: scale[name] for name in scale}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned; environments whose state it has not begin new episodes.

        Raises:
          CheckpointError: If it is the state of another runner.
        """
        go_on = self._episodes.set_state(state)
        scale = entries_below(_SCALE_PREFIX, state)
        if self._reward_scale is not None:
            self._reward_scale.set_state(scale, go_on)
        elif scale:
            raise CheckpointError(
                "The saved state of OnPolicyRunner has a reward scale, but reward_normalizer is None. Give "
                "OnPolicyRunner the reward_normalizer with which it was saved."
            )
