"""Calls of the training package's objects with what they cannot take: one sentence each."""

from __future__ import annotations

import functools
import math
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import SacAgent, Transitions
from expol_tf.configuration import configuration_from_call
from expol_tf.environments import load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.training import (
    CheckpointStore,
    Course,
    Evaluator,
    Experiment,
    KeepBestPolicy,
    Learner,
    OffPolicyRunner,
    Records,
    StopAtReturn,
    Task,
    TrainingEvent,
    UniformReplay,
    check_experiment,
    run_experiment,
)
from expol_tf.training.observers import asks_for_end

TASK = "expol/MultiGoal-v0"
CALLS: dict[str, tuple[Callable[[Any, pathlib.Path], Any], str]] = {
    "keep the best": (lambda v, _: KeepBestPolicy()(v), "event must be a TrainingEvent"),
    "stop": (lambda v, _: StopAtReturn(1.0)(v), "event must be a TrainingEvent"),
    "step of a checkpoint": (lambda v, path: CheckpointStore(path).save(v, {}), "env_step must be int"),
    "objects to save": (lambda v, path: CheckpointStore(path).save(1, v), "trackables must be"),
    "an object to save": (
        lambda v, path: CheckpointStore(path).save(1, {"weight": v}),
        "trackables must be TensorFlow objects by name: .*weight",
    ),
    "arrays to save": (lambda v, path: CheckpointStore(path).save(1, {}, v), "arrays must be"),
    "objects to restore": (lambda v, path: CheckpointStore(path).restore(v), "trackables must be"),
    "transitions": (lambda v, _: UniformReplay(9, 2, 2).append(v), "transitions must be a Transitions"),
    "size of a batch": (
        lambda v, _: UniformReplay(9, 2, 2).sample(v, tf.constant([0, 1])),
        "batch_size must",
    ),
    "run": (lambda v, _: run_experiment(v, v), "experiment must be an Experiment"),
    "check": (lambda v, _: check_experiment(v, v), "experiment must be an Experiment"),
    "agent": (lambda v, _: Evaluator(TASK, 0, 10, 1).evaluate(v, 10), "agent must have a policy; got"),
    "noisy agent": (
        lambda v, _: Evaluator(TASK, 0, 10, 1, deterministic=False).evaluate(v, 10),
        "agent must have a collect_policy; got",
    ),
    "restart": (
        lambda v, _: load_vector(TASK, 2, 0).restart(v),
        r"where must be an array of bool of shape \(2,\)",
    ),
}


@pytest.mark.parametrize("value", ["a", 3.5, {0}], ids=str)
@pytest.mark.parametrize(("call", "words"), CALLS.values(), ids=CALLS)
def test_fault_13_calls(call: Callable, words: str, value: Any, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match=words):
        call(value, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists() or not any((tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize("name", ["learner", "task", "course", "records"])
def test_fault_13_parts_of_an_experiment(name: str) -> None:
    parts = {"learner": Learner(), "task": Task(TASK), "course": Course(), "records": Records("run")}
    with pytest.raises(ConfigurationError, match=f"{name} must be an? {name.capitalize()}; got None"):
        Experiment(**{**parts, name: None})  # type: ignore[arg-type]
    assert Experiment(**parts).task.task == TASK  # type: ignore[arg-type]


def test_fault_13_an_empty_replay() -> None:
    replay = UniformReplay(9, 2, 2)
    with pytest.raises(ConfigurationError, match="the replay is empty: append transitions"):
        replay.sample(3, tf.constant([0, 1]))
    one = tf.ones([1])
    replay.append(Transitions(tf.ones([1, 2]), tf.ones([1, 2]), one, one, tf.ones([1, 2])))
    assert replay.sample(3, tf.constant([0, 1])).reward.numpy().tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("where", [np.array([0, 1]), [True, False], np.array([True])])
def test_fault_13_numbers_are_not_a_mask(where: Any) -> None:
    """Sub-environments 0 and 1 were taken for "not the first, but the second"."""
    environment = load_vector(TASK, 2, 0)
    environment.reset()
    with pytest.raises(ConfigurationError, match="where must be an array of bool"):
        environment.restart(where)


@pytest.mark.parametrize("num_envs", [1, 7])
def test_fault_15_an_iteration_is_no_longer_than_the_run(num_envs: int, tmp_path: pathlib.Path) -> None:
    """From Python, where no configuration is checked beforehand."""

    def start(iteration_steps: int, num_env_steps: int) -> str:
        task = Task("Pendulum-v1", num_envs)
        learner = Learner(
            SacAgent, runner=functools.partial(OffPolicyRunner, iteration_steps=iteration_steps)
        )
        course = Course(num_env_steps=num_env_steps)
        experiment = Experiment(learner, task, course, Records(tmp_path / "run"))
        return check_experiment(experiment, configuration_from_call("train", experiment.keywords))

    with pytest.raises(
        ConfigurationError, match="iteration_steps must be at most .* got 2,000,00.* run of 60"
    ):
        start(2_000_000_000, 60)
    # It is rounded up to a multiple of seven; a first try may be as short as one iteration.
    assert start(20_001, 20_001).startswith("checked")
    assert start(1000, 60).startswith("checked")
    assert not (tmp_path / "run").exists()


EVENT = TrainingEvent(64, None, None, None, None, pathlib.Path("run"))


@pytest.mark.parametrize(
    "answer", [np.array([1, 2]), np.array([True]), math.nan, "text", 0, [], {"stop": False}], ids=str
)
def test_fault_13_answers_of_observers(answer: Any) -> None:
    with pytest.raises(
        ConfigurationError, match="must return True, False or None; at env_step 64 it returned"
    ):
        asks_for_end(lambda event: answer, EVENT)


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("kind", [bool, np.bool_, np.asarray, tf.constant])
def test_fault_13_truth_values_of_observers(kind: Callable, ends: bool) -> None:
    assert asks_for_end(lambda event: kind(ends), EVENT) is ends
    assert asks_for_end(lambda event: None, EVENT) is False


@pytest.mark.parametrize("code", [0, 3, "enough"])
def test_fault_13_an_observer_that_ends_the_program(code: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"must return True to end .* called sys.exit\({code!r}\)"):
        asks_for_end(lambda event: sys.exit(code), EVENT)


def test_fault_13_a_run_asks_its_observers_so(tmp_path: pathlib.Path) -> None:
    runner = functools.partial(OffPolicyRunner, iteration_steps=8)
    course = Course(num_env_steps=8, observers=[lambda event: sys.exit(0)])
    learner, records = Learner(SacAgent, runner=runner), Records(tmp_path / "run", eval_interval=0)
    experiment = Experiment(learner, Task(TASK), course, records)
    with pytest.raises(ConfigurationError, match=r"at env_step 8 it called sys.exit\(0\)"):
        run_experiment(experiment, configuration_from_call("train", experiment.keywords))
