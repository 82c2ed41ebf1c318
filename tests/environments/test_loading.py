"""What `load` accepts, how it seeds, and that every mistake gets one clear message."""

from __future__ import annotations

import sys
import warnings

import gin
import gymnasium
import numpy as np
import pytest

from expol_tf.environments import NoisyObservation, load, load_vector, require_registered
from expol_tf.environments.registry import _without_known_noise
from expol_tf.errors import (
    ConfigurationError,
    DependencyError,
    NonFiniteError,
    TaskError,
    UnknownEnvironmentError,
)
from tests.environments.tasks import CountingTask, make_with_both_ends


@pytest.mark.parametrize("task", ["Hopper-v5", "Hopper", "expol/MultiGoal-v0", "gymnasium:Hopper-v5"])
def test_a_registered_task_is_known_before_it_is_made(task):
    require_registered(task)


@pytest.mark.parametrize("task", ["Hoper-v5", "Hopper-v99", "", "Ojakg ", "no_such_module:Hopper-v5"])
def test_an_unknown_task_is_refused_before_it_is_made(task):
    with pytest.raises(UnknownEnvironmentError, match="The task .* cannot be made"):
        require_registered(task)


@pytest.mark.parametrize(
    ("task", "suggestion"),
    [
        ("HalfCheeta-v5", "HalfCheetah-v5"),
        ("half_cheetah", "HalfCheetah-v5"),
        ("hopper-v5", "Hopper-v5"),
        ("Hopper-v9", "Hopper-v5"),
        ("mujoco/Hopper-v5", "Hopper-v5"),
        ("", None),
        ("no such task at all", None),
        ("no_such_module:Task-v0", None),
        ("Pusher-v4", "Pusher-v5"),
        ("Ant-v3", "Ant-v5"),
    ],
)
def test_unknown_tasks_are_named_with_near_ones(task, suggestion):
    with pytest.raises(UnknownEnvironmentError) as caught:
        load_vector(task)
    message = str(caught.value)
    assert repr(task) in message.splitlines()[0]
    assert suggestion is None or suggestion in message.partition("Did you mean")[2]


def test_missing_packages_are_named():
    def need():
        raise gymnasium.error.DependencyNotInstalled("run `pip install box2d`")

    gymnasium.register("NeedsPackage-v0", need)
    try:
        with pytest.raises(DependencyError, match="NeedsPackage-v0.*pip install box2d"):
            load_vector("NeedsPackage-v0")
    finally:
        del gymnasium.registry["NeedsPackage-v0"]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"task": "Hopper-v5", "num_envs": 0}, "num_envs must be 1 or more; got 0"),
        ({"task": "Hopper-v5", "num_envs": 2.5}, "num_envs"),
        ({"task": "Hopper-v5", "num_envs": True}, "num_envs"),
        ({"task": "Hopper-v5", "seed": -1}, "seed"),
        ({"task": "Hopper-v5", "seed": 0.5}, "seed"),
        ({"task": "Hopper-v5", "backend": "async"}, '"sync" or "envpool"; got \'async\''),
        ({"task": "Hopper-v5", "backend": np.zeros((2, 2))}, '"sync" or "envpool"; got array'),
        ({"task": "Hopper-v5", "make_kwargs": {"gravity": 1}}, "gravity"),
        ({"task": "Hopper-v5", "make_kwargs": {"max_episode_steps": 0}}, "max_episode_steps"),
        ({"task": CountingTask(), "num_envs": 2}, "num_envs must be 1"),
        ({"task": CountingTask(), "make_kwargs": {"end_probability": 1}}, "make_kwargs"),
        ({"task": 3}, "task must be a Gymnasium id"),
        ({"task": lambda: "Hopper-v5"}, "must return a gymnasium.Env"),
        ({"task": "Hopper-v5", "wrappers": (lambda env: None,)}, "must return a gymnasium.Env"),
    ],
)
def test_wrong_arguments_are_named(arguments, rule):
    with pytest.raises(ConfigurationError, match=rule):
        load(**arguments)


def test_a_factory_that_returns_one_environment_twice_is_caught():
    env = CountingTask()
    with pytest.raises(ConfigurationError, match="new environment at each call"):
        load_vector(lambda: env, num_envs=2)


def test_ids_instances_and_factories_are_accepted():
    for task in (
        "Pendulum-v1",
        gymnasium.make("Pendulum-v1"),
        lambda: gymnasium.make("Pendulum-v1"),
        CountingTask,
    ):
        environment = load(task, seed=0)
        environment.reset()
        assert environment.step(np.zeros((1, *environment.action_spec().shape))).reward.shape == (1,)
    environment = load(CountingTask, num_envs=2, make_kwargs={"end_probability": 1.0})
    environment.reset()
    assert environment.step(np.zeros((2, 2))).is_last().all()


def test_wrappers_are_applied_in_order():
    environment = load_vector(
        CountingTask,
        wrappers=(lambda env: gymnasium.wrappers.TimeLimit(env, 9), lambda env: NoisyObservation(env, 0.5)),
    )
    assert str(environment._envs[0]).startswith("<NoisyObservation<TimeLimit<CountingTask")


@pytest.mark.parametrize("task", ["Hopper-v5", "Reacher-v5", make_with_both_ends])
def test_each_sub_environment_has_its_own_seed(task):
    def make():
        return task() if callable(task) else gymnasium.make(task)

    first = load_vector(task, num_envs=3, seed=7).reset().copy()
    for i, child in enumerate(np.random.SeedSequence(7).spawn(3)):
        expected, _ = make().reset(seed=int(child.generate_state(1)[0]))
        np.testing.assert_array_equal(first[i], np.float32(expected))
    np.testing.assert_array_equal(load_vector(task, num_envs=2, seed=7).reset(), first[:2])
    assert not np.array_equal(load_vector(task, num_envs=3, seed=8).reset(), first)


@pytest.mark.parametrize("task", ["Hopper-v5", make_with_both_ends])
def test_a_second_reset_goes_on_and_no_seed_differs_each_time(task):
    environment = load_vector(task, num_envs=2, seed=7)
    first = environment.reset().copy()
    assert not np.array_equal(environment.reset(), first)
    assert not np.array_equal(load_vector(task).reset(), load_vector(task).reset())


def test_v4_tasks_load_in_silence(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_vector("HalfCheetah-v4", num_envs=2)
    captured = capfd.readouterr()
    assert "settotalmass" not in captured.out + captured.err
    assert not list(tmp_path.iterdir()), "MuJoCo wrote its log file"


def test_other_messages_pass(capsys):
    import mujoco

    before = mujoco.get_mju_user_warning()
    with _without_known_noise("HalfCheetah-v5"):
        mujoco.get_mju_user_warning()("the inertia is bad")
    assert "the inertia is bad" in capsys.readouterr().err
    assert mujoco.get_mju_user_warning() is before


@pytest.mark.parametrize("task", ["Hopper-v5", make_with_both_ends])
def test_a_step_before_the_first_reset_says_so(task):
    with pytest.raises(ConfigurationError, match="reset"):
        environment = load_vector(task)
        environment.step(np.zeros((1, *environment.action_spec.shape)))


@pytest.mark.parametrize("task", ["Hopper-v5", make_with_both_ends])
def test_wrong_actions_are_named(task):
    environment = load_vector(task, num_envs=3, seed=0)
    environment.reset()
    actions = np.zeros((3, *environment.action_spec.shape), np.float32)
    environment.step(actions)
    with pytest.raises(ConfigurationError, match=r"shape.*got \(2,"):
        environment.step(actions[:2])
    for wrong in (None, "left", (actions, ()), {"a": actions}, actions.astype(complex)):
        with pytest.raises(ConfigurationError, match="must be an array of real numbers; got"):
            environment.step(wrong)
    for active in (np.ones(2, bool), np.ones(3)):
        with pytest.raises(ConfigurationError, match=r"active must be an array of bool of shape \(3,\)"):
            environment.step(actions, active)
    actions[1, 0] = np.nan
    with pytest.raises(NonFiniteError, match="sub-environment 1, step 2 is NaN"):
        environment.step(actions)


class Diverging(CountingTask):
    """Gives something that is not a number at its third step."""

    where, value = "observation", np.nan

    def step(self, action):
        observation, reward, *rest = super().step(action)
        if self.count == 3 and self.draw > 0:
            observation[1] = self.value if self.where == "observation" else 0
            reward = self.value if self.where == "reward" else reward
        return observation, reward, *rest


@pytest.mark.parametrize("where", ["observation", "reward"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_results_that_are_not_finite_are_named_with_the_step(where, value):
    class Task(Diverging):
        pass

    Task.where, Task.value = where, value
    environment = load_vector(Task, num_envs=6, seed=0)
    environment.reset()
    for _ in range(2):
        environment.step(np.zeros((6, 2)))
    with pytest.raises(
        NonFiniteError, match=f"The {where} of Task, sub-environment \\d, step 3 is not finite"
    ):
        environment.step(np.zeros((6, 2)))


@pytest.mark.filterwarnings("ignore:overflow")
def test_large_finite_observations_are_no_error():
    class Large(CountingTask):
        def _observe(self, action):
            return np.full(3, 2e38)

        def step(self, action):
            return self._observe(0), 1.0, False, False, {}

    environment = load_vector(Large, num_envs=4)
    environment.reset()
    assert np.all(np.isfinite(environment.step(np.zeros((4, 2))).observation))


def test_observations_of_another_shape_than_the_space_are_named():
    class Wrong(CountingTask):
        def _observe(self, action):
            self.draw = 0.0
            return np.zeros(1)  # would be broadcast

    with pytest.raises(TaskError, match=r"\(3,\).*\(1,\)"):
        load_vector(Wrong).reset()


def test_gin_configures_tasks_and_wrappers():
    try:
        gin.parse_config(
            """
            load_vector.task = "Pendulum-v1"
            load_vector.num_envs = 3
            load_vector.wrappers = [@NoisyObservation]
            NoisyObservation.sigma = 0.25
            """
        )
        environment = load_vector()
    finally:
        gin.clear_config()
    assert environment.num_envs == 3 and environment.task == "Pendulum-v1"
    assert isinstance(environment._envs[0], NoisyObservation) and environment._envs[0]._sigma == 0.25


def test_loading_needs_no_optional_backend(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(DependencyError, match=r"expol-tf\[envpool\]"):
        load_vector("Hopper-v5", backend="envpool")
    assert load_vector("Hopper-v5").reset().shape == (1, 11)


class Closing(gymnasium.Wrapper):
    """Counts how often it was closed."""

    closed = 0

    def close(self):
        self.closed += 1
        super().close()


@pytest.mark.parametrize("loads", [load, load_vector])
def test_fault_12_a_caller_s_environment_stays_open(loads):
    env, made = Closing(gymnasium.make("Pendulum-v1")), []

    def wrap(inner):
        made.append(Closing(inner))
        return made[-1]

    loads(env).close()
    loads(env, wrappers=(wrap,)).close()
    assert env.closed == 0 and made[0].closed == 1, "what the library made is closed"
    env.close()
    assert env.closed == 1


def test_what_a_factory_makes_is_closed():
    made = []

    def make():
        made.append(Closing(gymnasium.make("Pendulum-v1")))
        return made[-1]

    load_vector(make, 2).close()
    assert [env.closed for env in made] == [1, 1]


@pytest.mark.parametrize("make", [require_registered, load, lambda task: load_vector(task, 2, seed=0)])
@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("a:b:c", "must be an id or module:id, with one colon at most; got 'a:b:c'"),
        ("gymnasium:x:Hopper-v5", "with one colon at most"),
        ("a" * 10**6, "must have at most 300 characters; got 1,000,000: 'aaa"),
        (":" * 10**6, "with one colon at most"),
    ],
    ids=["three parts", "another part", "long", "colons"],
)
def test_fault_13_what_is_no_name_of_a_task(make, task, words):
    with pytest.raises(UnknownEnvironmentError) as caught:
        make(task)
    assert words in str(caught.value) and len(str(caught.value)) < 600
