"""What a trained run does on the tasks with several goals, beside what would be best.

After Haarnoja et al. 2017, Figure 1, and Messaoud et al. 2024, Figures 6, 7, 12, 15 and 16.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf

from expol_tf.diagnostics import (
    Critic,
    SoftOptimum,
    nearest_neighbour_entropy,
    q_smoothness,
    soft_value_iteration,
)
from expol_tf.environments import MultiGoalTask
from expol_tf.errors import ConfigurationError
from expol_tf.papers.multi_goal.episodes import EpisodeNumbers, Episodes, episode_numbers, rollouts
from expol_tf.reports import Run, literal
from expol_tf.runs import RunFiles, read_columns
from expol_tf.training import load_policy

# Of runs whose algorithm has none: their optimum is compared with one that hardly values entropy.
SMALL_TEMPERATURE = 0.1
# Where Q is drawn over the actions, as in the papers.
Q_STATES = np.array([(-2.5, 0.0), (0.0, 0.0), (2.5, 2.5)])
_ROWS = 8192

# Actions `[N, num, 2]` of states `[N, 2]`.
Sampler = Callable[[np.ndarray, int], np.ndarray]


class Extent(NamedTuple):
    """How much is looked at.

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
    """

    run: Run
    physics: MultiGoalTask
    test: MultiGoalTask
    max_steps: int
    discount: float
    temperature: float

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.run.experiment}, seed {self.run.seed}"


class Behaviour(NamedTuple):
    """What a policy does, and how rough the Q is that goes with it.

    Attributes:
      episodes, numbers: With sampled actions.
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
      learned: With sampled actions.
      greedy: Episodes with its greedy actions.
      optimal: The optimum's.
      optimum: V*, Q* and π*.
    """

    run: GoalRun
    learned: Behaviour
    greedy: Episodes
    optimal: Behaviour
    optimum: SoftOptimum


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
      ConfigurationError: If its task is another one, or its γ is not recorded.
    """
    kwargs = literal(run.values.get("train.make_kwargs")) or {}
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
    )


class Best(NamedTuple):
    """An optimum, and what it does."""

    optimum: SoftOptimum
    behaviour: Behaviour


def best_of(run: GoalRun, seed: int = 0, extent: Extent | None = None) -> Best:
    """Returns the optimum of what a run was trained on, and what it does where the run is tested.

    Args:
      run: The run; others of the same task, limit, α and γ have the same.
      seed: Of first states and sampled actions.
      extent: How much is looked at.
    """
    extent = extent or EXTENT
    optimum = soft_value_iteration(run.physics, run.temperature, run.discount)
    generator = np.random.default_rng(seed)

    def sample(state: np.ndarray, num: int) -> np.ndarray:
        return optimum.sample(state, generator, num)

    def q(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return optimum.q(state, action[:, np.newaxis])[:, 0]

    episodes = rollouts(run.test, optimum.act(generator), extent.oracle_episodes, seed, run.max_steps)
    return Best(optimum, _behaviour(run, episodes, sample, q, extent))


def examine(run: GoalRun, best: Best, seed: int = 0, extent: Extent | None = None) -> Examined:
    """Returns what a run's policy and critic do beside the optimum.

    Args:
      run: Its directory has `policy/`, and `critic/` if Q is to be looked at.
      best: From `best_of`.
      seed: Of first states and sampled actions.
      extent: How much is looked at.
    """
    extent = extent or EXTENT
    directory = run.run.directory
    policy = load_policy(directory, seed)

    def sample(state: np.ndarray, num: int) -> np.ndarray:
        rows = np.repeat(np.asarray(state, np.float32), num, axis=0)
        parts = [policy.act(rows[i : i + _ROWS]) for i in range(0, len(rows), _ROWS)]
        return np.concatenate(parts).reshape(len(state), num, -1)

    greedy = rollouts(
        run.test, lambda o: policy.act(o, deterministic=True), extent.episodes, seed, run.max_steps
    )
    learned = rollouts(run.test, policy.act, extent.episodes, seed, run.max_steps)
    return Examined(
        run=run,
        learned=_behaviour(run, learned, sample, load_critic(directory), extent),
        greedy=greedy,
        optimal=best.behaviour,
        optimum=best.optimum,
    )


def load_critic(directory: Path) -> Critic | None:
    """Returns Q of a run's `critic/`, None if it has none."""
    path = directory / "critic"
    if not (path / "saved_model.pb").is_file():
        return None
    model = tf.saved_model.load(str(path))
    signature = model.signatures["q"]

    def critic(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        parts = []
        for i in range(0, len(state), _ROWS):
            observations = tf.constant(state[i : i + _ROWS], tf.float32)
            actions = tf.constant(action[i : i + _ROWS], tf.float32)
            parts.append(signature(observation=observations, action=actions)["q"].numpy().reshape(-1))
        return np.concatenate(parts)

    # A loaded function works only as long as its model does.
    critic.model = model  # type: ignore[attr-defined]
    return critic


def map_states(extent: Extent | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nodes of the maps on both axes, `[g]`, and the states `[g², 2]`."""
    nodes = np.linspace(-7, 7, (extent or EXTENT).map_nodes)
    return nodes, np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)


def _behaviour(
    run: GoalRun, episodes: Episodes, sample: Sampler, critic: Critic | None, extent: Extent
) -> Behaviour:
    _, states = map_states(extent)
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
        nodes = np.linspace(-1, 1, extent.q_nodes)
        grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
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
    found = {literal(value) for name, value in run.values.items() if name.endswith(".gamma")}
    numbers = {float(value) for value in found if isinstance(value, int | float)}
    if len(numbers) != 1:
        raise ConfigurationError(
            f"--discount must be given: the configuration of {run.directory} has "
            f"{'several gammas' if numbers else 'no gamma'}{': ' if numbers else ''}"
            f"{', '.join(f'{number:g}' for number in sorted(numbers))}."
        )
    return numbers.pop()


def _temperature(run: Run) -> float:
    column = read_columns(RunFiles(run.directory).metrics_csv, ("env_step",), ("temperature",))
    temperatures = column["temperature"]
    positive = temperatures[np.isfinite(temperatures)]
    return float(positive[-1]) if len(positive) and positive[-1] > 0 else SMALL_TEMPERATURE
