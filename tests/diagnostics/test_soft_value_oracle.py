"""The oracle of the tasks with several goals: worlds with known answers, a brute-force reference, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate

from expol_tf.diagnostics import episode_numbers, rollouts, soft_value_iteration
from expol_tf.environments import AsymmetricMultiGoal, MultiGoal
from expol_tf.errors import ConfigurationError

# Where no grid's move leads.
GOAL = np.array([0.0137, -0.0071])


def one_goal(**kwargs):
    """Moves cost 30 and being away from the goal 4 times the square; it is as good as never met."""
    arguments = {"goals": [GOAL], "goal_threshold": 1e-9, "distance_cost": 4.0, "goal_reward": 0.0}
    return MultiGoal(**{**arguments, **kwargs}).task


def linear_quadratic(temperature, discount, action_cost=30.0, distance_cost=4.0):
    """V(s) = −p‖s − g‖² + v where the box binds nowhere: the scalar Riccati equation by iteration."""
    p = v = 0.0
    for _ in range(2000):
        inside = distance_cost + discount * p
        p, v = (
            action_cost * inside / (action_cost + inside),
            temperature * math.log(math.pi * temperature / (action_cost + inside)) + discount * v,
        )
    return p, v


def test_one_goal_has_a_closed_form():
    temperature, discount = 2.0, 0.7
    p, v = linear_quadratic(temperature, discount)
    points = np.array([[0.0, 0.0], [0.4, -0.3], [-1.0, 0.7], [1.3, 1.1]])
    expected = v - p * np.square(points - GOAL).sum(axis=1)
    errors = []
    for num_states in (29, 57, 113):
        optimum = soft_value_iteration(one_goal(), temperature, discount, num_states, 20)
        errors.append(np.abs(optimum.value(points) - expected).max())
    # The error of interpolation falls with the square of the spacing.
    assert errors[2] < 0.1 and 3 < errors[0] / errors[1] < 5 and 3 < errors[1] / errors[2] < 5


def test_the_density_is_the_gaussian_of_one_step():
    task = one_goal(distance_cost=1.0)
    optimum = soft_value_iteration(task, 2.0, 0.0)  # Nothing after the first step counts.
    state = np.array([[3.0, -2.0], [0.0, 0.0]])
    actions = np.random.default_rng(0).uniform(-1, 1, (200, 2))

    def reward(action, where):
        return -30 * np.square(action).sum(-1) - np.square(where + action - GOAL).sum(-1)

    for row, where in enumerate(state):
        total, _ = scipy.integrate.dblquad(
            lambda y, x, where=where: math.exp(reward(np.array([x, y]), where) / 2.0), -1, 1, -1, 1
        )
        expected = reward(actions, where) / 2.0 - math.log(total)
        np.testing.assert_allclose(optimum.log_density(state, actions)[row], expected, atol=1e-4)
        assert optimum.value(state)[row] == pytest.approx(2.0 * math.log(total), abs=1e-4)
    drawn = optimum.sample(state, np.random.default_rng(1), 20_000)
    # N((g − s)/31, 2/(2·31)) hardly notices the box.
    np.testing.assert_allclose(drawn.mean(axis=1), (GOAL - state) / 31, atol=0.005)
    np.testing.assert_allclose(drawn.var(axis=1), 1 / 31, rtol=0.04)
    assert optimum.entropy(state) == pytest.approx([math.log(2 * math.pi * math.e / 31)] * 2, abs=0.01)


def brute_force(task, temperature, discount, num_states, num_actions, sweeps):
    """The same finite problem by loops."""
    nodes = np.linspace(-7, 7, num_states)
    cells = [(2 * i + 1) / num_actions - 1 for i in range(num_actions)]
    values = np.zeros((num_states, num_states))

    def interpolated(x, y):
        i = min(int((x + 7) / (nodes[1] - nodes[0])), num_states - 2)
        j = min(int((y + 7) / (nodes[1] - nodes[0])), num_states - 2)
        u, w = (x - nodes[i]) / (nodes[1] - nodes[0]), (y - nodes[j]) / (nodes[1] - nodes[0])
        top = values[i, j] * (1 - w) + values[i, j + 1] * w
        return top * (1 - u) + (values[i + 1, j] * (1 - w) + values[i + 1, j + 1] * w) * u

    for _ in range(sweeps):
        after = np.empty_like(values)
        for i, x in enumerate(nodes):
            for j, y in enumerate(nodes):
                total = 0.0
                for a in cells:
                    for b in cells:
                        step = task.transition(np.array([[x, y]]), np.array([[a, b]]))
                        q = step.reward[0]
                        if not step.terminated[0]:
                            q += discount * interpolated(*step.state[0])
                        total += math.exp(q / temperature) * (2 / num_actions) ** 2
                after[i, j] = temperature * math.log(total)
        values = after
    return values


def test_a_tiny_world_by_brute_force():
    task = MultiGoal(goals=[(4.0, 1.0), (-5.0, 0.0)], goal_threshold=1.5, distance_cost=0.3).task
    expected = brute_force(task, 8.0, 0.7, 8, 4, 12)
    optimum = soft_value_iteration(task, 8.0, 0.7, 8, 4, max_sweeps=12)
    np.testing.assert_allclose(optimum.values, expected, rtol=1e-5)


def test_finer_grids_agree():
    task = AsymmetricMultiGoal().task
    points = np.array([[0.0, 0.0], [2.5, 2.5], [-2.5, 0.1], [4.0, -0.2]])
    found = [
        soft_value_iteration(task, 5.0, 0.8, num_states, num_actions).value(points)
        for num_states, num_actions in ((43, 16), (57, 20), (85, 24))
    ]
    coarse, middle, fine = (each / 5.0 for each in found)  # in units of the temperature
    assert np.abs(middle - fine).max() < 0.03 and np.abs(middle - fine).max() < np.abs(coarse - fine).max()


def test_a_high_temperature_gives_uniform_actions():
    # Where an end can be reached it cannot be so: with the episode all entropy to come would end.
    optimum = soft_value_iteration(one_goal(), 1e5, 0.9, 29, 20)
    state = np.array([[0.0, 0.0], [2.0, -3.0]])
    assert optimum.entropy(state) == pytest.approx([math.log(4)] * 2, abs=1e-4)
    drawn = optimum.sample(state, np.random.default_rng(0), 4000)
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=0.04)
    np.testing.assert_allclose(drawn.var(axis=1), 1 / 3, rtol=0.05)
    assert np.abs(drawn).max() <= 1


@pytest.mark.slow
def test_four_equal_goals_are_reached_equally_often():
    task = MultiGoal().task
    optimum = soft_value_iteration(task, 10.0, 0.99, 57, 14)
    episodes = rollouts(task, optimum.act(np.random.default_rng(0)), 10_000, 0)
    numbers = episode_numbers(episodes, 4)
    assert numbers.any_goal > 0.995
    assert np.all((numbers.goal_shares > 0.24) & (numbers.goal_shares < 0.26))
    # The value is the expected soft return, but for what is cut off and the entropy's part.
    entropies = optimum.entropy(episodes.visited()[0][:2000])
    assert 0.5 < entropies.mean() < math.log(4)


def test_values_are_the_soft_returns_of_the_samples():
    """V*(s₀) = E Σ γᵗ (rₜ + α H[π*(·|sₜ)]) along its own episodes, if none is cut off."""
    task, temperature, discount = AsymmetricMultiGoal().task, 2.0, 0.8
    optimum = soft_value_iteration(task, temperature, discount, 57, 20)
    episodes = rollouts(task, optimum.act(np.random.default_rng(1)), 400, 0, max_steps=60)
    total = np.zeros(400)
    for t in range(60):
        rows = np.isfinite(episodes.actions[:, t, 0])
        if not rows.any():
            break
        state, action = episodes.states[rows, t], episodes.actions[rows, t]
        reward = task.transition(state, action).reward
        total[rows] += discount**t * (reward + temperature * optimum.entropy(state))
    expected = optimum.value(np.zeros((1, 2)))[0]
    assert total.mean() == pytest.approx(expected, abs=5 * total.std() / 20 + 0.15)


def test_the_wall_is_walked_around():
    free, walled = AsymmetricMultiGoal().task, AsymmetricMultiGoal(obstacle=True).task
    optima = {task: soft_value_iteration(task, 2.0, 0.8, 57, 20) for task in (free, walled)}
    before, behind = np.array([[-0.8, 0.8]]), np.array([[-1.6, 1.4]])
    # The wall costs much in front of it, nothing behind it: V leaks through it nowhere.
    assert optima[free].value(before)[0] - optima[walled].value(before)[0] > 5
    assert optima[free].value(behind)[0] - optima[walled].value(behind)[0] < 0.5
    ignorant = rollouts(walled, optima[free].act(np.random.default_rng(0)), 300, 0)
    knowing = rollouts(walled, optima[walled].act(np.random.default_rng(0)), 300, 0)
    assert episode_numbers(knowing, 3).any_goal > 0.97
    assert episode_numbers(ignorant, 3).any_goal < 0.85
    assert episode_numbers(ignorant, 3).hit_share > 0.2 > episode_numbers(knowing, 3).hit_share


def test_episodes_are_seeded_and_end_as_the_task_s_own():
    task = MultiGoal().task
    first, again, other = (
        rollouts(task, lambda o: np.tile([[2.0, 0.0]], (len(o), 1)), 50, seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.states, again.states)
    assert (first.states[:, 0] != other.states[:, 0]).all()
    assert set(first.goal) <= {-1, 0} and (first.actions[:, 0] == [1.0, 0.0]).all()
    reached = first.goal == 0
    assert reached.mean() > 0.9 and set(first.lengths[reached]) <= {4, 5}
    for e in range(5):
        length = first.lengths[e]
        assert (
            np.isfinite(first.states[e, : length + 1]).all() and np.isnan(first.states[e, length + 1 :]).all()
        )
        steps = task.transition(first.states[e, :length], first.actions[e, :length])
        assert first.returns[e] == pytest.approx(steps.reward.sum())
    states, actions = first.visited()
    assert len(states) == len(actions) == first.lengths.sum()
    still = rollouts(task, lambda o: np.zeros_like(o), 5, 0, max_steps=7)
    assert (still.lengths == 7).all() and (still.goal == -1).all()
    numbers = episode_numbers(still, 4)
    assert numbers.any_goal == 0 and math.isnan(numbers.success_after_hit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.9), "temperature must be positive and finite; got 0.0"),
        ((1.0, 1.0), "discount must be at least 0 and below 1; got 1.0"),
        ((1.0, 0.9, 1), "num_states must be 2 or more"),
        ((1.0, 0.9, 9, 0), "num_actions must be 1 or more"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        soft_value_iteration(MultiGoal().task, *arguments)
    with pytest.raises(ConfigurationError, match="num_episodes and max_steps"):
        rollouts(MultiGoal().task, np.zeros_like, 0, 0)
