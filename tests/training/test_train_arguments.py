"""Arguments of `train` that cannot be right are refused by one message, before a directory is made."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import gin
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

import expol_tf
from expol_tf.agents import SacAgent, TrpoAgent
from expol_tf.environments import NoisyObservation, load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.networks import (
    CriticNetwork,
    DiscriminatorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    ObservationNormalizer,
    ValueNetwork,
)
from expol_tf.training import (
    Course,
    KeepBestPolicy,
    Learner,
    OffPolicyRunner,
    OnPolicyRunner,
    StopAtReturn,
    Task,
)
from expol_tf.training.parts import choose_parts

OBSERVATION_SPEC = tensor_spec.TensorSpec([3], tf.float32)
ACTION_SPEC = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)


def make_value(observation_spec: Any) -> ValueNetwork:
    return ValueNetwork(observation_spec)


def refused(root: pathlib.Path, **arguments: Any) -> str:
    given = {"root_dir": root / "run", "task": "Pendulum-v1", **arguments}
    with pytest.raises(ConfigurationError) as raised:
        expol_tf.train(**given)
    assert list(root.iterdir()) == []
    message = str(raised.value)
    # gin adds lines of its own.
    return message.partition("\n")[0]


@pytest.mark.parametrize("root_dir", [None, 3, b"x", ""], ids=repr)
def test_the_directory_is_a_path(root_dir: Any, tmp_path: pathlib.Path) -> None:
    message = refused(tmp_path, root_dir=root_dir)
    assert message.startswith(
        f"root_dir must be a path, as a string or a pathlib.Path; got {root_dir!r}. Give "
    )


@pytest.mark.parametrize(
    ("observers", "got"),
    [
        (3, "3. Write"),
        ([3], "3 in it. Give"),
        ("ab", "'ab'. Write"),
        (None, "None. Write"),
        (print, "print. Write"),
        ([StopAtReturn(0.0), KeepBestPolicy], "KeepBestPolicy in it. Give"),
    ],
    ids=str,
)
def test_observers_are_a_list_of_functions(observers: Any, got: str, tmp_path: pathlib.Path) -> None:
    message = refused(tmp_path, observers=observers)
    assert message.startswith(f"observers must be a list of functions that take a TrainingEvent; got {got} ")


@pytest.mark.parametrize("observer", [lambda: None, lambda event, more: None, lambda **event: None])
def test_fault_13_observers_take_one_argument(observer: Any, tmp_path: pathlib.Path) -> None:
    message = refused(tmp_path, observers=[observer])
    assert "<lambda> in it, which cannot be called with one argument." in message


def test_right_observers_pass() -> None:
    assert len(Course(observers=(print, StopAtReturn(0.0), lambda event: None)).observers) == 3


@pytest.mark.parametrize(
    ("wrappers", "got"),
    [
        (NoisyObservation, "NoisyObservation. Write"),
        ("ab", "'ab'. Write"),
        (None, "None. Write"),
        ([NoisyObservation, 3], "3 in it. Give"),
        ([GaussianActorNetwork], "GaussianActorNetwork in it. Give"),
    ],
    ids=str,
)
def test_wrappers_are_a_list_of_functions(wrappers: Any, got: str, tmp_path: pathlib.Path) -> None:
    rule = f"wrappers must be a list of functions env → env; got {got} "
    assert refused(tmp_path, wrappers=wrappers).startswith(rule)
    with pytest.raises(ConfigurationError) as raised:
        load_vector("Pendulum-v1", wrappers=wrappers)
    assert str(raised.value).startswith(rule)


@pytest.mark.parametrize(
    ("task", "got"),
    [
        (GaussianActorNetwork, "GaussianActorNetwork"),
        (functools.partial(ValueNetwork, hidden_units=(8,)), "partial(ValueNetwork)"),
        (make_value, "make_value"),
        (3, "3"),
        (None, "None"),
    ],
    ids=str,
)
def test_the_task_makes_environments(task: Any, got: str, tmp_path: pathlib.Path) -> None:
    message = refused(tmp_path, task=task)
    assert message == f"task must be a Gymnasium id, a gymnasium.Env or a function that makes one; got {got}."


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("num_envs", 0, "num_envs must be 1 or more; got 0."),
        ("num_envs", "a", "num_envs must be int; got 'a'."),
        ("backend", "ray", 'backend must be "sync" or "envpool"; got \'ray\'.'),
        ("make_kwargs", 3, "make_kwargs must be keyword arguments, a dict, or None; got 3."),
        ("make_kwargs", {3: 4}, "make_kwargs must be keyword arguments, a dict, or None; got {3: 4}."),
        ("seed", -1, "seed must be 0 or more; got -1."),
        ("seed", "a", "seed must be int; got 'a'."),
        ("num_env_steps", None, "num_env_steps must be int; got None."),
        ("eval_interval", -1, "eval_interval must be 0 or more; got -1."),
        ("eval_episodes", 0, "eval_episodes must be 1 or more; got 0."),
        ("eval_max_steps", 0, "eval_max_steps must be 1 or more; got 0."),
        ("checkpoint_interval", float("nan"), "checkpoint_interval must be int; got nan."),
        ("log_interval", True, "log_interval must be int; got True."),
    ],
)
def test_numbers_and_the_like(argument: str, value: Any, rule: str, tmp_path: pathlib.Path) -> None:
    assert refused(tmp_path, **{argument: value}).startswith(rule)


WANTED = {
    "agent": "an agent",
    "actor_network": "a policy's network",
    "value_network": "a value network",
    "critic_network": "a critic network",
    "observation_normalizer": "an observation normalizer",
    "runner": "a runner",
}


@pytest.mark.parametrize(
    ("argument", "value", "got"),
    [
        ("agent", GaussianActorNetwork, "GaussianActorNetwork, which makes a policy's network."),
        ("agent", DiscriminatorNetwork, "DiscriminatorNetwork."),
        ("agent", None, "None."),
        ("agent", dict, "dict."),
        ("actor_network", ValueNetwork, "ValueNetwork, which makes a value network."),
        (
            "actor_network",
            functools.partial(CriticNetwork),
            "partial(CriticNetwork), which makes a critic network.",
        ),
        ("actor_network", make_value, "make_value, which makes a value network."),
        ("actor_network", "GaussianActorNetwork", "'GaussianActorNetwork'."),
        ("actor_network", 0, "0."),
        ("actor_network", dict, "dict."),
        ("value_network", FlowActorNetwork, "FlowActorNetwork, which makes a policy's network."),
        ("value_network", TrpoAgent, "TrpoAgent, which makes an agent."),
        ("critic_network", ValueNetwork, "ValueNetwork, which makes a value network."),
        ("observation_normalizer", ValueNetwork, "ValueNetwork, which makes a value network."),
        ("observation_normalizer", 3, "3."),
        ("runner", ObservationNormalizer, "ObservationNormalizer, which makes an observation normalizer."),
        ("runner", 3, "3."),
        ("runner", NoisyObservation, "NoisyObservation."),
    ],
)
def test_a_part_is_made_for_its_argument(argument: str, value: Any, got: str, tmp_path: pathlib.Path) -> None:
    agent = {"agent": SacAgent} if argument == "critic_network" else {}
    message = refused(tmp_path, **{**agent, argument: value})
    rule = f"{argument} must be a class or function that makes {WANTED[argument]}"
    assert message == f"{rule}; got {got} Give another, or none."


def test_an_object_is_not_its_class(tmp_path: pathlib.Path) -> None:
    message = refused(tmp_path, actor_network=GaussianActorNetwork(OBSERVATION_SPEC, ACTION_SPEC))
    assert "got an object of the class GaussianActorNetwork. Give the class itself" in message


def test_a_function_takes_what_it_is_called_with(tmp_path: pathlib.Path) -> None:
    message = refused(tmp_path, actor_network=lambda spec: None)
    rule = "actor_network must be a class or function that can be called with observation_spec, action_spec"
    assert message.startswith(f"{rule}; got ")


def test_the_runner_has_the_seed_of_the_run(tmp_path: pathlib.Path) -> None:
    runner = functools.partial(functools.partial(OffPolicyRunner, seed=3), batch_size=8)
    message = refused(tmp_path, agent=SacAgent, runner=runner)
    assert message.startswith(
        "OffPolicyRunner.seed must be left out here, as the runner gets the run's seed; got 3."
    )
    gin.parse_config("OffPolicyRunner.seed = 4")
    try:
        with pytest.raises(ConfigurationError, match="OffPolicyRunner.seed must be left out here.*got 4"):
            choose_parts(Learner(SacAgent))
        choose_parts(Learner(TrpoAgent))
    finally:
        gin.clear_config()
    choose_parts(Learner(SacAgent, runner=functools.partial(OffPolicyRunner, seed=None)))


def test_right_parts_pass() -> None:
    choose_parts(Learner(functools.partial(TrpoAgent), FlowActorNetwork, make_value, runner=OnPolicyRunner))
    choose_parts(Learner(lambda *parts, **options: None, lambda *specs: None))
    Task(
        "Pendulum-v1",
        wrappers=[NoisyObservation, functools.partial(NoisyObservation, std=0.1), lambda env: env],
    )
