"""A run is resumed by the same experiment alone, whatever in it is another."""

from __future__ import annotations

import collections
import enum
import functools
import pathlib
import threading
import types
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

import expol_tf
from expol_tf import code_digests, descriptions
from expol_tf.agents import Acting, ClippedUpdate, PpoAgent, SacAgent, TrpoAgent
from expol_tf.cli.commands.train import train_main
from expol_tf.configuration import Configuration, configuration_from_call
from expol_tf.descriptions import describe
from expol_tf.errors import RunDirectoryError
from expol_tf.keras_api import keras
from expol_tf.networks import GaussianActorNetwork
from expol_tf.optimizers import MinibatchAdam, MinibatchRegression
from expol_tf.runs import RunDirectory
from expol_tf.training import Experiment, OnPolicyRunner, train

SCALE = 1.0
ENVIRONMENT = {"versions": {"expol_tf": expol_tf.__version__}, "seed": 0}


class Wrap(gymnasium.Wrapper):
    """A wrapper with a setting."""

    def __init__(self, env: gymnasium.Env, k: float = 0.0) -> None:
        super().__init__(env)
        self.k = k


class Nested:
    """An object with another one in it."""

    def __init__(self, value: Any) -> None:
        self._inner = types.SimpleNamespace(value=value)


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Floats(list):
    """A container of the user's own, with a setting."""

    scale: Any = None


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def recorded(**keywords: Any) -> Configuration:
    """What a call of `train` with these keywords is recorded as."""
    experiment = Experiment.of(**{"task": "Pendulum-v1", "root_dir": "runs", **keywords})
    return configuration_from_call(train.__name__, experiment.keywords)


def resume(root: pathlib.Path, first: Configuration, second: Configuration) -> None:
    """Begins a run in a directory by one configuration and goes on with another."""
    for configuration in (first, second):
        with RunDirectory(root) as run:
            run.prepare(configuration.text, {}, configuration.fingerprint(), ENVIRONMENT)


def wrapped(k: float) -> Callable[[gymnasium.Env], gymnasium.Env]:
    return lambda env: Wrap(env, k)


def wrapper_class(k: float) -> type[gymnasium.Wrapper]:
    class Scaled(Wrap):
        def reset(self, **options: Any) -> Any:
            observation, info = super().reset(**options)
            return k * observation, info

    return Scaled


def scaled_by_a_global(scale: float) -> Callable[[gymnasium.Env], gymnasium.Env]:
    """A function whose setting is a global of its module."""
    names = {"Wrap": Wrap, "SCALE": scale, "__name__": __name__}
    return types.FunctionType((lambda env: Wrap(env, SCALE)).__code__, names)


def with_keyword(k: float) -> Callable[[gymnasium.Env], gymnasium.Env]:
    def make(env: gymnasium.Env, *, scale: float = k) -> gymnasium.Env:
        return Wrap(env, scale)

    return make


def with_attribute(k: float) -> Any:
    floats = Floats([1.0])
    floats.scale = k
    return floats


def rate(of: Any) -> Any:
    return functools.partial(PpoAgent, policy_update=ClippedUpdate(MinibatchAdam(of)))


def schedule(start: float) -> Any:
    return keras.optimizers.schedules.PolynomialDecay(start, 500)


def setting(make: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    """As a keyword argument of the task's function."""
    return lambda value: {"make_kwargs": {"setting": make(value)}}


# Keywords of `train` as a function of a setting.
SETTINGS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "partial in a tuple": lambda k: {"wrappers": (functools.partial(Wrap, k=k),)},
    "partial in a list": lambda k: {"wrappers": [functools.partial(Wrap, k=k)]},
    "array": lambda k: {"make_kwargs": {"matrix": np.full((3, 3), k)}},
    "array in nested containers": setting(lambda k: [({"matrix": np.full(2000, k)},)]),
    "array of objects": setting(lambda k: np.array([Nested(k), None])),
    "value_fit": lambda k: {"agent": functools.partial(PpoAgent, value_fit=MinibatchRegression(abs(k)))},
    "learning rate": lambda k: {"agent": rate(abs(k))},
    "schedule": lambda k: {"agent": rate(schedule(abs(k)))},
    "set": setting(lambda k: {Slotted, k, "a"}),
    "deque": setting(lambda k: collections.deque([k], maxlen=3)),
    "container with an attribute": setting(with_attribute),
    "nested object": setting(Nested),
    "object with slots": setting(Slotted),
    "bytes": setting(lambda k: Nested(str(k).encode() * 20)),
    "enumeration": setting(lambda k: Nested(Colour.RED if k > 0 else Colour.BLUE)),
    "lambda's closure": lambda k: {"wrappers": (wrapped(k),)},
    "lambda's default": lambda k: {"wrappers": (lambda env, k=k: Wrap(env, k),)},
    "keyword default": lambda k: {"wrappers": (with_keyword(k),)},
    "global of a function": lambda k: {"wrappers": (scaled_by_a_global(k),)},
    "class's closure": lambda k: {"wrappers": (wrapper_class(k),)},
    "class's attribute": lambda k: {"wrappers": (type("Scaled", (Wrap,), {"scale": k}),)},
    "method of an object": lambda k: {"task": types.MethodType(lambda self: None, Nested(k))},
    "generator's state": setting(lambda k: np.random.default_rng(int(k > 0))),
    "path in an object": setting(lambda k: Nested(pathlib.Path(str(k)))),
    "long": setting(lambda k: [Nested(i) for i in range(300)] + [Nested(k)]),
    "environment": lambda k: {"task": Wrap(gymnasium.make("Pendulum-v1"), k), "eval_interval": 0},
    "runner": lambda k: {"runner": functools.partial(OnPolicyRunner, iteration_steps=int(64 + k))},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_fault_02_another_value_is_another_experiment(name: str, tmp_path: pathlib.Path) -> None:
    make = SETTINGS[name]
    first = recorded(**make(1.0))
    with pytest.raises(RunDirectoryError, match="another configuration"):
        resume(tmp_path / "run", first, recorded(**make(-0.5)))
    # The same, made again, goes on.
    resume(tmp_path / "run", recorded(**make(1.0)), recorded(**make(1.0)))


def test_fault_02_other_code_is_another_experiment(tmp_path: pathlib.Path) -> None:
    makes: list[Callable] = [lambda env: Wrap(env, 1.0), lambda env: Wrap(env, -1.0)]
    first, second = (recorded(wrappers=(make,)) for make in makes)
    with pytest.raises(RunDirectoryError, match="train.wrappers: the code of .* is another"):
        resume(tmp_path, first, second)


def test_code_is_the_same_on_another_line_and_with_another_docstring() -> None:
    one: dict[str, Any] = {"__name__": "user"}
    other: dict[str, Any] = {"__name__": "user"}
    exec("def make(env):\n    'A task.'\n    return env.k", one)
    exec("\n\ndef make(env):\n    'The same task.'\n\n    return env.k", other)
    assert str(describe(one["make"])) == str(describe(other["make"]))
    exec("def make(env):\n    'The same task.'\n    return env.l", other)
    assert str(describe(one["make"])) != str(describe(other["make"]))


HOLDERS: dict[str, Callable[[], Any]] = {
    "lock": lambda: types.SimpleNamespace(inner=threading.Lock()),
    "generator": lambda: [iter(()), (item for item in range(3))],
    "file": lambda: {"file": open(__file__)},
    "thread's own": lambda: (threading.local(),),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", HOLDERS)
def test_fault_02_what_cannot_be_compared_is_refused_by_name_when_resumed(
    name: str, tmp_path: pathlib.Path
) -> None:
    one, other = (recorded(make_kwargs={"held": HOLDERS[name]()}) for _ in range(2))
    with pytest.raises(RunDirectoryError, match=r"(?s)train\.make_kwargs: .*held.*function or class"):
        resume(tmp_path, one, other)


@pytest.mark.parametrize("source", [True, False], ids=["source", "no source"])
def test_fault_02_another_python_compares_sources_and_warns_without(
    source: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def task(name: str, text: str) -> Callable:
        (tmp_path / name).write_text(text)
        names: dict[str, Any] = {"__name__": "user"}
        exec(compile(text, str(tmp_path / name) if source else "<string>", "exec"), names)
        return names["make"]

    text = "def make():\n    return 1.0\n"
    first = recorded(task=task("one.py", text))
    # As if another version recorded what follows: other bytecode under its own name.
    monkeypatch.setattr(descriptions, "PYTHON", "3.99")
    monkeypatch.setattr(descriptions, "code_text", lambda code: "other bytecode")
    resume(tmp_path / "run", first, recorded(task=task("two.py", text)))
    assert ("cannot be compared" in caplog.text) != source
    if source:
        with pytest.raises(RunDirectoryError, match="the source of <user.make> is another"):
            resume(tmp_path / "run", first, recorded(task=task("three.py", text.replace("1.0", "2.0"))))


def test_a_record_of_a_function_without_its_code_goes_on_with_a_warning(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = recorded(task=setting)
    with RunDirectory(tmp_path) as run:
        run.prepare("", {}, {"train.task": f"<{__name__}.setting>"}, ENVIRONMENT)
        assert run.prepare(now.text, {}, now.fingerprint(), ENVIRONMENT)
    assert "train.task holds a function whose code cannot be compared" in caplog.text


def test_plain_values_are_recorded_as_they_were() -> None:
    """Runs that began before other values were compared go on."""
    plain = recorded(
        agent=functools.partial(TrpoAgent, entropy_weight=0.1),
        make_kwargs={"g": 9.0, "names": ["a", "b"]},
        num_envs=4,
        runner=functools.partial(OnPolicyRunner, iteration_steps=256),
    )
    assert plain.fingerprint() == {
        "train.agent": "@train_agent/TrpoAgent",
        "train.make_kwargs": "{'g': 9.0, 'names': ['a', 'b']}",
        "train.num_envs": "4",
        "train.runner": "@train_runner/OnPolicyRunner",
        "train.task": "'Pendulum-v1'",
        "train_agent/TrpoAgent.entropy_weight": "0.1",
        "train_runner/OnPolicyRunner.iteration_steps": "256",
    }


def test_an_environment_that_was_stepped_is_the_one_that_was_configured() -> None:
    env = gymnasium.make("Pendulum-v1")
    before = recorded(task=env, eval_interval=0).fingerprint()
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert recorded(task=env, eval_interval=0).fingerprint() == before


def test_fault_02_the_record_states_a_learning_rate_and_a_schedule_that_were_passed() -> None:
    assert "learning_rate=0.0123" in recorded(agent=rate(0.0123)).text
    text = recorded(agent=rate(schedule(0.0123))).text
    assert "'initial_learning_rate': 0.0123" in text and "'decay_steps': 500" in text


@pytest.mark.parametrize("agent", [PpoAgent, SacAgent])
def test_fault_02_the_record_states_what_an_agent_made_by_itself(agent: Any) -> None:
    from expol_tf.configurable import recorded_objects
    from expol_tf.environments import load_vector, time_step_spec
    from expol_tf.training.parts import choose_parts
    from expol_tf.training.settings import Learner

    env = load_vector("Pendulum-v1", seed=0)
    with recorded_objects() as made:
        parts = choose_parts(Learner(agent), 1)
        parts.make_agent(agent, time_step_spec(env), env.action_spec, 0)
    text = recorded(agent=agent).stating(made).text
    expected = {
        PpoAgent: "MinibatchAdam: learning_rate = 0.0003, epochs = 10, minibatch_size = 64, max_gradient",
        SacAgent: "Adam: learning_rate = 0.0003, max_gradient_norm = None, beta_1 = 0.9, beta_2 = 0.999",
    }
    assert f"\n# {expected[agent]}" in text
    # The file means what it meant.
    assert code_digests.digest(text) and "train.agent = @" in text


def test_fault_02_a_resume_by_the_program_keeps_what_an_agent_made_by_itself(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "run"
    train(
        root,
        "expol/MultiGoal-v0",
        functools.partial(PpoAgent, acting=Acting(jit_compile=False)),
        functools.partial(GaussianActorNetwork, hidden_units=(4,)),
        runner=functools.partial(OnPolicyRunner, iteration_steps=64),
        num_envs=2,
        num_env_steps=64,
        eval_interval=0,
    )
    before = (root / "config.gin").read_text()
    assert "\n# MinibatchAdam: learning_rate = 0.0003" in before
    assert train_main(["expol-train", f"--root_dir={root}", "--num_env_steps=128"]) == 0
    assert (root / "config.gin").read_text() == before.replace("num_env_steps = 64", "num_env_steps = 128")


def test_what_holds_itself_ends() -> None:
    one: list = []
    one.append(one)
    assert str(describe(one)) == "[…]"
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in str(describe(deep))
    assert recorded(make_kwargs={"deep": one}).unwritable
