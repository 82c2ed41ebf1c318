"""Evaluation: the returns of whole episodes, in environments of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from expol_tf.argument_types import shown
from expol_tf.checked import checked
from expol_tf.configurable import configurable
from expol_tf.environments import VectorEnvironment, check_task, checked_reset, checked_step, load_vector
from expol_tf.errors import ConfigurationError, TaskError
from expol_tf.interruption import raise_if_stopped
from expol_tf.number_types import Count, NumEnvs, SeedNumber, Steps, WholeSteps
from expol_tf.random import stream
from expol_tf.training.runners.episodes import begun_anew

EVALUATION_COLUMNS = ("env_step", "return_mean", "return_std", "length_mean", "episodes")

# An episode of more steps is cut off, so that an environment that never ends is evaluated in finite time.
MAX_STEPS = 100_000

Act = Callable[[np.ndarray], Any]


class EvaluationResult(NamedTuple):
    """Undiscounted returns `[E]` and lengths `[E]` (in environment steps) of E episodes."""

    returns: np.ndarray
    lengths: np.ndarray

    def row(self, env_step: int) -> dict[str, float | int]:
        """Returns the row of `evaluation.csv`; the deviation is that of these episodes (divided by E)."""
        return {
            "env_step": env_step,
            "return_mean": float(self.returns.mean()),
            "return_std": float(self.returns.std()),
            "length_mean": float(self.lengths.mean()),
            "episodes": len(self.returns),
        }

    def table(self, title: str) -> str:
        """Returns a table of both quantities as text."""
        lines = [title, f"{'':8}{'mean':>12}{'std':>12}{'min':>12}{'max':>12}"]
        for name, values in (("return", self.returns), ("length", self.lengths)):
            numbers = (values.mean(), values.std(), values.min(), values.max())
            lines.append(f"{name:8}" + "".join(f"{number:12.2f}" for number in numbers))
        return "\n".join(lines)


@checked
def evaluate_policy(
    act: Act,
    env: VectorEnvironment,
    num_episodes: Count,
    on_end: Callable[[np.ndarray], None] | None = None,
    max_steps: Steps = MAX_STEPS,
) -> EvaluationResult:
    """Returns the returns of exactly `num_episodes` episodes.

    Each sub-environment contributes a number of episodes that is fixed beforehand. Taking the first ones to
    end instead would favour short episodes, which are the bad ones on most tasks.

    Args:
      act: Observations `[N, O]` → actions `[N, A]`, or a tuple that begins with them. Sub-environments that
        have made their share are no longer stepped; actions for them are ignored.
      env: Reset here; must be made for evaluation, not shared with training.
      num_episodes: E.
      on_end: Called with where episodes ended, bool `[N]`, after steps that ended some: for what `act` keeps
        for an episode.
      max_steps: An episode that reaches so many steps counts as truncated there; a warning says so.

    Raises:
      ConfigurationError: If an argument is none of its kind.
      Stopped: If a signal asked for a stop between two steps.
    """
    shares = [num_episodes // env.num_envs + (i < num_episodes % env.num_envs) for i in range(env.num_envs)]
    remaining = np.array(shares)
    returns: list[list[float]] = [[] for _ in shares]
    lengths: list[list[int]] = [[] for _ in shares]
    running_return = np.zeros(env.num_envs)
    running_length = np.zeros(env.num_envs, np.int64)
    num_cut = 0
    observation = checked_reset(env)
    while True:
        active = remaining > 0
        if not active.any():
            break
        raise_if_stopped()
        action = act(observation)
        step = checked_step(env, np.asarray(action[0] if isinstance(action, tuple) else action), active)
        observation = step.observation
        running_return += np.where(active, step.reward, 0.0)
        running_length += active
        ended = active & (step.terminated | step.truncated)
        cut = active & ~ended & (running_length >= max_steps)
        num_cut += int(cut.sum())
        ended |= cut
        if on_end is not None and ended.any():
            on_end(ended)
        for i in np.flatnonzero(ended):
            returns[i].append(float(running_return[i]))
            lengths[i].append(int(running_length[i]))
            running_return[i] = running_length[i] = 0
            remaining[i] -= 1
        cut &= remaining > 0
        if cut.any():
            observation = env.restart(cut)
    if num_cut:
        logging.warning(
            "%d of %d episodes of %s had not ended after %s steps (EVAL_MAX_STEPS) and were cut off there, "
            "as if truncated.",
            num_cut, num_episodes, env.task, f"{max_steps:,}",
        )  # fmt: skip
    return EvaluationResult(np.array(sum(returns, [])), np.array(sum(lengths, [])))


@configurable
class Evaluator:
    """Evaluates an agent now and then during training, without touching its randomness.

    Each evaluation has environments of its own, seeded from (seed, env step), so that it neither depends on
    the evaluations before it nor changes the training after it.

    Args:
      task: The Gymnasium id or a function that makes an environment.
      seed: The experiment's seed.
      interval: Environment steps between two evaluations; 0 never evaluates.
      episodes: The number of episodes of one evaluation.
      deterministic: Whether actions are greedy; otherwise they are sampled.
      max_envs: How many environments are stepped at once, at most one per episode.
      max_steps: An episode that reaches so many steps counts as truncated there; a warning says so.
      backend, wrappers, make_kwargs: As `expol_tf.environments.load_vector` takes them.
    """

    def __init__(
        self,
        task: Any,
        seed: SeedNumber,
        interval: WholeSteps = 50_000,
        episodes: Count = 10,
        deterministic: bool = True,
        max_envs: NumEnvs = 10,
        max_steps: Steps = MAX_STEPS,
        backend: str = "sync",
        wrappers: Sequence[Callable] = (),
        make_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        # Not at the first evaluation, which may be hours later.
        check_task(task, backend=backend, wrappers=wrappers, make_kwargs=make_kwargs)
        self._interval = interval
        self._episodes = episodes
        self._max_steps = max_steps
        self._deterministic = deterministic
        self._seed = seed
        self._load = functools.partial(
            load_vector,
            task,
            min(episodes, max_envs),
            backend=backend,
            wrappers=wrappers,
            make_kwargs=make_kwargs,
        )

    @property
    def enabled(self) -> bool:
        """Whether it ever evaluates."""
        return self._interval > 0

    def is_due(self, previous_env_step: int, env_step: int) -> bool:
        """Whether a multiple of the interval lies in (previous_env_step, env_step]."""
        return self._interval > 0 and env_step // self._interval > previous_env_step // self._interval

    @checked
    def evaluate(self, agent: Any, env_step: WholeSteps) -> EvaluationResult:
        """Evaluates the agent's present policy; the same agent and env step give the same result.

        Args:
          agent: An agent whose `policy` and `collect_policy` are `ActorPolicy`s, or act like them.
          env_step: The environment steps of training so far.

        Raises:
          ConfigurationError: If the agent has no such policies.
          Stopped: If a signal asked for a stop; the agent is as it was.
        """
        env_seed, action_seed = (stream(self._seed, "evaluation", env_step, index) for index in (0, 1))
        raise_if_stopped()
        env = self._load(seed=env_seed)
        evaluate = functools.partial(
            evaluate_policy, env=env, num_episodes=self._episodes, max_steps=self._max_steps
        )
        try:
            _require_spaces_of(agent, env)
            name = "policy" if self._deterministic else "collect_policy"
            if not hasattr(agent, name):
                raise ConfigurationError(
                    f"agent must have a {name}; got {shown(agent)}. Give an agent of expol_tf.agents, or "
                    "evaluate a function by evaluate_policy."
                )
            if self._deterministic:
                return evaluate(agent.policy.act)
            generator = agent.collect_policy.generator
            state = generator.state.numpy()
            try:
                generator.reset_from_seed(action_seed)
                if agent.collect_policy.policy_state_spec == ():
                    return evaluate(agent.collect_policy.act)
                acting = _ActWithState(agent.collect_policy, env.num_envs)
                return evaluate(acting, on_end=acting.begin_anew)
            finally:
                # The policy goes on as if it had not been evaluated.
                generator.state.assign(state)
        finally:
            env.close()


def _require_spaces_of(agent: Any, env: VectorEnvironment) -> None:
    """Raises a `TaskError` if the environments are not those that the agent was made for."""
    # Stand-ins for agents may have no specs.
    if not hasattr(agent, "time_step_spec") or not hasattr(agent, "action_spec"):
        return
    for what, spec, own in (
        ("observation", agent.time_step_spec.observation, env.observation_spec),
        ("action", agent.action_spec, env.action_spec),
    ):
        same = tuple(spec.shape) == own.shape
        if same and what == "action":
            same = np.array_equal(spec.minimum, own.minimum) and np.array_equal(spec.maximum, own.maximum)
        if not same:
            raise TaskError(
                f"the {what} space of an environment for evaluation must be that of training, {spec}; got "
                f"{own}. Let the function that makes them give all the same spaces.",
                env.task,
            )


class _ActWithState:
    """Acts by a policy that has a state, of its noise, which begins anew with each episode."""

    def __init__(self, policy: Any, num_envs: int) -> None:
        self._policy = policy
        self._initial = self._state = policy.get_initial_state(num_envs)

    def __call__(self, observation: np.ndarray) -> Any:
        action, _, self._state = self._policy.act(observation, self._state)
        return action

    def begin_anew(self, ended: np.ndarray) -> None:
        """Forgets the state of the sub-environments `[N]` whose episodes ended."""
        self._state = begun_anew(self._initial, self._state, ended)
