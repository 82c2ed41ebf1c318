"""Reference returns, and the range that stands in for them."""

from __future__ import annotations

import pathlib
import re

import gymnasium
import numpy as np
import pytest

import expol_tf
from expol_tf.reports.normalization import REFERENCES, normalization


def test_a_known_task_has_its_reference():
    known = REFERENCES["Hopper"]
    returns = np.array([1.0, 2.0])
    for task, random in (("Hopper-v4", known.random_v4), ("module:Hopper-v5", known.random_v5)):
        found = normalization(task, returns)
        assert found(np.array([random, known.reference])).tolist() == [0.0, 1.0]
        assert "random" in found.source and "SAC" in found.source


@pytest.mark.parametrize("task", ["expol/MultiGoal-v0", "Hopper-v4 [{'max_episode_steps': 20}]"])
def test_another_task_has_its_own_range(task):
    found = normalization(task, np.array([5.0, -5.0, 15.0]))
    assert found(np.array([-5.0, 5.0, 15.0])).tolist() == [0.0, 0.5, 1.0]
    assert "no reference" in found.source


def test_equal_returns_are_no_division_by_zero():
    assert normalization("Own-v0", np.array([3.0, 3.0]))(np.array(3.0)) == 0.0


@pytest.mark.parametrize(("task", "episodes"), [("Hopper-v5", 100), ("InvertedDoublePendulum-v4", 100)])
def test_random_returns_are_as_recorded(task, episodes):
    env = gymnasium.make(task)
    env.action_space.seed(1)
    returns = []
    for episode in range(episodes):
        env.reset(seed=1000 + episode)
        total, done = 0.0, False
        while not done:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    recorded = normalization(task, np.zeros(1)).zero
    # Both are means of 100 episodes.
    assert abs(np.mean(returns) - recorded) < 4 * np.sqrt(2) * np.std(returns) / np.sqrt(episodes)


def test_the_page_has_the_same_references():
    page = pathlib.Path(expol_tf.__file__).absolute().parents[1] / "docs" / "reports.md"
    text = page.read_text().replace("\u2212", "-")
    rows = re.findall(r"^ +\| (\w+) \| ([-\d.]+) \| ([-\d.]+) \| ([-\d.]+) \|$", text, re.MULTILINE)
    assert {name: tuple(map(float, numbers)) for name, *numbers in rows} == {
        name: tuple(known[:3]) for name, known in REFERENCES.items()
    }
