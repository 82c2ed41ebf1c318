"""The evaluation program on a run trained for the purpose."""

from __future__ import annotations

import pathlib
import re
from functools import partial

import gymnasium
import imageio.v3 as imageio
import pytest

from expol_tf import train
from expol_tf.agents import Acting, TrpoAgent
from expol_tf.cli.commands.evaluate import evaluate_main
from expol_tf.networks import GaussianActorNetwork


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("runs") / "run"
    train(
        root,
        "Pendulum-v1",
        agent=partial(TrpoAgent, acting=Acting(jit_compile=False)),
        actor_network=partial(GaussianActorNetwork, hidden_units=(4,)),
        num_envs=4,
        num_env_steps=2048,
        make_kwargs={"max_episode_steps": 20},
        eval_interval=0,
    )
    return root


def evaluate(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert evaluate_main(["expol-evaluate", *arguments]) == 0
    return capsys.readouterr().out


def test_table(root: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    text = evaluate(capsys, f"--root_dir={root}", "--episodes=3")
    lines = text.splitlines()
    assert lines[0] == "Pendulum-v1, 3 episodes, greedy actions"
    assert re.match(r"return +-\d+\.\d\d +\d+\.\d\d +-\d+\.\d\d +-\d+\.\d\d$", lines[2])
    # The run's own make_kwargs hold.
    assert lines[3].split() == ["length", "20.00", "0.00", "20.00", "20.00"]
    assert evaluate(capsys, f"--root_dir={root}", "--episodes=3") == text
    assert evaluate(capsys, f"--root_dir={root}", "--episodes=3", "--seed=1") != text


def test_sampled_actions(root: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    arguments = (f"--root_dir={root}", "--episodes=3", "--nodeterministic")
    text = evaluate(capsys, *arguments)
    assert "sampled actions" in text
    assert evaluate(capsys, *arguments) == text


def test_video(root: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "video.gif"
    text = evaluate(capsys, f"--root_dir={root}", "--episodes=1", f"--video_path={path}")
    assert f"21 frames in {path}" in text
    # Equal pictures in a row are stored as one.
    assert 10 < len(imageio.imread(path)) <= 21


def test_an_environment_from_python_cannot_be_made_again(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    def make() -> gymnasium.Env:
        return gymnasium.make("Pendulum-v1")

    small = {"num_envs": 4, "num_env_steps": 2048, "eval_interval": 0}
    train(tmp_path / "run", make, GaussianAgent, GaussianActorNetwork, **small)
    assert evaluate_main(["expol-evaluate", f"--root_dir={tmp_path / 'run'}"]) == 2
    assert "names no task" in capsys.readouterr().err


def GaussianAgent(*arguments: object, **keywords: object) -> TrpoAgent:
    return TrpoAgent(*arguments, acting=Acting(jit_compile=False), **keywords)
