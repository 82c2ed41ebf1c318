"""What the optima of the tasks with several goals do, at the temperatures of the papers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from expol_tf.diagnostics import Episodes, episode_numbers, q_smoothness, rollouts, soft_value_iteration
from expol_tf.environments import AsymmetricMultiGoal, MultiGoal, MultiGoalTask

# Pairs of state and action for M₁ and M₂, and states for the entropy, at most.
_PAIRS = 4000


class World(NamedTuple):
    """A task, the discount of its paper, and temperatures."""

    name: str
    task: MultiGoalTask
    walled: MultiGoalTask
    discount: float
    temperatures: tuple[float, ...]


class Optimal(NamedTuple):
    """An optimum's row of the table, and its episodes for the picture."""

    row: dict[str, Any]
    free: Episodes
    walled: Episodes


WORLDS = (
    World("MultiGoal", MultiGoal().task, MultiGoal(obstacle=True).task, 0.99, (0.1, 1.0, 10.0)),
    World(
        "AsymmetricMultiGoal",
        AsymmetricMultiGoal().task,
        AsymmetricMultiGoal(obstacle=True).task,
        0.8,
        (0.2, 0.5, 1.0, 5.0, 10.0, 20.0),
    ),
)


def optimal(world: World, temperature: float, seed: int, num_episodes: int) -> Optimal:
    """Returns what the optimum at one temperature does, on its task and where a wall is in the way.

    There are `num_episodes` on each of the two; `seed` seeds first states and actions.
    """
    optimum = soft_value_iteration(world.task, temperature, world.discount)
    generator = np.random.default_rng(seed)
    free, walled = (
        rollouts(task, optimum.act(generator), num_episodes, seed) for task in (world.task, world.walled)
    )
    numbers = episode_numbers(free, len(world.task.goals))
    behind = episode_numbers(walled, len(world.task.goals))
    state, action = free.visited()
    some = np.linspace(0, len(state) - 1, min(_PAIRS, len(state))).astype(int)
    rough = q_smoothness(optimum.critic, state[some], action[some])
    row = {
        "task": world.name,
        "discount": world.discount,
        "temperature": temperature,
        "seed": seed,
        "episodes": num_episodes,
        **{f"goal_{index}": float(share) for index, share in enumerate(numbers.goal_shares)},
        "any_goal": numbers.any_goal,
        "return_mean": numbers.return_mean,
        "return_std": numbers.return_std,
        "length_mean": numbers.length_mean,
        "m1": float(rough.gradient.mean()),
        "m2": float(rough.curvature.mean()),
        "entropy": float(optimum.entropy(state[some]).mean()),
        "hit_share": behind.hit_share,
        "success_after_hit": behind.success_after_hit,
    }
    return Optimal(row, free, walled)


def optima(num_seeds: int, seed: int, num_episodes: int) -> Iterator[tuple[World, Optimal]]:
    """Yields every world's optima, seed by seed."""
    for world in WORLDS:
        for temperature in world.temperatures:
            for own_seed in range(seed, seed + num_seeds):
                yield world, optimal(world, temperature, own_seed, num_episodes)
