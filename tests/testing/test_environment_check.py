"""A broken environment does not pass, and the message says why."""

from __future__ import annotations

import numpy as np
import pytest
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.environments import load
from expol_tf.errors import TaskError
from expol_tf.testing import check_environment
from tests.environments.tasks import CountingTask

LENGTH = 7


class Right(py_environment.PyEnvironment):
    """Two copies of a task of LENGTH steps that end in turn in a terminal state and in a time limit."""

    can_save_state = True

    def __init__(self, seed):
        super().__init__()
        self._generator = np.random.default_rng(seed)
        self._observation = np.zeros([2, 3], np.float32)

    @property
    def batched(self):
        return True

    @property
    def batch_size(self):
        return 2

    def observation_spec(self):
        return array_spec.ArraySpec([3], np.float32)

    def action_spec(self):
        return array_spec.BoundedArraySpec([1], np.float32, -2.0, 1.0)

    def _observe(self, action):
        self._observation = self._generator.normal(size=[2, 3]).astype(np.float32)
        self._observation[:, :1] += np.clip(action, -2, 1)
        return self._observation

    def _reset(self):
        self._count = np.array([0, 3])
        return ts.restart(self._observe(np.zeros([2, 1])), batch_size=2)

    def _step(self, action):
        starting = self._count == LENGTH
        self._count = np.where(starting, 0, self._count + 1)
        ending = self._count == LENGTH
        terminated = ending & (np.arange(2) == 0)
        observation = self._observe(np.where(starting[:, np.newaxis], 0, action))
        step_type = np.where(starting, ts.StepType.FIRST, np.where(ending, ts.StepType.LAST, ts.StepType.MID))
        reward = np.where(starting, 0, observation[:, 0]).astype(np.float32)
        return ts.TimeStep(
            step_type.astype(np.int32), reward, np.where(terminated, 0, 1).astype(np.float32), observation
        )

    def get_state(self):
        state = self._generator.bit_generator.state["state"]
        words = [state[name] >> shift & (2**64 - 1) for name in ("state", "inc") for shift in (0, 64)]
        return {"count": self._count.copy(), "generator": np.array(words, np.uint64)}

    def set_state(self, state):
        self._count = state["count"].copy()
        low, high, inc_low, inc_high = (int(word) for word in state["generator"])
        full = self._generator.bit_generator.state
        full["state"] = {"state": low | high << 64, "inc": inc_low | inc_high << 64}
        self._generator.bit_generator.state = full


class ReusesItsBuffer(Right):
    def _observe(self, action):
        np.copyto(self._observation, super()._observe(action).copy())
        ReusesItsBuffer.buffer = getattr(ReusesItsBuffer, "buffer", np.zeros([2, 3], np.float32))
        np.copyto(ReusesItsBuffer.buffer, self._observation)
        return ReusesItsBuffer.buffer


class StartsAtOnce(Right):
    def _step(self, action):
        step = super()._step(action)
        return step._replace(
            step_type=np.where(step.is_first(), ts.StepType.MID, step.step_type).astype(np.int32)
        )


class RewardsTheStart(Right):
    def _step(self, action):
        step = super()._step(action)
        return step._replace(reward=step.reward + 1)


class Discounts(Right):
    def _step(self, action):
        step = super()._step(action)
        return step._replace(discount=np.where(step.is_mid(), np.float32(0.99), step.discount))


class ZeroDiscountInTheMiddle(Right):
    def _step(self, action):
        step = super()._step(action)
        return step._replace(discount=np.where(step.is_mid(), np.float32(0), step.discount))


class NotFinite(Right):
    def _observe(self, action):
        return super()._observe(action) / np.float32(0)


class Unseeded(Right):
    def __init__(self, seed):
        super().__init__(None)


class TakesBoundaryActions(Right):
    def _step(self, action):
        starting = self._count == LENGTH
        step = super()._step(action)
        step.observation[starting, :1] += np.clip(action[starting], -2, 1)
        return step


class DoesNotClip(Right):
    def _step(self, action):
        step = super()._step(action)
        step.observation[~step.is_first(), 1:2] += action[~step.is_first()]
        return step


class NeverEnds(Right):
    def _step(self, action):
        self._count[:] = 1
        return super()._step(action)


class OtherDtype(Right):
    def _step(self, action):
        step = super()._step(action)
        return step._replace(observation=step.observation.astype(np.float64))


class ForgetsItsGenerator(Right):
    def set_state(self, state):
        self._count = state["count"].copy()


class PicklesItsState(Right):
    def get_state(self):
        return {**super().get_state(), "object": np.array(self._generator)}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (ReusesItsBuffer, "must not change after they were returned"),
        (StartsAtOnce, "FIRST must follow LAST"),
        (RewardsTheStart, "FIRST must have reward 0"),
        (Discounts, "agents multiply by γ"),
        (ZeroDiscountInTheMiddle, "Only a LAST step"),
        (NotFinite, "observations must be finite"),
        (Unseeded, "same seed and actions"),
        (TakesBoundaryActions, "must ignore its action"),
        (DoesNotClip, "must be clipped"),
        (NeverEnds, "No episode ended within 50 steps"),
        (OtherDtype, "validate_py_environment"),
        (ForgetsItsGenerator, "After set_state"),
        (PicklesItsState, "without pickle"),
        (lambda seed: None, "batched PyEnvironment"),
    ],
)
def test_a_broken_environment_is_found(make, words):
    with np.errstate(divide="ignore"), pytest.raises(AssertionError, match=words):
        check_environment(make)


class Fails(Right):
    """Does in its `where` what a test wants."""

    where, what = "_step", None

    def _do(self, where, right):
        if self.where != where:
            return right()
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what(right()) if callable(self.what) else self.what

    def _step(self, action):
        return self._do("_step", lambda: super(Fails, self)._step(action))

    def _reset(self):
        return self._do("_reset", super()._reset)

    def close(self):
        return self._do("close", super().close)

    def get_state(self):
        return self._do("get_state", super().get_state)


@pytest.mark.parametrize(
    ("where", "what", "words"),
    [
        ("_reset", ValueError("no"), r"^Fails: reset\(\) raised ValueError: no"),
        ("_reset", SystemExit(0), r"^Fails: reset\(\) called sys\.exit\(0\)"),
        ("_reset", "abc", r"^Fails: reset\(\) must return a TimeStep; got str"),
        ("_step", ValueError("no"), r"^Fails, step 1: step\(\) raised ValueError: no"),
        ("_step", None, r"^Fails, step 1: step\(\) must return a TimeStep; got NoneType"),
        ("close", ValueError("no"), r"^Fails: close\(\) raised ValueError: no"),
        ("get_state", ValueError("no"), r"^Fails: get_state\(\) raised ValueError: no"),
        (
            "_step",
            lambda step: step._replace(reward=step.reward[:, np.newaxis]),
            r"the reward that step\(\) returns must be .*shape \(2,\); got an array of shape \(2, 1\)",
        ),
        (
            "_step",
            lambda step: step._replace(observation=step.observation[:, :1]),
            r"the observation that step\(\) returns must be .*shape \(2, 3\); got an array of shape \(2, 1\)",
        ),
        ("_step", lambda step: step._replace(discount=None), r"the discount that .*got None"),
        ("_reset", lambda step: step._replace(reward=np.array(["a", "b"])), r"the reward that .*dtype <U1"),
    ],
)
def test_fault_17_what_a_py_environment_does(where, what, words):
    class Task(Fails):
        pass

    Task.__name__, Task.where, Task.what = "Fails", where, staticmethod(what) if callable(what) else what
    with pytest.raises(AssertionError, match=words):
        check_environment(Task)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ((np.zeros(3), 1.0, None, False, {}), "terminated, which .* True or False; got None"),
        (
            (np.zeros(1), 1.0, False, False, {}),
            r"an array of real numbers of shape \(3,\), as .*shape \(1,\)",
        ),
        ((np.zeros(3), "a", False, False, {}), "the reward that .* a real number; got the str 'a'"),
        ((np.zeros(3), 1.0, False, {}), "five values.*got 4"),
        (ZeroDivisionError(), r"step\(\) raised ZeroDivisionError"),
    ],
)
def test_fault_17_the_check_says_what_a_run_says(result, words):
    class Task(CountingTask):
        def step(self, action):
            if isinstance(result, Exception):
                raise result
            return result

    with pytest.raises(AssertionError, match=f"^Task, sub-environment 0, step 1: .*{words}") as caught:
        check_environment(lambda seed: load(Task, 2, seed))
    environment = load(Task, 2, 0)
    environment.reset()
    with pytest.raises(TaskError) as raised:
        environment.step(np.zeros((2, 2), np.float32))
    assert str(caught.value) == str(raised.value)


def test_a_right_environment_passes():
    check_environment(Right)
