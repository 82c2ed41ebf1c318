"""Which spaces are accepted, and that every refusal names the space and the remedy."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from expol_tf.environments import load_vector
from expol_tf.errors import SpaceError
from tests.environments.tasks import CountingTask

BOX = spaces.Box(-1, 1, (2,), np.float32)


@pytest.mark.parametrize(
    ("space", "rule"),
    [
        (spaces.Discrete(3), "continuous actions"),
        (spaces.MultiDiscrete([2, 3]), "continuous actions"),
        (spaces.MultiBinary(2), "continuous actions"),
        (spaces.Dict({"left": BOX, "right": BOX}), "Nested"),
        (spaces.Tuple((BOX, BOX)), "Nested"),
        (spaces.Text(4), "Text"),
        (spaces.Box(0, 5, (2,), np.int64), "int64"),
        (spaces.Box(-1, 1, (2, 2), np.float32), "rank is 2"),
        (spaces.Box(-1, 1, (), np.float32), "rank is 0"),
        (spaces.Box(-1, 1, (0,), np.float32), "empty"),
        (
            spaces.Box(np.array([-1, 2], np.float32), np.array([1, 2], np.float32)),
            "low == high in component 1",
        ),
        (spaces.Box(-np.inf, np.inf, (2,), np.float32), "finite bounds"),
        (spaces.Box(np.float32([-1, 0]), np.float32([1, np.inf])), "finite bounds"),
    ],
)
def test_unsupported_action_spaces_are_named(space, rule):
    with pytest.raises(SpaceError, match=rule) as caught:
        load_vector(lambda: CountingTask(action_space=space))
    assert "action" in str(caught.value) and str(space) in str(caught.value)


@pytest.mark.parametrize(
    ("space", "rule"),
    [
        (spaces.Discrete(3), "continuous observations"),
        (spaces.Dict({"a": BOX, "b": BOX}), "gymnasium.wrappers.FlattenObservation"),
        (spaces.Tuple((BOX, BOX)), "gymnasium.wrappers.FlattenObservation"),
        (spaces.Dict({"a": spaces.Graph(BOX, None)}), "Nested"),
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), "uint8"),
        (spaces.Box(-1, 1, (2, 2), np.float64), "gymnasium.wrappers.FlattenObservation"),
        (spaces.Box(-1, 1, (0,), np.float32), "empty"),
    ],
)
def test_unsupported_observation_spaces_are_named(space, rule):
    with pytest.raises(SpaceError, match=rule) as caught:
        load_vector(lambda: CountingTask(observation_space=space))
    assert "observation" in str(caught.value) and str(space) in str(caught.value)


class NestedTask(CountingTask):
    def __init__(self):
        super().__init__(observation_space=spaces.Dict({"a": BOX, "b": BOX}))

    def _observe(self, action):
        return {"a": np.array([self.count, action], np.float32), "b": np.full(2, 0.5, np.float32)}

    def step(self, action):
        self.count += 1
        return self._observe(action[0]), 1.0, False, False, {}


def test_the_remedy_for_nested_observations_works():
    environment = load_vector(NestedTask, wrappers=(gymnasium.wrappers.FlattenObservation,))
    environment.reset()
    step = environment.step(np.array([[0.25, 0]]))
    np.testing.assert_array_equal(step.observation, [[1, 0.25, 0.5, 0.5]])


def test_the_discrete_task_of_the_tutorials_is_refused():
    with pytest.raises(SpaceError, match=r"CartPole-v1.*Discrete\(2\)"):
        load_vector("CartPole-v1")


def test_specs_are_float32_with_the_space_s_bounds():
    low, high = np.array([-np.inf, 0.0, -2.0]), np.array([np.inf, 0.1, 1e300])
    observations = spaces.Box(low, high, dtype=np.float64)
    environment = load_vector(lambda: CountingTask(observation_space=observations))
    spec = environment.observation_spec
    assert spec.dtype == np.float32 and spec.shape == (3,)
    limit = np.finfo(np.float32).max
    np.testing.assert_array_equal(spec.minimum, np.float32([-limit, 0, -2]))
    np.testing.assert_array_equal(spec.maximum, np.float32([limit, 0.1, limit]))
    assert environment.action_spec.dtype == np.float32
    np.testing.assert_array_equal(environment.action_spec.minimum, [-1, -1])


@pytest.mark.parametrize(
    "box",
    [
        spaces.Box(0, 1, (2,), np.float32),
        spaces.Box(-1000, 1000, (2,), np.float32),
        # 0.1 lies between two float32 numbers.
        spaces.Box(np.array([-0.1, 5.0]), np.array([0.1, 7.3]), dtype=np.float64),
        spaces.Box(np.float32([-3, -0.5]), np.float32([-2, 10])),
    ],
)
def test_actions_are_clipped_to_any_finite_box_before_the_task_sees_them(box):
    task = CountingTask(action_space=box)
    environment = load_vector(task)
    environment.reset()
    given = [[1e9, -1e9], [np.inf, -np.inf], box.low, box.high, (box.low + box.high) / 2]
    for action in given:
        environment.step(np.array([action], np.float32))
    for action, seen in zip(given, task.actions, strict=True):
        assert seen.dtype == box.dtype and box.contains(seen)
        np.testing.assert_array_equal(seen, np.clip(np.float32(action).astype(box.dtype), box.low, box.high))


def test_a_task_may_keep_the_actions_it_was_given():
    task = CountingTask()
    environment = load_vector(task)
    environment.reset()
    for value in (0.25, 0.5):
        environment.step(np.full((1, 2), value, np.float32))
    np.testing.assert_array_equal(task.actions, [[0.25, 0.25], [0.5, 0.5]])


def _without_low(box):
    box.low = None
    return box


def _with_nan(box):
    box.high[1] = np.nan
    return box


@pytest.mark.parametrize("which", ["action", "observation"])
@pytest.mark.parametrize(
    ("change", "rule"), [(_without_low, "must have bounds low and high"), (_with_nan, "component 1 is NaN")]
)
def test_fault_17_boxes_whose_bounds_are_no_bounds(which, change, rule):
    box = change(spaces.Box(-1, 1, (2,), np.float32))
    with pytest.raises(SpaceError, match=f"The {which} space of CountingTask .*{rule}"):
        load_vector(lambda: CountingTask(**{f"{which}_space": box}))
