"""What a trained run does on the tasks with several goals, beside what would be best.

After Haarnoja et al. 2017, Figure 1, and Messaoud et al. 2024, Figures 6, 7, 12, 15 and 16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf

from expol_tf.diagnostics import (
    Critic,
    EpisodeNumbers,
    Episodes,
    episode_numbers,
    grid_points,
    nearest_neighbour_entropy,
    q_smoothness,
    rollouts,
    soft_value_iteration,
)
from expol_tf.environments import MultiGoalTask
from expol_tf.errors import ConfigurationError
from expol_tf.papers.reported import reported
from expol_tf.reports import Run, literal
from expol_tf.runs import RunFiles, read_columns
from expol_tf.training import load_policy

# α for runs whose algorithm has none: they are compared with an optimum that hardly values entropy.
SMALL_TEMPERATURE = 0.1
# Where Q is drawn over the actions, as in the papers.
Q_STATES = np.array([(-2.5, 0.0), (0.0, 0.0), (2.5, 2.5)])
_ROWS = 8192

# Actions `[N, num, 2]` of states `[N, 2]`.
Sampler = Callable[[np.ndarray, int], np.ndarray]


class Extent(NamedTuple):
    """How much `best_of` and `examine` look at.

    Attributes:
      episodes: Test episodes of the run, sampled and greedy each.
      oracle_episodes: Episodes of the optimum.
      map_nodes: States in each direction of the maps.
      samples: Actions per state, of which entropies are estimated.
      states: Visited states at most, for the entropy along the episodes.
      q_nodes: Actions in each direction of Q's level curves.
    """

    episodes: int = 100
    oracle_episodes: int = 2000
    map_nodes: int = 29
    samples: int = 128
    states: int = 300
    q_nodes: int = 81


EXTENT = Extent()


class GoalRun(NamedTuple):
    """A run on a task with several goals.

    Attributes:
      run: Its record.
      physics: What it was trained on.
      test: What it is tested on: the same, or with a wall.
      max_steps: The time limit.
      discount: γ.
      temperature: α at the run's end; `SMALL_TEMPERATURE` if its algorithm has none.
      reported_entropy: What the agent says its entropy is, at the states of its replay in the last tenth of
        its updates, in nats; NaN if it says nothing.
    """

    run: Run
    physics: MultiGoalTask
    test: MultiGoalTask
    max_steps: int
    discount: float
    temperature: float
    reported_entropy: float

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.run.experiment}, seed {self.run.seed}"


class Behaviour(NamedTuple):
    """What a policy does, and how rough the Q is that goes with it.

    Attributes:
      episodes, numbers: Episodes with sampled actions, and what they amount to.
      entropy: Mean of Ĥ over states visited.
      gradient, curvature: M₁ and M₂ over the pairs of the episodes; NaN without a critic.
      entropy_map: Ĥ at the maps' states, `[g, g]`, first axis s₁.
      gradient_map, curvature_map: M₁ and M₂ there, over sampled actions; None without a critic.
      q_values: Q at `Q_STATES` over a grid of actions, `[3, n, n]`, first axis a₁; None without a critic.
      q_actions: Sampled actions there, `[3, samples, 2]`.
    """

    episodes: Episodes
    numbers: EpisodeNumbers
    entropy: float
    gradient: float
    curvature: float
    entropy_map: np.ndarray
    gradient_map: np.ndarray | None
    curvature_map: np.ndarray | None
    q_values: np.ndarray | None
    q_actions: np.ndarray


class Examined(NamedTuple):
    """A run beside the optimum of its task, α and γ.

    Attributes:
      run: The run.
      learned: What it does with sampled actions.
      greedy: Episodes with its greedy actions.
      optimal: What the optimum does.
    """

    run: GoalRun
    learned: Behaviour
    greedy: Episodes
    optimal: Behaviour

    @property
    def greedy_numbers(self) -> EpisodeNumbers:
        """What the episodes with greedy actions amount to."""
        return episode_numbers(self.greedy, len(self.run.test.goals))


def goal_run(
    run: Run, temperature: float | None = None, discount: float | None = None, obstacle: bool = False
) -> GoalRun:
    """Returns what the record of a run says about its task.

    Args:
      run: From `find_runs`.
      temperature: α, instead of that in the last row of `metrics.csv`.
      discount: γ, instead of the `gamma` of its configuration.
      obstacle: Whether to test it with the wall, whatever it was trained on.

    Raises:
      ConfigurationError: If its task is another one, it had wrappers, or its γ is not recorded.
    """
    kwargs = literal(run.record.values.get("train.make_kwargs")) or {}
    _require_plain(run, kwargs)
    try:
        env = gymnasium.make(run.task, disable_env_checker=True, **kwargs)
        physics = getattr(env.unwrapped, "task", None)
    except gymnasium.error.Error:
        physics = None
    if not isinstance(physics, MultiGoalTask):
        raise ConfigurationError(
            "--root_dir must hold runs of expol/MultiGoal-v0 or expol/AsymmetricMultiGoal-v0; "
            f"{run.directory} is of {run.task}. Leave it out."
        )
    assert env.spec is not None
    walled = gymnasium.make(run.task, disable_env_checker=True, **{**kwargs, "obstacle": True})
    return GoalRun(
        run=run,
        physics=physics,
        test=walled.unwrapped.task if obstacle else physics,  # type: ignore[attr-defined]
        max_steps=env.spec.max_episode_steps or 30,
        discount=_discount(run) if discount is None else discount,
        temperature=_temperature(run) if temperature is None else temperature,
        reported_entropy=reported(run, "entropy"),
    )


def _require_plain(run: Run, kwargs: Any) -> None:
    """Raises a `ConfigurationError` for a run whose environment is more than its task's physics."""
    wrappers = run.record.values.get("train.wrappers")
    if literal(wrappers):
        raise ConfigurationError(
            "--root_dir: this figure looks at the physics of the task and would leave wrappers out; "
            f"{run.directory} was trained with wrappers = {wrappers}. Leave it out."
        )
    if not isinstance(kwargs, Mapping):
        raise ConfigurationError(
            f"--root_dir: the record of {run.directory} cannot say what make_kwargs of expol_tf.train were, "
            f"which only the program had that trained the run: {kwargs}. Leave it out."
        )


def best_of(run: GoalRun, seed: int = 0, extent: Extent | None = None) -> Behaviour:
    """Returns what the optimum of a run's own task does where the run is tested.

    It is the same for all runs of the same task, limit, α and γ.
    """
    extent = extent or EXTENT
    optimum = soft_value_iteration(run.physics, run.temperature, run.discount)
    generator = np.random.default_rng(seed)

    def sample(state: np.ndarray, num: int) -> np.ndarray:
        return optimum.sample(state, generator, num)

    episodes = rollouts(run.test, optimum.act(generator), extent.oracle_episodes, seed, run.max_steps)
    return _behaviour(run, episodes, sample, optimum.critic, extent)


def examine(run: GoalRun, best: Behaviour, seed: int = 0, extent: Extent | None = None) -> Examined:
    """Returns what a run's policy and critic do beside the optimum, which is from `best_of`.

    The run's directory has `policy/`, and `critic/` if Q is to be looked at.
    """
    extent = extent or EXTENT
    directory = run.run.directory
    policy = load_policy(directory, seed)

    def sample(state: np.ndarray, num: int) -> np.ndarray:
        rows = np.repeat(np.asarray(state, np.float32), num, axis=0)
        actions = [policy.act(rows[i : i + _ROWS]) for i in range(0, len(rows), _ROWS)]
        return np.concatenate(actions).reshape(len(state), num, -1)

    greedy = rollouts(
        run.test, lambda o: policy.act(o, deterministic=True), extent.episodes, seed, run.max_steps
    )
    learned = rollouts(run.test, policy.act, extent.episodes, seed, run.max_steps)
    return Examined(
        run=run,
        learned=_behaviour(run, learned, sample, load_critic(directory), extent),
        greedy=greedy,
        optimal=best,
    )


def load_critic(directory: Path) -> Critic | None:
    """Returns Q of a run's `critic/`, None if it has none."""
    path = directory / "critic"
    if not (path / "saved_model.pb").is_file():
        return None
    model = tf.saved_model.load(str(path))
    signature = model.signatures["q"]

    def critic(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        values = []
        for i in range(0, len(state), _ROWS):
            observations = tf.constant(state[i : i + _ROWS], tf.float32)
            actions = tf.constant(action[i : i + _ROWS], tf.float32)
            values.append(signature(observation=observations, action=actions)["q"].numpy().reshape(-1))
        return np.concatenate(values)

    # A loaded function works only as long as its model does.
    critic.model = model  # type: ignore[attr-defined]
    return critic


def _behaviour(
    run: GoalRun, episodes: Episodes, sample: Sampler, critic: Critic | None, extent: Extent
) -> Behaviour:
    states = grid_points(np.linspace(-7, 7, extent.map_nodes))
    shape = (extent.map_nodes, extent.map_nodes)
    actions = sample(states, extent.samples)
    visited, taken = episodes.visited()
    some = visited[np.linspace(0, len(visited) - 1, min(extent.states, len(visited))).astype(int)]
    gradient = curvature = float("nan")
    gradient_map = curvature_map = q_values = None
    if critic is not None:
        along = q_smoothness(critic, visited, taken)
        gradient, curvature = float(along.gradient.mean()), float(along.curvature.mean())
        few = min(32, extent.samples)
        over = q_smoothness(critic, np.repeat(states, few, axis=0), actions[:, :few].reshape(-1, 2))
        gradient_map = over.gradient.reshape(*shape, few).mean(axis=-1)
        curvature_map = over.curvature.reshape(*shape, few).mean(axis=-1)
        grid = grid_points(np.linspace(-1, 1, extent.q_nodes))
        values = [critic(np.tile(state, (len(grid), 1)), grid) for state in Q_STATES]
        q_values = np.stack(values).reshape(-1, extent.q_nodes, extent.q_nodes)
    return Behaviour(
        episodes=episodes,
        numbers=episode_numbers(episodes, len(run.test.goals)),
        entropy=float(nearest_neighbour_entropy(sample(some, extent.samples)).mean()),
        gradient=gradient,
        curvature=curvature,
        entropy_map=nearest_neighbour_entropy(actions).reshape(shape),
        gradient_map=gradient_map,
        curvature_map=curvature_map,
        q_values=q_values,
        q_actions=sample(Q_STATES, extent.samples),
    )


def _discount(run: Run) -> float:
    values = {literal(value) for name, value in run.record.values.items() if name.endswith(".gamma")}
    gammas = {float(value) for value in values if isinstance(value, int | float)}
    if len(gammas) != 1:
        listed = ", ".join(f"{gamma:g}" for gamma in sorted(gammas))
        raise ConfigurationError(
            f"--discount must be given: the configuration of {run.directory} has "
            f"{f'several gammas: {listed}' if gammas else 'no gamma'}."
        )
    return gammas.pop()


def _temperature(run: Run) -> float:
    column = read_columns(RunFiles(run.directory).metrics_csv, ("env_step",), ("temperature",))
    temperatures = column["temperature"]
    positive = temperatures[np.isfinite(temperatures)]
    return float(positive[-1]) if len(positive) and positive[-1] > 0 else SMALL_TEMPERATURE
