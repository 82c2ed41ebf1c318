"""What maximizes reward and entropy on the tasks with several goals, by soft value iteration on a grid.

    V*(s) = α log ∫ exp(Q*(s, a)/α) da,   Q*(s, a) = r + γ·1[not terminated]·V*(s′),
    π*(a | s) = exp((Q*(s, a) − V*(s))/α)

over the box [−1, 1]² of actions: what SAC and SQL at temperature α aim at. The tasks' limit of 30 steps is a
truncation, which ends no state's value, so V* knows nothing of it; `rollouts` cut episodes off there.

Rewards, moves, ends and walls are the task's own; only V* is a grid's, and interpolated between its nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from expol_tf.environments import MultiGoalTask
from expol_tf.errors import ConfigurationError

# (State, action) pairs that are looked at in one go.
_CHUNK = 1 << 19
# A sampled action's cell is divided by this once more in each direction.
_SUBCELLS = 4


class SoftOptimum:
    """V* on a grid of states, and Q*, π* and its samples at any state; made by `soft_value_iteration`.

    Args:
      task: The physics.
      temperature: α, reward per nat.
      discount: γ.
      values: V* at the nodes, `[n, n]`, first axis s₁.
      num_actions: Cells of the action box in each direction, for integrals over actions.
      residual: max |T V* − V*|, what one more sweep would change.
    """

    def __init__(
        self,
        task: MultiGoalTask,
        temperature: float,
        discount: float,
        values: np.ndarray,
        num_actions: int,
        residual: float,
    ):
        self.task = task
        self.temperature = temperature
        self.discount = discount
        self.values = values
        self.residual = residual
        self.nodes = _nodes(task, len(values))
        self._cells = _cells(num_actions)
        self._cell_width = 2 / num_actions

    def q(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Returns Q* `[N, M]` of states `[N, 2]` and actions `[N, M, 2]` of each, or `[M, 2]` of all."""
        result = np.empty((len(state), action.shape[-2]))
        for rows in _chunks(len(state), action.shape[-2]):
            some = state[rows]
            actions = (
                action[rows] if action.ndim == 3 else np.broadcast_to(action, (len(some), *action.shape))
            )
            repeated = np.repeat(some, actions.shape[1], axis=0)
            step = self.task.transition(repeated, actions.reshape(-1, 2))
            columns, weights = _corners(self.task, len(self.nodes), step.state)
            after = np.sum(weights * self.values.ravel()[columns], axis=1)
            q = step.reward + self.discount * np.where(step.terminated, 0.0, after)
            result[rows] = q.reshape(len(some), -1)
        return result

    def critic(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Returns Q* `[N]` of states `[N, 2]` with one action `[N, 2]` each."""
        return self.q(state, action[:, np.newaxis])[:, 0]

    def value(self, state: np.ndarray) -> np.ndarray:
        """Returns V* `[N]` of states `[N, 2]`, by integration at the states themselves."""
        exponent = self.q(state, self._cells) / self.temperature
        return self.temperature * (_log_sum_exp(exponent) + 2 * math.log(self._cell_width))

    def log_density(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Returns log π*(a | s) `[N, M]` of states `[N, 2]` and actions `[N, M, 2]` or `[M, 2]`."""
        return (self.q(state, action) - self.value(state)[:, np.newaxis]) / self.temperature

    def entropy(self, state: np.ndarray) -> np.ndarray:
        """Returns H[π*(· | s)] `[N]`, nats."""
        log_mass = self.q(state, self._cells) / self.temperature
        log_mass -= _log_sum_exp(log_mass)[:, np.newaxis]
        return -np.sum(np.exp(log_mass) * log_mass, axis=1) + 2 * math.log(self._cell_width)

    def sample(self, state: np.ndarray, generator: np.random.Generator, num: int = 1) -> np.ndarray:
        """Draws actions `[N, num, 2]` from π*(· | s) of states `[N, 2]`.

        A cell of the grid of actions by its mass, a cell of that cell likewise, then a point of that.
        """
        action = np.empty((len(state), num, 2))
        for rows in _chunks(len(state), len(self._cells)):
            logits = self.q(state[rows], self._cells) / self.temperature
            action[rows] = self._cells[_draw(logits, generator.uniform(size=(len(logits), num)))]
        inside = self._cell_width / 2 * _cells(_SUBCELLS)
        for rows in _chunks(len(state), num * len(inside)):
            cells = action[rows].reshape(-1, 1, 2) + inside
            logits = self.q(np.repeat(state[rows], num, axis=0), cells) / self.temperature
            chosen = _draw(logits, generator.uniform(size=(len(cells), 1)))
            action[rows] = np.take_along_axis(cells, chosen[..., np.newaxis], 1).reshape(-1, num, 2)
        width = self._cell_width / _SUBCELLS
        return action + width * generator.uniform(-0.5, 0.5, action.shape)

    def act(self, generator: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        """Returns the function from observations `[N, 2]` to sampled actions `[N, 2]`."""
        return lambda observation: self.sample(np.asarray(observation, np.float64), generator)[:, 0]


def soft_value_iteration(
    task: MultiGoalTask,
    temperature: float,
    discount: float,
    num_states: int = 85,
    num_actions: int | None = None,
    tolerance: float = 1e-3,
    max_sweeps: int = 5000,
) -> SoftOptimum:
    """Returns the soft-optimal values of a task.

    Between nodes V is a weighted mean of the surrounding ones (bilinear; a node behind the wall has no
    weight), so that a sweep is a γ-contraction in the maximum norm: it converges from anywhere, to a V within
    γ/(1 − γ) of the last change. Integrals over actions are sums over the middles of equal cells.

    Args:
      task: The physics, `MultiGoal(...).task`.
      temperature: α > 0, reward per nat.
      discount: γ in [0, 1).
      num_states: Nodes in each direction, 85: a sixth of a unit apart.
      num_actions: Cells of the action box in each direction. By default as wide as the deviation
        √(α/(2·action_cost)) that a single step's cost leaves to a Gaussian, but 20 to 40 of them.
      tolerance: Sweeps end when none changes by more than (1 − γ)/γ of it, times max(1, α), or by more than
        rounding does.
      max_sweeps: They end here at the latest.

    Raises:
      ConfigurationError: If an argument breaks its rule.
    """
    from scipy import sparse

    _check(temperature, discount, num_states, num_actions)
    if num_actions is None:
        width = math.sqrt(temperature / (2 * max(task.action_cost, 1e-9)))
        num_actions = int(np.clip(math.ceil(2 / width), 20, 40))
    nodes = _nodes(task, num_states)
    states = grid_points(nodes)
    cells = _cells(num_actions)
    num_pairs = len(states) * len(cells)
    reward = np.empty(num_pairs, np.float32)
    columns, weights = np.empty((num_pairs, 4), np.int32), np.empty((num_pairs, 4), np.float32)
    for rows in _chunks(len(states), len(cells)):
        some = states[rows]
        step = task.transition(np.repeat(some, len(cells), axis=0), np.tile(cells, (len(some), 1)))
        pairs = slice(rows.start * len(cells), rows.start * len(cells) + len(step.reward))
        columns[pairs], weights[pairs] = _corners(task, num_states, step.state)
        weights[pairs] *= discount * ~step.terminated[:, np.newaxis]
        reward[pairs] = step.reward
    ends = np.arange(0, 4 * num_pairs + 1, 4, dtype=np.int32)
    shape = (num_pairs, len(states))
    successors = sparse.csr_matrix((weights.ravel(), columns.ravel(), ends), shape=shape)
    del columns, weights

    log_area = 2 * math.log(2 / num_actions)
    values = np.zeros(len(states))
    residual = np.inf
    for _ in range(max_sweeps):
        exponent = successors @ values.astype(np.float32)
        exponent += reward
        exponent /= np.float32(temperature)
        after = temperature * (_log_sum_exp(exponent.reshape(len(states), -1)) + log_area)
        residual = float(np.abs(after - values).max())
        values = after
        smallest = 8 * np.finfo(np.float32).eps * np.abs(values).max()
        if residual <= max(tolerance * max(1.0, temperature) * (1 - discount), smallest):
            break
    return SoftOptimum(
        task, temperature, discount, values.reshape(num_states, num_states), num_actions, residual
    )


def grid_points(nodes: np.ndarray) -> np.ndarray:
    """Returns all pairs `[n², 2]` of nodes `[n]`, of which the second runs faster."""
    return np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)


def _check(temperature: float, discount: float, num_states: int, num_actions: int | None) -> None:
    if not (np.isfinite(temperature) and temperature > 0):
        raise ConfigurationError(f"temperature must be positive and finite; got {temperature!r}.")
    if not 0 <= discount < 1:
        raise ConfigurationError(f"discount must be at least 0 and below 1; got {discount!r}.")
    if num_states < 2:
        raise ConfigurationError(f"num_states must be 2 or more; got {num_states!r}.")
    if num_actions is not None and num_actions < 1:
        raise ConfigurationError(f"num_actions must be 1 or more; got {num_actions!r}.")


def _nodes(task: MultiGoalTask, num: int) -> np.ndarray:
    return np.linspace(task.observation_space.low[0], task.observation_space.high[0], num, dtype=np.float64)


def _cells(num: int) -> np.ndarray:
    """Returns the middles `[num², 2]` of equal cells of [−1, 1]²."""
    return grid_points((2 * np.arange(num) + 1) / num - 1)


def _corners(task: MultiGoalTask, num: int, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nodes `[N, 4]` around points `[N, 2]`, as indices of the flat grid, and their weights."""
    low, high = float(task.observation_space.low[0]), float(task.observation_space.high[0])
    spacing = (high - low) / (num - 1)
    scaled = (point - low) / spacing
    first = np.clip(np.floor(scaled), 0, num - 2)
    fraction = scaled - first
    columns, weights = np.empty((len(point), 4), np.int32), np.empty((len(point), 4))
    for corner, (x, y) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        columns[:, corner] = (first[:, 0] + x) * num + first[:, 1] + y
        weights[:, corner] = np.abs(1 - x - fraction[:, 0]) * np.abs(1 - y - fraction[:, 1])
    if task.wall is not None:
        # Only near the wall does anything change; elsewhere there is nothing to look through.
        reach = 2 * spacing
        near = np.all((point > task.wall.min(0) - reach) & (point < task.wall.max(0) + reach), axis=1)
        shift = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
        nodes = low + spacing * (first[near][:, np.newaxis] + shift)
        seen = weights[near] * ~task.blocked(point[near][:, np.newaxis], nodes)
        total = seen.sum(axis=1, keepdims=True)
        weights[near] = np.where(total > 0, seen / np.where(total > 0, total, 1.0), weights[near])
    return columns, weights


def _chunks(num_rows: int, row_size: int) -> Iterator[slice]:
    size = max(1, _CHUNK // row_size)
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


def _log_sum_exp(exponent: np.ndarray) -> np.ndarray:
    """Returns log Σ exp over the last axis, in float64."""
    highest = exponent.max(axis=-1, keepdims=True)
    total = np.sum(np.exp(exponent - highest), axis=-1, dtype=np.float64)
    return np.log(total) + highest[..., 0].astype(np.float64)


def _draw(logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Returns indices `[N, K]` of categories drawn by logits `[N, M]` and uniform numbers `[N, K]`."""
    mass = np.exp(logits - logits.max(axis=1, keepdims=True))
    cumulated = np.cumsum(mass, axis=1)
    # Rows as one ascending sequence, so that one search serves all of them.
    ascending = cumulated / cumulated[:, -1:] + np.arange(len(mass))[:, np.newaxis]
    sought = uniform + np.arange(len(mass))[:, np.newaxis]
    index = np.searchsorted(ascending.ravel(), sought.ravel(), side="right").reshape(uniform.shape)
    first = mass.shape[1] * np.arange(len(mass))[:, np.newaxis]
    return np.clip(index - first, 0, mass.shape[1] - 1)
