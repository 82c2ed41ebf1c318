"""A vector environment of one's own inherits an honest answer to what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from expol_tf.environments import (
    GymnasiumEnvironment,
    VectorEnvironment,
    VectorStep,
    checked_reset,
    checked_step,
    load_vector,
)
from expol_tf.errors import CapabilityError, NonFiniteError, TaskError
from expol_tf.testing import check_environment
from tests.environments.tasks import make_with_both_ends


class Minimal(VectorEnvironment):
    """Only what every vector environment must have."""

    def __init__(self, seed: int = 0):
        self._inner = load_vector(make_with_both_ends, 2, seed)
        self.task, self.num_envs = "Minimal", 2
        self.observation_spec, self.action_spec = self._inner.observation_spec, self._inner.action_spec

    def reset(self) -> np.ndarray:
        return self._inner.reset()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        return self._inner.step(actions, active)

    def current_observation(self) -> np.ndarray:
        return self._inner.current_observation()


def test_what_it_does_not_define_is_refused_by_name():
    environment = Minimal()
    assert not environment.can_save_state and not GymnasiumEnvironment(environment).can_save_state
    for call in (environment.get_state, lambda: environment.set_state({}), environment.render):
        with pytest.raises(CapabilityError, match="Minimal of Minimal cannot .*sync"):
            call()
    environment.close()


def test_it_keeps_the_contract():
    check_environment(lambda seed: GymnasiumEnvironment(Minimal(seed)))


class Wrong(Minimal):
    """Returns what a test wants, or raises it."""

    def __init__(self, field, value):
        super().__init__()
        self._field, self._value = field, value

    def _answer(self, right):
        if isinstance(self._value, Exception):
            raise self._value
        return self._value(right)

    def reset(self) -> np.ndarray:
        observation = super().reset()
        return self._answer(observation) if self._field == "reset" else observation

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        step = super().step(actions, active)
        if self._field == "step":
            return self._answer(step)
        if self._field == "reset":
            return step
        return step._replace(**{self._field: self._answer(getattr(step, self._field))})


@pytest.mark.parametrize("through", ["functions", "GymnasiumEnvironment"])
@pytest.mark.parametrize(
    ("field", "value", "error", "words"),
    [
        (
            "reset",
            lambda right: None,
            TaskError,
            r"what reset\(\) returns must be .* shape \(2, 3\); got None",
        ),
        ("reset", lambda right: right[:, :1], TaskError, r"what reset\(\) returns must be .*got .*\(2, 1\)"),
        ("reset", lambda right: right * np.nan, NonFiniteError, "must be finite"),
        ("reset", ValueError("no"), TaskError, r"^Minimal: reset\(\) raised ValueError: no"),
        ("step", lambda right: None, TaskError, r"^Minimal: step\(\) must return a VectorStep; got None"),
        ("step", ValueError("no"), TaskError, r"^Minimal: step\(\) raised ValueError: no"),
        ("reward", lambda right: right[:, None], TaskError, r"the reward of step\(\) .*got .*\(2, 1\)"),
        ("reward", lambda right: right * np.inf, NonFiniteError, "reward of Minimal must be finite"),
        ("reward", lambda right: right.astype(np.float64), TaskError, "must be a NumPy array of float32"),
        ("terminated", lambda right: right[:1], TaskError, r"terminated of step\(\) .*got .*\(1,\)"),
        ("truncated", lambda right: None, TaskError, r"truncated of step\(\) .*got None"),
        ("next_observation", lambda right: right[0], TaskError, r"next_observation of step\(\) .*\(3,\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_fault_17_what_a_vector_environment_of_ones_own_returns(through, field, value, error, words):
    environment = Wrong(field, value)
    with pytest.raises(error, match=words):
        if through == "functions":
            checked_reset(environment)
            checked_step(environment, np.zeros((2, 2), np.float32))
        else:
            adapted = GymnasiumEnvironment(environment)
            adapted.reset()
            adapted.step(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize(
    ("task", "can_save"), [("Hopper-v5", True), ("expol/MultiGoal-v0", True), (make_with_both_ends, True)]
)
def test_the_adapted_environment_can_save_what_its_backend_can(task, can_save):
    vector = load_vector(task)
    assert isinstance(vector, VectorEnvironment)
    assert GymnasiumEnvironment(vector).can_save_state is vector.can_save_state is can_save
