"""Runs stopped by a signal anywhere go on bit for bit as if they had not been; what never ends is stopped."""

from __future__ import annotations

import functools
import pathlib
import signal
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

import expol_tf
from expol_tf.agents import Acting, OnPolicyAgent, TrpoAgent
from expol_tf.environments import load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.interruption import Stopped, StopRequest
from expol_tf.networks import GaussianActorNetwork
from expol_tf.training import (
    Evaluator,
    OffPolicyRunner,
    OnPolicyRunner,
    TrainingResult,
    evaluate_policy,
    video,
)
from expol_tf.training.runners import off_policy_runner, on_policy_runner
from tests.training import off_policy_run
from tests.training.sent_signals import STEPS
from tests.training.signals import Signalling, last_checkpoint, require_same, rows, send_at
from tests.training.stand_in import Counting, Forgetful, StandInAgent

ITERATION = 64


def run_on_policy(root: pathlib.Path, **settings: Any) -> TrainingResult:
    """Four iterations of sixteen steps of four environments, evaluated after the second and the last."""
    return expol_tf.train(
        root,
        "InvertedPendulum-v5",
        agent=functools.partial(TrpoAgent, acting=Acting(jit_compile=False)),
        actor_network=functools.partial(GaussianActorNetwork, hidden_units=(8,)),
        runner=functools.partial(OnPolicyRunner, iteration_steps=ITERATION),
        wrappers=(Signalling,),
        **dict(num_envs=4, num_env_steps=4 * ITERATION, eval_interval=2 * ITERATION, eval_episodes=2)
        | settings,
    )


def run_off_policy(root: pathlib.Path, agent: str = "sac", **settings: Any) -> TrainingResult:
    """Nine iterations of 24 steps of two environments, the first two without updates."""
    return off_policy_run.run(root, agent, wrappers=(Signalling,), **settings)


def evaluation_steps(root: pathlib.Path) -> list[int]:
    """Steps of each evaluation of a run that was evaluated in episodes side by side."""
    return [round(float(row["length_mean"]) * int(row["episodes"])) for row in rows(root / "evaluation.csv")]


@pytest.fixture(scope="module")
def whole_on_policy(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("runs") / "whole"
    send_at()
    assert run_on_policy(root).env_step == 4 * ITERATION
    return root


@pytest.fixture(scope="module")
def whole_off_policy(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("runs") / "whole"
    send_at()
    assert run_off_policy(root).env_step == off_policy_run.END
    return root


def test_fault_10_an_on_policy_run_stopped_anywhere(
    whole_on_policy: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    first_evaluation, _ = evaluation_steps(whole_on_policy)
    root = tmp_path / "run"
    # Each goes on where the one before it stopped: steps until the signal, and the checkpoint's.
    for steps, env_step, finished, evaluations in (
        (30, 0, 0, 0),  # in the first iteration, which begins again
        (ITERATION + 18, ITERATION, 1, 0),  # in the second one
        (ITERATION + 2, 2 * ITERATION, 2, 0),  # in an evaluation, which is made again
        (first_evaluation + 2 * ITERATION + 2, 4 * ITERATION, 4, 1),  # in the evaluation at the end
    ):
        send_at(steps)
        result = run_on_policy(root)
        assert (result.env_step, result.interrupted_by) == (env_step, signal.SIGTERM)
        assert len(rows(root / "metrics.csv")) == finished
        assert len(rows(root / "evaluation.csv")) == evaluations
        assert len(STEPS) <= steps + 4, "at the next step of all environments"
        output = capsys.readouterr().out
        assert "stopping after the present step" in output and f"stopped at env_step {env_step}" in output
    send_at()
    assert run_on_policy(root).interrupted_by is None
    assert f"resumed at env_step {4 * ITERATION}" in capsys.readouterr().out
    require_same(root, whole_on_policy)
    run_on_policy(root)
    assert "nothing to do" in capsys.readouterr().out
    assert rows(root / "evaluation.csv") == rows(whole_on_policy / "evaluation.csv")


_OTHERS = [pytest.param(agent, marks=pytest.mark.slow) for agent in ("ddpg", "sql", "s2ac", "s2ac_amortized")]


@pytest.mark.parametrize("agent", ["sac", *_OTHERS])
def test_fault_10_an_off_policy_run_stopped_anywhere(
    agent: str, whole_off_policy: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    if agent != "sac":
        whole_off_policy = tmp_path / "whole"
        send_at()
        run_off_policy(whole_off_policy, agent)
    first_evaluation, second_evaluation, _ = evaluation_steps(whole_off_policy)
    root, iteration = tmp_path / "run", off_policy_run.ITERATION
    for steps, env_step, finished, evaluations in (
        (31, 32, 0, 0),  # in the warm-up
        (2 * iteration + 30 - 32, 2 * iteration + 30, 2, 0),  # in the first iteration with updates
        (2 * iteration - 30 + 1, 4 * iteration, 4, 0),  # in an evaluation
        (
            first_evaluation + second_evaluation + 5 * iteration - 2,
            9 * iteration - 2,
            8,
            2,
        ),  # at the last step
    ):
        send_at(steps)
        result = run_off_policy(root, agent)
        assert (result.env_step, result.interrupted_by) == (env_step, signal.SIGTERM)
        assert last_checkpoint(root).name.startswith(f"checkpoint-{env_step:012d}")
        assert len(rows(root / "metrics.csv")) == finished
        assert len(rows(root / "evaluation.csv")) == evaluations
    send_at()
    assert run_off_policy(root, agent).interrupted_by is None
    require_same(root, whole_off_policy)


class Countdown:
    """Stands for `stop_requested`: true at every second question, or after so many."""

    def __init__(self, *answers: int) -> None:
        self._answers, self._asked = set(answers), 0

    def __call__(self) -> bool:
        self._asked += 1
        return self._asked in self._answers


def test_an_off_policy_iteration_stopped_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Iterations of five steps of two environments; the warm-up ends within the first."""

    def make() -> tuple[OffPolicyRunner, StandInAgent]:
        agent = StandInAgent(True, 4)
        settings = dict(replay_capacity=20, batch_size=4, updates_per_step=0.75, warm_up_steps=6)
        return OffPolicyRunner(
            load_vector(Counting, 2, seed=0), agent, iteration_steps=10, seed=0, **settings
        ), agent

    runner, agent = make()
    expected = [runner.iterate() for _ in range(2)]
    final = runner.get_state()

    runner, agent = make()
    for whole in expected:
        env_steps = 0
        for step in range(5):
            # Asked before each step: the first time before the one that is to be done.
            monkeypatch.setattr(
                off_policy_runner, "stop_requested", Countdown(2) if step < 4 else Countdown()
            )
            part = runner.iterate()
            env_steps += part.env_steps
            assert part.complete == (step == 4)
            saved, variables = runner.get_state(), [variable.numpy() for variable in agent.variables]
            runner, agent = make()
            for variable, value in zip(agent.variables, variables, strict=True):
                variable.assign(value)
            runner.set_state(saved)
        assert env_steps == whole.env_steps == 10
        assert part._replace(env_steps=10) == whole
    for name, value in runner.get_state().items():
        np.testing.assert_array_equal(value, final[name], err_msg=name)


class Drawing:
    """A policy that acts by its generator and the sum of what was collected so far."""

    info_spec: dict[str, Any] = {}

    def __init__(self) -> None:
        self.generator = tf.random.Generator.from_seed(0, alg="philox")
        self.total = tf.Variable(0.0)

    def act(self, observation: np.ndarray) -> Any:
        return self.generator.normal([len(observation), 1]) + 1e-3 * self.total, {}

    def train(self, rollout: Any) -> Any:
        total = self.total.assign_add(float(np.sum(rollout.reward)))
        return _Info({"total": total, "observed": tf.constant(float(np.sum(rollout.observation)))})


class _Info(NamedTuple):
    extra: dict[str, tf.Tensor]


@pytest.mark.parametrize("task", [Counting, Forgetful])
def test_an_on_policy_iteration_stopped_at_every_step(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Iterations of five steps of two environments; what is stopped is as it was before."""

    def make() -> OnPolicyRunner:
        policy = Drawing()
        agent = mock.NonCallableMagicMock(
            spec=OnPolicyAgent, collect_policy=policy, train_on_rollout=policy.train
        )
        return OnPolicyRunner(load_vector(task, 2, seed=0), agent, 10)

    runner = make()
    expected = [runner.iterate() for _ in range(3)]
    runner = make()
    for whole in expected:
        for step in range(1, 7):
            asked = Countdown(step)

            def check(asked: Callable[[], bool] = asked) -> None:
                if asked():
                    raise Stopped(signal.SIGTERM)

            monkeypatch.setattr(on_policy_runner, "raise_if_stopped", check)
            stopped = runner.iterate()
            assert stopped == (0, [], [], {}, False)
        monkeypatch.undo()
        complete = runner.iterate()
        # Environments whose state cannot be saved go on with the episodes that run.
        assert complete == whole or task is Forgetful


class Endless(gymnasium.Env):
    """Never ends; every step pays 1; sends a signal at a step, if asked for."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, [1])
    action_space = gymnasium.spaces.Box(-1.0, 1.0, [1])
    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return np.zeros(1, np.float32), 1.0, False, False, {}

    def render(self) -> np.ndarray:
        return np.zeros([8, 8, 3], np.uint8)


def still(observation: np.ndarray) -> np.ndarray:
    return np.zeros([len(observation), 1])


@pytest.mark.parametrize("num_envs", [1, 2, 3])
def test_fault_10_an_environment_that_never_ends_is_evaluated(
    num_envs: int, caplog: pytest.LogCaptureFixture
) -> None:
    result = evaluate_policy(still, load_vector(Endless, num_envs), 3, max_steps=7)
    assert result.lengths.tolist() == [7, 7, 7] and result.returns.tolist() == [7.0, 7.0, 7.0]
    assert "3 of 3 episodes of Endless had not ended after 7 steps (EVAL_MAX_STEPS)" in caplog.text


def test_only_what_is_longer_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    # Episodes of 3, 4 and 5 steps.
    result = evaluate_policy(still, load_vector(Counting, 1), 6, max_steps=4)
    assert result.lengths.tolist() == [3, 4, 4, 3, 4, 4]
    assert "2 of 6 episodes" in caplog.text


def test_the_limit_is_the_evaluators_and_a_number_of_steps() -> None:
    assert Evaluator(Endless, 0, episodes=2, max_steps=5).evaluate(_Still(), 0).lengths.tolist() == [5, 5]
    with pytest.raises(ConfigurationError, match="max_steps must be 1 or more; got 0"):
        Evaluator(Endless, 0, max_steps=0)
    with pytest.raises(ConfigurationError, match="max_steps must be 1 or more; got 0"):
        evaluate_policy(still, load_vector(Endless), 1, max_steps=0)


class _Still:
    policy: Any

    def __init__(self) -> None:
        self.policy = self

    act = staticmethod(still)


def evaluate_endlessly(tmp_path: pathlib.Path, make: Callable[..., gymnasium.Env]) -> None:
    evaluate_policy(still, load_vector(make, 2), 2)


def film_endlessly(tmp_path: pathlib.Path, make: Callable[..., gymnasium.Env]) -> None:
    video.record_video(still, make, tmp_path / "video.gif")


@pytest.mark.parametrize("work", [evaluate_endlessly, film_endlessly])
def test_fault_10_what_never_ends_can_be_stopped(
    work: Callable[..., None], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    video.choose_renderer.cache_clear()
    said: list[str] = []
    send_at(5)
    with StopRequest("the present step", say=said.append), pytest.raises(Stopped):
        work(tmp_path, lambda **kwargs: Signalling(Endless(**kwargs)))
    video.choose_renderer.cache_clear()
    assert 5 <= len(STEPS) <= 6 and said[0].startswith("stopping after the present step (SIGTERM")


def test_a_video_of_what_never_ends_is_cut_off(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    video.choose_renderer.cache_clear()
    frames = video.record_video(still, Endless, tmp_path / "video.gif", episodes=2, max_steps=5)
    video.choose_renderer.cache_clear()
    assert frames == 11 and caplog.text.count("An episode of Endless was cut off after 5 steps") == 2
