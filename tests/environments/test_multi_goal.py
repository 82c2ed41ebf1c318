"""The multi-goal tasks: rewards, transitions and the wall against slow references, and wrong arguments."""

from __future__ import annotations

import math
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from expol_tf.environments import AsymmetricMultiGoal, MultiGoal, load_vector
from expol_tf.errors import ConfigurationError

FOUR, THREE = "expol/MultiGoal-v0", "expol/AsymmetricMultiGoal-v0"
TASKS = {FOUR: MultiGoal, THREE: AsymmetricMultiGoal}


def slow_touch(start, end, num=20_001):
    """Whether the way from start to end meets the wall from (−2, 0) to (0, 2): by walking along it."""
    share = np.linspace(0, 1, num)[:, np.newaxis]
    points = np.asarray(start) + share * (np.asarray(end) - np.asarray(start))
    along = np.clip((points[:, 0] + 2 + points[:, 1]) / 4, 0, 1)
    nearest = np.stack([-2 + 2 * along, 2 * along], axis=1)
    return np.linalg.norm(points - nearest, axis=1).min() < 1e-4


def slow_step(state, action, goals, threshold, wall=False, costs=(30.0, 1.0, 10.0)):
    after = [min(max(state[i] + action[i], -7.0), 7.0) for i in (0, 1)]
    hit = wall and slow_touch(state, after)
    if hit:
        after = list(state)
    distances = [math.dist(after, goal) for goal in goals]
    reached = min(distances) < threshold
    reward = -costs[0] * (action[0] ** 2 + action[1] ** 2) - costs[1] * min(distances) ** 2
    goal = distances.index(min(distances)) if reached else -1
    return after, reward + costs[2] * reached, reached, goal, hit


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("obstacle", [False, True])
def test_steps_equal_a_slow_reference(task, obstacle):
    goals = [(5, 0), (-5, 0), (0, 5), (0, -5)] if task == FOUR else [(5, 0), (-4, 3), (-4, -3)]
    threshold = 1.0 if task == FOUR else 0.5
    physics = TASKS[task](obstacle=obstacle).task
    generator = np.random.default_rng(0)
    state = generator.uniform(-7, 7, (400, 2))
    state[:200] = np.clip(generator.normal((-1, 1), 0.6, (200, 2)), -7, 7)
    action = generator.uniform(-1, 1, (400, 2))
    got = physics.transition(state, action)
    hits = reached = 0
    for i in range(400):
        after, reward, terminated, goal, hit = slow_step(state[i], action[i], goals, threshold, obstacle)
        np.testing.assert_allclose(got.state[i], after, atol=1e-12)
        assert got.reward[i] == pytest.approx(reward)
        found = got.terminated[i], got.info["goal"][i], got.info["hit_obstacle"][i]
        assert found == (terminated, goal, hit)
        hits += hit
        reached += terminated
    assert (hits > 20) == obstacle and hits < 200 and 3 < reached < 100


def test_an_episode_in_gymnasium_s_own_interface():
    env = gymnasium.make(FOUR)
    observation, info = env.reset(seed=3)
    assert info == {} and observation.dtype == np.float32 and 0 < np.linalg.norm(observation) < 0.5
    for _ in range(4):
        observation, reward, terminated, truncated, info = env.step(np.array([0.9, 0.0], np.float32))
        assert isinstance(reward, float) and not terminated and not truncated
        assert info == {"goal": -1, "hit_obstacle": False}
    observation, reward, terminated, truncated, info = env.step(np.array([5.0, 0.0], np.float32))
    assert terminated and not truncated and info["goal"] == 0 and info["hit_obstacle"] is False
    distance = np.linalg.norm(observation - [5, 0])
    assert reward == pytest.approx(-30 - distance**2 + 10, abs=1e-4)  # The action was clipped to 1.


def test_truncation_after_thirty_steps_or_as_told():
    for kwargs, length in (({}, 30), ({"max_episode_steps": 20}, 20)):
        env = gymnasium.make(THREE, **kwargs)
        observation, _ = env.reset(seed=1)
        np.testing.assert_array_equal(observation, [0, 0])
        ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(length)]
        assert ends == [(False, False)] * (length - 1) + [(False, True)]


def test_starts_are_normal_with_a_deviation_of_a_tenth():
    starts = load_vector(FOUR, 4000, 0).reset()
    np.testing.assert_allclose(starts.std(axis=0), 0.1, rtol=0.05)
    assert np.abs(starts.mean(axis=0)).max() < 0.01
    assert np.unique(starts, axis=0).shape == starts.shape


def test_costs_are_arguments():
    kwargs = {"action_cost": 2.0, "distance_cost": 0.5, "goal_reward": 100.0, "goal_threshold": 2.0}
    env = MultiGoal(goals=[(1.0, 1.0), (-3.0, 0.0)], initial_std=0.0, **kwargs)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(np.array([0.5, -0.25]))
    assert reward == pytest.approx(-2 * 0.3125 - 0.5 * (0.25 + 1.5625) + 100)
    assert terminated and info["goal"] == 0
    assert env.spec is None and MultiGoal(goal_threshold=0.2).task.goal_threshold == 0.2


@pytest.mark.parametrize(
    ("start", "end", "touches"),
    [
        ((-1.5, 1.5), (-0.5, 0.5), True),
        ((-0.5, 0.5), (-1.5, 1.5), True),
        ((-2.5, 0.0), (-2.0, 0.0), True),  # an end point
        ((-2.5, 0.0), (-2.01, 0.0), False),
        ((-3.0, -1.0), (-2.5, -0.5), False),  # on the wall's line, not on the wall
        ((-3.0, -1.0), (-1.9, 0.1), True),  # on the line and onto the wall
        ((0.5, 2.5), (0.1, 2.1), False),
        ((-1.0, 1.0), (-1.0, 1.0), True),  # standing on it
        ((-0.5, 0.5), (-0.5, 0.5), False),  # standing beside it
        ((-2.5, 0.5), (-2.0, 1.0), False),  # parallel
        ((-2.5, -0.6), (-1.6, -0.1), False),  # past its end
    ],
)
def test_what_touches_the_wall(start, end, touches):
    physics = MultiGoal(obstacle=True).task
    assert physics.blocked(np.array([start]), np.array([end])).tolist() == [touches]
    assert not MultiGoal().task.blocked(np.array([start]), np.array([end])).any()


def test_a_move_that_hits_the_wall_pays_and_stays():
    env = AsymmetricMultiGoal(obstacle=True)
    env.reset(seed=0)
    env.step(np.array([-0.8, 0.8]))
    observation, reward, terminated, _, info = env.step(np.array([-0.7, 0.7]))
    np.testing.assert_allclose(observation, [-0.8, 0.8])
    assert info["hit_obstacle"] is True and not terminated
    assert reward == pytest.approx(-30 * 0.98 - (3.2**2 + 2.2**2))
    vector = load_vector(THREE, 3, 0, make_kwargs={"obstacle": True})
    assert vector.info == {}
    vector.reset()
    vector.step(np.array([[-0.8, 0.8], [0.8, 0.0], [-0.5, 0.5]], np.float32))
    vector.step(np.array([[-0.7, 0.7]] * 3, np.float32))
    np.testing.assert_array_equal(vector.info["hit_obstacle"], [True, False, True])
    vector.step(np.array([[-0.7, 0.7]] * 3, np.float32), np.array([False, True, True]))
    np.testing.assert_array_equal(vector.info["hit_obstacle"], [False, False, True])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
@pytest.mark.parametrize("obstacle", [False, True])
def test_gymnasium_s_own_check_finds_nothing(task, render_mode, obstacle):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(task, render_mode=render_mode, obstacle=obstacle).unwrapped)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"goals": []}, r"goals must be points, of shape"),
        ({"goals": (5.0, 0.0)}, r"goals must be points, of shape"),
        ({"goals": [(5.0, 9.0)]}, r"goals must lie in the plane \[-7, 7\]²; got \[\[5.0, 9.0\]\]"),
        ({"goals": [(5.0, np.nan)]}, r"goals must lie in the plane"),
        ({"goals": "left"}, r"goals must be an array of points; got 'left'"),
        ({"initial_std": -0.1}, r"initial_std must be finite and at least 0; got -0.1"),
        ({"goal_threshold": 0}, r"goal_threshold must be finite and above 0; got 0"),
        ({"action_cost": -1}, r"action_cost must be finite and at least 0"),
        ({"action_cost": None}, r"action_cost must be a number"),
        ({"distance_cost": np.inf}, r"distance_cost must be finite"),
        ({"goal_reward": np.nan}, r"goal_reward must be finite; got nan"),
        ({"obstacle": "yes"}, r"obstacle must be True or False; got 'yes'"),
        ({"render_mode": "ansi"}, r"render_mode must be None or \"rgb_array\""),
        ({"threshold": 1.0}, r"does not take make_kwargs"),
    ],
)
@pytest.mark.parametrize("task", TASKS)
def test_wrong_arguments_are_named(task, kwargs, message):
    with pytest.raises(ConfigurationError, match=message):
        load_vector(task, make_kwargs=kwargs)


def test_pictures_show_trajectories_goals_and_the_wall():
    pictures = {}
    for obstacle in (False, True):
        env = AsymmetricMultiGoal(obstacle=obstacle, render_mode="rgb_array")
        env.reset(seed=0)
        pictures[obstacle] = env.render()
        assert pictures[obstacle].shape == (480, 480, 3)
    assert (pictures[False] != pictures[True]).any()
    for _ in range(2):
        env.reset(seed=0)
        env.step(np.array([0.5, 0.5]))
    assert (env.render() != pictures[True]).any()
    flat = MultiGoal(distance_cost=0.0, render_mode="rgb_array")  # Nothing to draw contours of.
    flat.reset(seed=0)
    assert flat.render().std() > 1
