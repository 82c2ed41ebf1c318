"""Wrappers given from Python are recorded, and programs rebuild the environments with them or refuse."""

from __future__ import annotations

import functools
import inspect
import json
import pathlib
import sys

import gin
import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers as gymnasium_wrappers

import expol_tf
from expol_tf.agents import DdpgAgent
from expol_tf.cli.commands.evaluate import evaluate_main
from expol_tf.configuration import configuration_from_call, recorded_values
from expol_tf.environments import NoisyObservation, load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.runs import RunFiles
from expol_tf.training import OffPolicyRunner, evaluate_policy, recorded_task

TASK = "ClientSteps-v0"
_MODULE = """
import functools

import gin
import gymnasium

import expol_tf


class Scaled(gymnasium.RewardWrapper):
    def __init__(self, env, scale=3.0):
        super().__init__(env)
        self.scale = scale

    def reward(self, reward):
        return self.scale * reward


@gin.configurable
class Registered(Scaled):
    pass


@gin.configurable
def registered_function(env):
    return Scaled(env, 2.0)


def timed(function):
    @functools.wraps(function)
    def inner(env):
        return Scaled(function(env), 100.0)

    return inner


decorated_function = timed(registered_function)
decorated_class = timed(Registered)
decorated_load = timed(expol_tf.environments.load)
"""


class Steps(gymnasium.Env):
    """An episode of four steps of reward 1, plus 100 times what the action has moved."""

    observation_space = gymnasium.spaces.Box(-9, 9, (3,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def __init__(self, bonus=0.0):
        self.bonus = bonus

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.ones(3, np.float32), {}

    def step(self, action):
        self.count += 1
        return np.ones(3, np.float32), 1.0 + self.bonus + 100.0 * float(action[0]), self.count == 4, False, {}


class Local(gymnasium.RewardWrapper):
    def reward(self, reward):
        return 3.0 * reward


@pytest.fixture(autouse=True)
def own_module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A module of the user's, in the directory where the programs start."""
    (tmp_path / "client_wrappers.py").write_text(_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    gymnasium.register(TASK, Steps)
    yield
    gymnasium.registry.pop(TASK)
    gin.clear_config()


@pytest.fixture(scope="module", autouse=True)
def forget_the_module():
    yield
    sys.modules.pop("client_wrappers", None)


def own(name):
    import client_wrappers  # type: ignore[import-not-found]

    return getattr(client_wrappers, name)


# What is given, and by which name the record has it.
REBUILT = {
    "a class of Gymnasium's": (lambda: gymnasium_wrappers.FlattenObservation, "@FlattenObservation"),
    "a partial of Gymnasium's": (
        lambda: functools.partial(gymnasium_wrappers.RescaleAction, min_action=-4.0, max_action=4.0),
        "@train_wrappers_0/RescaleAction",
    ),
    "a partial with positions": (
        lambda: functools.partial(gymnasium_wrappers.ClipReward, min_reward=None, max_reward=0.25),
        "@train_wrappers_0/ClipReward",
    ),
    "a class of the library's": (lambda: NoisyObservation, "@NoisyObservation"),
    "a partial of the library's": (
        lambda: functools.partial(NoisyObservation, sigma=2.0), "@train_wrappers_0/NoisyObservation",
    ),
    "a registered class": (lambda: own("Registered"), "@Registered"),
    "a partial of a registered class": (
        lambda: functools.partial(own("Registered"), scale=5.0), "@train_wrappers_0/Registered",
    ),
    "a registered function": (lambda: own("registered_function"), "@registered_function"),
}  # fmt: skip
REFUSED = {
    "a lambda": lambda: lambda env: Local(env),
    "a local class": lambda: Local,
    "a class of one's own module": lambda: own("Scaled"),
    "a partial of one's own class": lambda: functools.partial(own("Scaled"), scale=2.0),
    "a decorated function": lambda: own("decorated_function"),
    "a decorated class": lambda: own("decorated_class"),
    "a decorated function of the library's": lambda: own("decorated_load"),
    "a partial with a function": lambda: functools.partial(
        gymnasium_wrappers.TransformReward, func=lambda reward: 3.0 * reward
    ),
    "a partial with an array": lambda: functools.partial(
        gymnasium_wrappers.RescaleAction, min_action=np.full(2, -4.0), max_action=4.0
    ),
}


def write_record(directory, **given):
    """Writes the record of a run that `train` was called for with these arguments."""
    parameters = inspect.signature(expol_tf.train).parameters
    keywords = {name: each.default for name, each in parameters.items()} | {"task": TASK, **given}
    record = configuration_from_call("train", keywords | {"root_dir": "run"})
    directory.mkdir()
    files = RunFiles(directory)
    files.config.write_text(record.text)
    values = recorded_values(record.text) | dict(record.unwritable)
    files.configuration.write_text(json.dumps(values))
    return files


def returns(task, num_envs=2, **options):
    environment = load_vector(task, num_envs, 0, **options)
    spec = environment.action_spec
    actions = spec.minimum + 0.75 * (spec.maximum - spec.minimum)
    return evaluate_policy(lambda observation: np.tile(actions, (num_envs, 1)), environment, 4).returns


@pytest.mark.parametrize("kind", REBUILT)
def test_client_08_what_a_record_can_name_is_rebuilt(kind, tmp_path):
    make, name = REBUILT[kind]
    wrapper = make()
    files = write_record(tmp_path / "run", wrappers=[wrapper])
    assert f"train.wrappers = [{name}]\n" in files.config.read_text()
    expected = returns(TASK, wrappers=[wrapper])
    with recorded_task(files) as recorded:
        assert recorded.task == TASK and len(recorded.wrappers) == 1
        np.testing.assert_array_equal(returns(TASK, **recorded.options), expected)
        made, direct = (load_vector(TASK, 1, 0, wrappers=each) for each in (recorded.wrappers, [wrapper]))
        assert str(made._envs[0]) == str(direct._envs[0])
        np.testing.assert_array_equal(made.reset(), direct.reset())
    assert not gin.config_str().strip()


def test_client_08_the_order_and_every_wrapper_of_several_are_kept(tmp_path):
    given = [
        functools.partial(gymnasium_wrappers.ClipReward, min_reward=None, max_reward=0.25),
        functools.partial(own("Registered"), scale=5.0),
        functools.partial(own("Registered"), scale=7.0),
        gymnasium_wrappers.FlattenObservation,
    ]
    files = write_record(tmp_path / "run", wrappers=given)
    with recorded_task(files) as recorded:
        np.testing.assert_allclose(returns(TASK, **recorded.options), 4 * 0.25 * 35)


@pytest.mark.parametrize("kind", REFUSED)
def test_client_08_what_a_record_cannot_name_is_refused(kind, tmp_path):
    given = [gymnasium_wrappers.FlattenObservation, REFUSED[kind]()]
    files = write_record(tmp_path / "run", wrappers=given)
    with (
        pytest.raises(ConfigurationError, match="cannot say what wrappers of expol_tf.train were") as caught,
        recorded_task(files),
    ):
        pass
    message = str(caught.value)
    assert "Without them this would be another environment" in message and "@gin.configurable" in message


def test_client_08_arguments_and_tasks_that_only_python_has_are_refused(tmp_path):
    files = write_record(tmp_path / "a", make_kwargs={"bonus": np.full(1, 2.0)})
    with pytest.raises(ConfigurationError, match="cannot say what make_kwargs of"), recorded_task(files):
        pass
    files = write_record(tmp_path / "b", task=lambda: Steps(2.0))
    with (
        pytest.raises(ConfigurationError, match="names no task.*environment of its own"),
        recorded_task(files),
    ):
        pass
    files = write_record(tmp_path / "c", make_kwargs={"bonus": 2.0})
    with recorded_task(files) as recorded:
        assert recorded.make_kwargs == {"bonus": 2.0}


def test_fault_02_objects_that_gin_holds_are_recorded_and_not_left_out(tmp_path):
    registered = own("Registered")
    gin.bind_parameter("client_wrappers.Registered.scale", np.full(1, 2.0))
    files = write_record(tmp_path / "a", wrappers=[registered])
    with (
        pytest.raises(ConfigurationError, match=r"cannot say what Registered\.scale was"),
        recorded_task(files),
    ):
        pass
    # An environment without that class is what it was.
    files = write_record(tmp_path / "b", wrappers=[NoisyObservation])
    with recorded_task(files) as recorded:
        assert len(recorded.wrappers) == 1


def test_fault_02_objects_that_gin_held_are_no_part_of_a_run_and_are_held_again(tmp_path):
    registered = own("Registered")
    files = write_record(tmp_path / "run", wrappers=[registered])
    scale = np.full(1, 2.0)
    gin.bind_parameter("client_wrappers.Registered.scale", scale)
    with recorded_task(files) as recorded:
        assert recorded.wrappers[0](Steps()).scale == 3.0
    assert gin.query_parameter("client_wrappers.Registered.scale") is scale


def test_fault_02_objects_that_gin_holds_are_part_of_the_experiment():
    def fingerprint(scale):
        gin.clear_config()
        gin.bind_parameter("client_wrappers.Registered.scale", np.full(1, scale))
        parameters = inspect.signature(expol_tf.train).parameters
        keywords = {name: each.default for name, each in parameters.items()}
        keywords |= {"task": TASK, "root_dir": "run", "wrappers": [registered]}
        return configuration_from_call("train", keywords).fingerprint()

    registered = own("Registered")
    assert fingerprint(2.0) == fingerprint(2.0) != fingerprint(3.0)


def test_client_08_what_gin_held_it_holds_again(tmp_path):
    files = write_record(tmp_path / "run", wrappers=[functools.partial(NoisyObservation, sigma=2.0)])
    gin.parse_config("NoisyObservation.sigma = 0.5")
    with recorded_task(files) as recorded:
        assert recorded.wrappers[0](Steps())._sigma == 2.0
    assert NoisyObservation(Steps())._sigma == 0.5


def test_client_08_gin_knows_wrappers_of_installed_packages_by_their_module(tmp_path):
    """By any module that has the class; nothing else becomes configurable by a name alone."""
    for name in ("gymnasium.wrappers.RescaleAction", "gymnasium.wrappers.transform_action.RescaleAction"):
        files = RunFiles(tmp_path)
        lines = [f"train.task = '{TASK}'", f"train.wrappers = [@{name}]"]
        lines += ["RescaleAction.min_action = -4.0", "RescaleAction.max_action = 4.0"]
        files.config.write_text("\n".join([f"import {name.rpartition('.')[0]}", *lines, ""]))
        with recorded_task(files) as recorded:
            assert isinstance(recorded.wrappers[0](Steps()), gymnasium_wrappers.RescaleAction)
    for name in ("gymnasium.wrappers.no_such_thing", "subprocess.Popen", "client_wrappers.Scaled"):
        files.config.write_text(f"train.task = '{TASK}'\ntrain.wrappers = [@{name}]\n")
        with pytest.raises(ConfigurationError, match=name.rpartition(".")[2]), recorded_task(files):
            pass


def train_and_evaluate(wrappers, capfd):
    """Trains, and returns the mean return in evaluation.csv, and the status and output of expol-evaluate."""
    runner = functools.partial(
        OffPolicyRunner, iteration_steps=8, warm_up_steps=100, batch_size=4, replay_capacity=100
    )
    expol_tf.train(
        "run", TASK, agent=DdpgAgent, runner=runner, wrappers=wrappers, num_envs=1, num_env_steps=8,
        eval_interval=8, eval_episodes=2,
    )  # fmt: skip
    trained = float(RunFiles("run").evaluation_csv.read_text().splitlines()[-1].split(",")[1])
    capfd.readouterr()
    status = evaluate_main(["expol-evaluate", "--root_dir=run", "--episodes=2"])
    captured = capfd.readouterr()
    return trained, status, captured.out + captured.err


@pytest.mark.parametrize("kind", ["a partial with positions", "a partial of a registered class"])
def test_client_08_expol_evaluate_has_the_return_of_the_run(kind, capfd):
    """The task is deterministic, so that both are the same number."""
    trained, status, output = train_and_evaluate([REBUILT[kind][0]()], capfd)
    line = next(line for line in output.splitlines() if line.startswith("return"))
    assert status == 0 and float(line.split()[1]) == pytest.approx(trained, abs=0.01)
    assert abs(trained - 4.0) > 1.0


@pytest.mark.parametrize("kind", ["a lambda", "a class of one's own module"])
def test_client_08_expol_evaluate_refuses(kind, capfd):
    trained, status, output = train_and_evaluate([REFUSED[kind]()], capfd)
    assert abs(trained - 4.0) > 1.0
    assert status == 2 and "expol-evaluate: error: " in output and "return" not in output.split("error:")[0]
    assert "cannot say what wrappers of expol_tf.train were" in output
