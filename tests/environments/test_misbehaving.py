"""Environments that raise or return something wrong: one message that says which, in what call, and when."""

from __future__ import annotations

import pathlib
import sys
import traceback

import gin
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from expol_tf.cli.programs import error_message
from expol_tf.environments import (
    ArrayTaskEnv,
    ArrayVectorEnvironment,
    GymnasiumEnvironment,
    SyncVectorEnvironment,
    Transition,
    load,
    load_vector,
)
from expol_tf.errors import ConfigurationError, ExpolError, TaskError
from tests.environments.tasks import ACTIONS, OBSERVATIONS, CountingTask, SavableCountingTask

GOOD = np.array([1.0, 2.0, 3.0])
EXPECTED = r"an array of real numbers of shape \(3,\)"


class Misbehaving(gymnasium.Env):
    """Does everything right, but for what a test replaces."""

    observation_space = OBSERVATIONS
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return GOOD.copy(), {}

    def step(self, action):
        return GOOD.copy(), 1.0, False, False, {}


def returning(result, at=1, num_envs=2):
    """Sub-environments of which the last one's step number `at` returns `result`."""

    class Task(Misbehaving):
        def reset(self, *, seed=None, options=None):
            self.count = 0
            return super().reset(seed=seed)

        def step(self, action):
            self.count += 1
            return result if self.count == at and self.wrong else super().step(action)

    envs = [Task() for _ in range(num_envs)]
    for i, env in enumerate(envs):
        env.wrong = i == num_envs - 1
    return SyncVectorEnvironment(envs, seed=0)


def require_one_line(error_info):
    # gin appends a line that programs leave out.
    assert len(error_message(error_info.value).splitlines()) == 1, "one message"


OBSERVED = {
    "None": (None, "got None"),
    "a string": ("abc", "got the str 'abc'"),
    "text that is a number": ("1.5", "got the str '1.5'"),
    "texts": (np.array(["1", "2", "3"]), "dtype <U1"),
    "complex": (GOOD.astype(complex), "dtype complex128"),
    "masked": (np.ma.masked_array(GOOD, [0, 1, 0]), "got a masked array"),
    "a dictionary": ({"position": GOOD}, "got the dict {'position'"),
    "rank 2": (GOOD[np.newaxis], r"got an array of shape \(1, 3\)"),
    "a column": (GOOD[:, np.newaxis], r"got an array of shape \(3, 1\)"),
    "a scalar": (1.0, "got the float 1.0"),
    "rank 0": (np.array(1.0), r"got an array of shape \(\)"),
    "shape (1,)": (np.ones(1), r"got an array of shape \(1,\)"),
    "shape (4,)": (np.ones(4), r"got an array of shape \(4,\)"),
    "objects": (np.array([1.0, 2.0, None]), "dtype object"),
    "a ragged list": ([[1.0], [1.0, 2.0], 3.0], "got the list"),
    "dates": (np.zeros(3, "datetime64[s]"), "dtype datetime64"),
}


@pytest.mark.parametrize(("value", "got"), OBSERVED.values(), ids=OBSERVED)
def test_fault_17_observation_of_a_step(value, got):
    environment = returning((value, 1.0, False, False, {}), at=3)
    environment.reset()
    environment.step(np.zeros((2, 2)))
    environment.step(np.zeros((2, 2)))
    pattern = (
        rf"^Task, sub-environment 1, step 3: the observation that step\(\) returns must be {EXPECTED}.*{got}"
    )
    with pytest.raises(TaskError, match=pattern) as caught:
        environment.step(np.zeros((2, 2)))
    require_one_line(caught)


@pytest.mark.parametrize(("value", "got"), OBSERVED.values(), ids=OBSERVED)
def test_fault_17_observation_of_a_reset(value, got):
    class Task(Misbehaving):
        def reset(self, *, seed=None, options=None):
            return value, {}

    pattern = (
        rf"^Task, sub-environment 0, first reset: the observation that reset\(\) returns .*{EXPECTED}.*{got}"
    )
    with pytest.raises(TaskError, match=pattern) as caught:
        load_vector(Task, 2).reset()
    require_one_line(caught)


@pytest.mark.parametrize("name", ["terminated", "truncated"])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "got None"),
        ("no", "got the str 'no'"),
        (np.nan, "got the float nan"),
        (0.0, "got the float 0.0"),
        (2, "got the int 2"),
        (np.array([True, False]), r"got an array of shape \(2,\)"),
        (np.array([True]), r"got an array of shape \(1,\) and dtype bool.*\.item\(\)"),
        ([], "got an array of shape"),
        ({}, "got the dict"),
    ],
)
def test_fault_17_terminated(name, value, got):
    flags = {"terminated": False, "truncated": False, name: value}
    environment = returning((GOOD, 1.0, flags["terminated"], flags["truncated"], {}))
    environment.reset()
    with pytest.raises(
        TaskError, match=rf"Task, sub-environment 1, step 1: {name}.* True or False; {got}"
    ) as caught:
        environment.step(np.zeros((2, 2)))
    require_one_line(caught)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("good", "got the str 'good'"),
        ("1.5", "got the str '1.5'"),
        (None, "got None"),
        (1j, "got the complex 1j"),
        ([1.0, 2.0], r"got an array of shape \(2,\)"),
        (np.ones(2), r"got an array of shape \(2,\)"),
        (np.ones(1), r"got an array of shape \(1,\) and dtype float64. .*\.item\(\)"),
        (np.ma.masked, "masked"),
    ],
)
def test_fault_17_reward_of_text(value, got):
    environment = returning((GOOD, value, False, False, {}))
    environment.reset()
    with pytest.raises(
        TaskError, match=rf"sub-environment 1, step 1: the reward .* must be a real number; .*{got}"
    ) as caught:
        environment.step(np.zeros((2, 2)))
    require_one_line(caught)


@pytest.mark.parametrize(
    ("result", "got"),
    [
        ((GOOD, 1.0, False, False, {}, 6), "got 6"),
        ((GOOD, 1.0, False), "got 3"),
        (None, "got None"),
        ("abcde", "got the str 'abcde'"),
        ({"observation": GOOD}, "got the dict"),
    ],
)
def test_fault_17_six_values(result, got):
    environment = returning(result)
    environment.reset()
    with pytest.raises(
        TaskError, match=rf"step\(\) must return five values, \(observation, .*{got}"
    ) as caught:
        environment.step(np.zeros((2, 2)))
    require_one_line(caught)


def test_fault_13_four_values():
    environment = returning((GOOD, 1.0, False, {}))
    environment.reset()
    with pytest.raises(
        TaskError, match=r"step\(\) must return five values.*got 4\. .*gym before 0\.26"
    ) as caught:
        environment.step(np.zeros((2, 2)))
    require_one_line(caught)


def test_fault_13_reward_of_shape_2():
    environment = returning((GOOD, np.ones(2), False, False, {}))
    environment.reset()
    with pytest.raises(
        TaskError,
        match=r"the reward that step\(\) returns must be a real number; got an array of shape \(2,\)",
    ):
        environment.step(np.zeros((2, 2)))


@pytest.mark.parametrize("length", [2, 3])
def test_fault_13_old_style_reset_that_returns_an_observation(length):
    class Task(Misbehaving):
        # Of length 2 it unpacks into two numbers.
        observation_space = spaces.Box(-1, 1, (length,))

        def reset(self, *, seed=None, options=None):
            return np.zeros(length, np.float32)

    with pytest.raises(
        TaskError, match=r"reset\(\) must return two values, \(observation, info\); got an array"
    ):
        load_vector(Task).reset()


def test_fault_13_old_style_reset_without_arguments():
    class Task(Misbehaving):
        def reset(self):
            return GOOD

    with pytest.raises(
        TaskError, match=r"first reset: reset\(\) raised TypeError.*Define reset\(self, \*, seed=None"
    ):
        load_vector(Task).reset()


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 3)])
def test_fault_13_step_observation_of_another_shape(shape):
    environment = returning((np.ones(shape), 1.0, False, False, {}))
    environment.reset()
    with pytest.raises(TaskError, match=rf"{EXPECTED}, as the observation space says; got an array of shape"):
        environment.step(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("make", "kwargs", "words"),
    [
        (
            lambda: CountingTask(),
            {"gravity": 1},
            r"\(none\).*'gravity': 1.*unexpected keyword argument 'gravity'",
        ),
        (CountingTask, {"end_probabilty": 0.5}, r"CountingTask \(end_probability=0\.0, .*unexpected keyword"),
        (lambda size: CountingTask(), {}, r"\(size\); got \{\}: missing a required argument: 'size'"),
    ],
)
def test_fault_13_keywords_that_a_factory_does_not_take(make, kwargs, words):
    with pytest.raises(ConfigurationError, match=f"make_kwargs must fit the arguments of .*{words}"):
        load_vector(make, make_kwargs=kwargs)


@pytest.mark.parametrize(
    "value",
    [3, True, np.bool_(False), np.float32(2), np.int64(1), np.array(2.0), GOOD.tolist(), np.ones(3, np.int8)],
)
def test_what_means_the_same_is_accepted(value):
    """Numbers and flags of other types, whose value is clear, are no error."""
    is_observation = np.ndim(value) == 1
    reward = 1.0 if is_observation else value
    terminated = value if isinstance(value, bool | np.bool_) else np.array(False)
    environment = returning((value if is_observation else GOOD, reward, terminated, 0, {}))
    environment.reset()
    step = environment.step(np.zeros((2, 2)))
    assert step.reward[1] == float(reward)
    assert step.terminated[1] == bool(terminated) and not step.truncated.any()
    np.testing.assert_array_equal(step.next_observation[1], value if is_observation else GOOD)


class Broken(Exception):
    pass


def raising(where, at, error):
    """A function that makes an environment whose call number `at` of `where` raises."""

    def fail():
        raise error

    class Task(Misbehaving):
        def __init__(self):
            self.calls = {"step": 0, "reset": 0, "close": 0, "get_state": 0}
            self._called("__init__")

        def _called(self, name):
            self.calls[name] = self.calls.get(name, 0) + 1
            if name == where and self.calls[name] == at:
                fail()

        def reset(self, *, seed=None, options=None):
            self._called("reset")
            return super().reset(seed=seed)

        def step(self, action):
            self._called("step")
            return GOOD, 1.0, self.calls["step"] % 3 == 0, False, {}

        def close(self):
            self._called("close")

    return Task


PLACES = {
    "maker": ("__init__", 1, r"^The environment cannot be made: .*Task"),
    "reset": ("reset", 1, r"^Task, sub-environment 0, first reset: reset\(\)"),
    "later reset": ("reset", 2, r"^Task, sub-environment 0, reset after step 3: reset\(\)"),
    "first step": ("step", 1, r"^Task, sub-environment 0, step 1: step\(\)"),
    "later step": ("step", 5, r"^Task, sub-environment 0, step 5: step\(\)"),
    "close": ("close", 1, r"^Task, sub-environment 0: close\(\)"),
}
RAISED = {
    "an exception": (Broken("the valve\nis stuck"), "raised Broken: the valve"),
    "no text": (ZeroDivisionError(), "raised ZeroDivisionError"),
    "an assertion": (AssertionError("x > 0"), "raised AssertionError: x > 0"),
    "a stop of iteration": (StopIteration(), "raised StopIteration"),
    "what is no Exception": (GeneratorExit("gone"), "raised GeneratorExit: gone"),
    "a long text": (Broken("x" * 10_000), "raised Broken: x{300}…"),
    "sys.exit(0)": (SystemExit(0), r"called sys\.exit\(0\), which would end the program"),
}


@pytest.mark.parametrize(("error", "what"), RAISED.values(), ids=RAISED)
@pytest.mark.parametrize(("where", "at", "place"), PLACES.values(), ids=PLACES)
def test_fault_17_raises(where, at, place, error, what):
    with pytest.raises(TaskError, match=f"{place}.* {what}") as caught:
        environment = load_vector(raising(where, at, error), 2, seed=0)
        environment.reset()
        for _ in range(6):
            environment.step(np.zeros((2, 2)))
        environment.close()
    require_one_line(caught)
    assert caught.value.raised is error
    frames = traceback.extract_tb(caught.value.frames)
    assert frames[-1].name == "fail" and {frame.filename for frame in frames} == {__file__}
    printed = caught.value.environment_traceback()
    assert "in fail" in printed and "expol_tf/environments" not in printed


def test_fault_17_all_are_closed_although_one_raises():
    tasks = [raising("close", 1, Broken())() for _ in range(3)]
    with pytest.raises(TaskError, match="sub-environment 0: close"):
        SyncVectorEnvironment(tasks).close()
    assert all(task.calls["close"] == 1 for task in tasks)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def test_an_exception_without_words_is_named():
    environment = load_vector(raising("step", 1, Unspeakable()))
    environment.reset()
    with pytest.raises(TaskError, match=r"step\(\) raised Unspeakable\.") as caught:
        environment.step(np.zeros((1, 2)))
    assert "in fail" in caught.value.environment_traceback()


def test_closing_does_not_hide_what_went_wrong_before():
    class Task(Misbehaving):
        def step(self, action):
            raise Broken("first")

        def close(self):
            raise Broken("second")

    environment = load_vector(Task)
    environment.reset()
    with pytest.raises(TaskError, match="raised Broken: first") as caught:
        try:
            environment.step(np.zeros((1, 2)))
        finally:
            environment.close()
    assert caught.value.__notes__ == ["Task, sub-environment 0: close() raised Broken: second. Mend it."]


def test_fault_17_gins_frames_are_left_out_too():
    @gin.configurable(module="misbehaving")
    def make_broken():
        raise Broken("no")

    with pytest.raises(TaskError) as caught:
        load_vector(make_broken)
    assert {frame.filename for frame in traceback.extract_tb(caught.value.frames)} == {__file__}


def test_an_interrupt_is_not_the_environments():
    environment = load_vector(raising("step", 1, KeyboardInterrupt()))
    environment.reset()
    with pytest.raises(KeyboardInterrupt):
        environment.step(np.zeros((1, 2)))


def test_an_error_of_the_librarys_own_stays_what_it_is():
    environment = load_vector(raising("step", 1, ConfigurationError("sigma must be positive.")))
    environment.reset()
    with pytest.raises(ConfigurationError, match="^sigma must be positive.$"):
        environment.step(np.zeros((1, 2)))


def test_fault_17_our_frames_are_left_out_of_what_python_prints():
    with pytest.raises(TaskError) as caught:
        load(raising("__init__", 1, Broken("no")))
    printed = "".join(traceback.format_exception(caught.value))
    # Under Bazel the library lies below a directory that is named like the tests.
    here = pathlib.Path(__file__).name
    ours = [line for line in printed.splitlines() if "expol_tf/" in line and here not in line]
    assert len(ours) == 1, "the call itself, and nothing below it"
    assert "in fail" in printed and "Broken: no" in printed


def test_a_wrappers_exception_names_the_wrapper():
    def wrap(env):
        raise Broken("no")

    with pytest.raises(TaskError, match="cannot be made: .*wrap raised Broken: no"):
        load_vector(CountingTask, wrappers=(wrap,))


def test_fault_17_registered_task_that_raises():
    def make(**kwargs):
        raise Broken("no licence")

    gymnasium.register("Raises-v0", make)
    gymnasium.register("RaisesTypeError-v0", lambda **kwargs: [] + 1)
    try:
        with pytest.raises(
            TaskError, match="The task 'Raises-v0' cannot be made: .*raised Broken: no licence"
        ):
            load_vector("Raises-v0")
        # A TypeError of its own is not one of the arguments.
        with pytest.raises(TaskError, match="raised TypeError") as caught:
            load_vector("RaisesTypeError-v0", make_kwargs={"size": 1})
        assert "[] + 1" in caught.value.environment_traceback()
    finally:
        del gymnasium.registry["Raises-v0"], gymnasium.registry["RaisesTypeError-v0"]


class ChangesItsBox(Misbehaving):
    def __init__(self, when, how):
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.when, self.how, self.count = when, how, 0

    def _change(self):
        if self.how == "bounds":
            self.action_space = spaces.Box(-2, 2, (2,), np.float32)
        elif self.how == "shape":
            self.action_space = spaces.Box(-1, 1, (3,), np.float32)
        elif self.how == "kind":
            self.action_space = spaces.Discrete(3)
        else:
            self.action_space.high[0] = 3

    def reset(self, *, seed=None, options=None):
        if self.when == "reset":
            self._change()
        return super().reset(seed=seed)

    def step(self, action):
        self.count += 1
        if self.when == "step" and self.count == 2:
            self._change()
        return GOOD, 1.0, False, self.count == 4, {}


@pytest.mark.parametrize("how", ["bounds", "shape", "kind", "in place"])
@pytest.mark.parametrize("when", ["reset", "step"])
def test_fault_17_changes_its_action_space(when, how):
    environment = load_vector(lambda: ChangesItsBox(when, how), 2)
    # What is written into the box's own array is seen at the next reset.
    at = "first reset" if when == "reset" else "step 2" if how != "in place" else "reset after step 4"
    with pytest.raises(TaskError, match=rf"sub-environment 0, {at}: the action space must stay what it was"):
        environment.reset()
        for _ in range(5):
            environment.step(np.zeros((2, 2)))


def test_a_new_object_that_is_the_same_box_is_no_change():
    class Task(Misbehaving):
        @property
        def action_space(self):
            return spaces.Box(-1, 1, (2,), np.float32)

        def step(self, action):
            return GOOD, 1.0, False, True, {}

    class MadeAtReset(Misbehaving):
        def reset(self, *, seed=None, options=None):
            self.action_space = spaces.Box(-1, 1, (2,), np.float32)
            return super().reset(seed=seed)

        def step(self, action):
            self.action_space = spaces.Box(-1, 1, (2,), np.float32)
            return GOOD, 1.0, False, True, {}

    for task in (Task, MadeAtReset):
        environment = load_vector(task, 2)
        environment.reset()
        for _ in range(3):
            environment.step(np.zeros((2, 2)))


def test_sub_environments_with_different_boxes_are_refused():
    sizes = iter([1.0, 1.0, 2.0])
    with pytest.raises(
        TaskError, match="sub-environment 2: the action_space of all sub-environments must be the same"
    ):
        load_vector(
            lambda: CountingTask(action_space=spaces.Box(-(high := next(sizes)), high, (2,), np.float32)), 3
        )


@pytest.mark.parametrize("limit", [0, -2, 2.5, True, "a", np.nan])
@pytest.mark.parametrize("backend", ["sync", "envpool"])
def test_fault_17_max_episode_steps_of_0(limit, backend):
    with pytest.raises(
        ConfigurationError, match="max_episode_steps in make_kwargs must be a positive integer.*got"
    ):
        load_vector("Pendulum-v1", backend=backend, make_kwargs={"max_episode_steps": limit})


def test_fault_17_registered_max_episode_steps_of_0():
    gymnasium.register("NoSteps-v0", CountingTask, max_episode_steps=0)
    try:
        with pytest.raises(
            ExpolError, match="'NoSteps-v0' cannot be made: .*`max_episode_steps` to be positive"
        ):
            load_vector("NoSteps-v0")
    finally:
        del gymnasium.registry["NoSteps-v0"]


def test_fault_17_a_time_limit_of_0_in_a_factory():
    def make():
        env = gymnasium.wrappers.TimeLimit(CountingTask(), 5)
        env._max_episode_steps = 0
        return env

    with pytest.raises(
        ConfigurationError, match="max_episode_steps of CountingTask must be a positive integer"
    ):
        load_vector(make)
    with pytest.raises(TaskError, match="raised AssertionError: Expect the `max_episode_steps`"):
        load_vector(lambda: gymnasium.wrappers.TimeLimit(CountingTask(), 0))


def test_numpys_own_integers_are_time_limits():
    environment = load_vector("Pendulum-v1", make_kwargs={"max_episode_steps": np.int64(2)})
    environment.reset()
    assert [bool(environment.step(np.zeros((1, 1))).truncated[0]) for _ in range(2)] == [False, True]


def test_a_limit_of_minus_one_is_none():
    environment = load_vector("Pendulum-v1", make_kwargs={"max_episode_steps": -1})
    environment.reset()
    assert not any(environment.step(np.zeros((1, 1))).truncated[0] for _ in range(210))


@pytest.mark.parametrize("missing", ["observation_space", "action_space"])
def test_a_task_without_a_space_is_named(missing):
    given = {"observation_space": OBSERVATIONS, "action_space": ACTIONS}
    del given[missing]
    task = type("Bare", (gymnasium.Env,), given)
    with pytest.raises(TaskError, match=f"^Bare: its {missing} raised AttributeError"):
        load_vector(task)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "must return a dict of arrays.*got None"),
        ([1], r"must return a dict of arrays.*got the list \[1\]"),
        ({"count": object()}, "its 'count' is the object"),
        ({"count": None}, "its 'count' is None"),
        ({"count": [[1], [1, 2]]}, "its 'count' is the list"),
        ({"count": np.ma.masked_array([1], [1])}, "its 'count' is a masked array"),
        ({1: np.zeros(2)}, "got the name 1"),
        ({"count#1": np.zeros(2)}, "got the name 'count#1'"),
        (Broken("no"), "raised Broken: no"),
    ],
)
def test_fault_17_a_state_that_cannot_be_saved(state, words):
    class Task(SavableCountingTask):
        def get_state(self):
            if isinstance(state, Exception):
                raise state
            return state

    # At the first reset, and not at the first checkpoint.
    with pytest.raises(TaskError, match=rf"^Task, sub-environment 0: Task\.get_state\(\) .*{words}"):
        load_vector(Task, 2).reset()


def test_fault_17_a_state_that_cannot_be_restored():
    class Task(SavableCountingTask):
        def set_state(self, state):
            self.count = state["cuont"]

    environment = load_vector(Task, 2)
    environment.reset()
    with pytest.raises(
        TaskError, match=r"^Task, sub-environment 0: Task\.set_state\(\) raised KeyError: 'cuont'"
    ):
        environment.set_state(environment.get_state())


def test_a_generator_of_another_kind_is_named():
    class Task(SavableCountingTask):
        def reset(self, *, seed=None, options=None):
            self.np_random = np.random.RandomState(0)
            return np.zeros(3), {}

    with pytest.raises(TaskError, match="np_random of Task must be a numpy.random.Generator"):
        load_vector(Task).reset()


@pytest.mark.parametrize(
    ("picture", "got"),
    [
        (None, "got None"),
        ([np.zeros((4, 5, 3), np.uint8)], r"shape \(1, 4, 5, 3\)"),
        (np.zeros((4, 5), np.uint8), r"shape \(4, 5\)"),
        (np.zeros((4, 5, 3)), "dtype float64"),
        ("ascii art", "got the str"),
        (Broken("no"), "raised Broken: no"),
    ],
)
def test_fault_17_no_picture(picture, got):
    class Task(CountingTask):
        def render(self):
            if isinstance(picture, Exception):
                raise picture
            return picture

    environment = load_vector(Task, make_kwargs={"render_mode": "rgb_array"})
    environment.reset()
    with pytest.raises(TaskError, match=rf"^Task, sub-environment 0: render\(\) .*{got}"):
        environment.render()


class ArrayTaskThat:
    """A task of arrays whose methods a test replaces."""

    observation_space = spaces.Box(-9, 9, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, **replaced):
        self.replaced = replaced

    def initial_state(self, generator):
        return self.replaced.get("initial_state", np.zeros(2))

    def observe(self, state):
        return self._answer("observe", state)

    def transition(self, state, action):
        fields = {
            "state": state + action,
            "reward": np.zeros(len(state)),
            "terminated": np.zeros(len(state), bool),
            "info": None,
        }
        fields |= {name: value for name, value in self.replaced.items() if name in fields}
        return self._answer("transition", Transition(**fields))

    def draw(self, axes, steps):
        pass

    def _answer(self, name, right):
        answer = self.replaced.get(name, right)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("backend", ["array", "loop"])
@pytest.mark.parametrize(
    ("replaced", "when", "words"),
    [
        (
            {"initial_state": None},
            "",
            r"the state that ArrayTaskThat\.initial_state\(\) returns must be .*got None",
        ),
        (
            {"initial_state": np.zeros((1, 2))},
            "",
            r"initial_state\(\) returns .*got an array of shape \(1, 2\)",
        ),
        (
            {"observe": np.zeros(2)},
            "first reset",
            r"observe\(\) returns must be .*got an array of shape \(2,\)",
        ),
        ({"observe": Broken("no")}, "first reset", r"ArrayTaskThat\.observe\(\) raised Broken: no"),
        ({"transition": None}, "step 1", r"transition\(\) must return a Transition .*got None"),
        ({"transition": Broken("no")}, "step 1", r"transition\(\) raised Broken: no"),
        ({"state": np.zeros(2)}, "step 1", r"the state of ArrayTaskThat\.transition\(\) must be"),
        (
            {"reward": 1.0},
            "step 1",
            r"the reward of ArrayTaskThat\.transition\(\) must be .*got the float 1\.0",
        ),
        ({"reward": np.zeros((1, 1))}, "step 1", r"the reward of .*got an array of shape \(1, 1\)"),
        ({"terminated": None}, "step 1", r"terminated of .* must be an array of bool .*got None"),
        ({"terminated": np.array(["no"])}, "step 1", r"terminated of .*dtype <U2"),
        ({"info": 3}, "step 1", r"info of .*got the int 3"),
        ({"info": {"goal": [1]}}, "step 1", r"info\['goal'\] of .* must be an array .*got the list \[1\]"),
        ({"info": {"goal": 1}}, "step 1", r"info\['goal'\] of .* must be an array with a row for each of 1"),
    ],
)
def test_fault_17_tasks_of_arrays(backend, replaced, when, words):
    make = ArrayVectorEnvironment if backend == "array" else lambda env, n: SyncVectorEnvironment([env])
    with pytest.raises(TaskError, match=rf"{when}.*{words}"):
        environment = make(ArrayTaskEnv(ArrayTaskThat(**replaced)), 1)
        environment.reset()
        environment.step(np.zeros((1, 2)))


@pytest.mark.parametrize("state", [np.zeros(3), np.zeros(1), np.zeros(2, complex), [0.0]], ids=str)
def test_fault_17_first_states_keep_their_shape(state):
    """A state of another length would be broadcast over the row."""
    task = ArrayTaskThat()
    environment = ArrayVectorEnvironment(ArrayTaskEnv(task), 2)
    environment.reset()
    environment.step(np.zeros((2, 2)))
    task.replaced["initial_state"] = state
    words = (
        r"reset after step 1: the state that ArrayTaskThat\.initial_state\(\) returns must be .*, always; got"
    )
    with pytest.raises(TaskError, match=words):
        environment.restart(np.array([False, True]))


def test_the_tf_agents_interface_says_the_same():
    environment = GymnasiumEnvironment(returning((GOOD, 1.0, None, False, {})))
    environment.reset()
    with pytest.raises(
        TaskError, match="sub-environment 1, step 1: terminated, .* must be True or False; got None"
    ):
        environment.step(np.zeros((2, 2), np.float32))


def test_a_task_error_can_be_sent_to_another_process():
    import pickle

    environment = load_vector(raising("step", 1, Broken("no")))
    environment.reset()
    with pytest.raises(TaskError) as caught:
        environment.step(np.zeros((1, 2)))
    sent = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(sent, TaskError) and str(sent) == str(caught.value)
    assert sys.exc_info() == (None, None, None)


class Recursing(gymnasium.Wrapper):
    """Delegates to an attribute that it never sets."""

    def __getattr__(self, name):
        return getattr(self.wrapped, name)


class Unready(gymnasium.Wrapper):
    """Cannot say yet whether its statistics learn."""

    @property
    def update_running_mean(self):
        raise RuntimeError("not yet")


class Bottomless(gymnasium.Wrapper):
    """Looks for the environment in the wrong place."""

    @property
    def unwrapped(self):
        return self.nothing.unwrapped


class Empty(Bottomless):
    """Has nothing inside."""

    unwrapped = None


class Uninitialized(gymnasium.Wrapper):
    """Does not call its base class."""

    def __init__(self, env):
        self.inner = env


UNREADABLE = {
    Recursing: "Recursing: reading its attributes raised RecursionError",
    Unready: "Unready: reading its attributes raised RuntimeError: not yet",
    Bottomless: "Bottomless: its unwrapped raised AttributeError: 'Bottomless' object has no attribute",
    Empty: "Empty: its unwrapped must be a gymnasium.Env; got None",
    Uninitialized: "Uninitialized: its env raised AttributeError",
}


@pytest.mark.parametrize("wrapper", UNREADABLE)
@pytest.mark.parametrize("way", ["loaded", "given"])
def test_fault_17_a_wrapper_that_fails_before_the_first_reset(wrapper, way):
    with pytest.raises(TaskError, match=UNREADABLE[wrapper]):
        if way == "loaded":
            load_vector(Misbehaving, 2, wrappers=[wrapper])
        else:
            SyncVectorEnvironment([wrapper(Misbehaving())])
