"""What the training program says of an environment that misbehaves."""

from __future__ import annotations

import pathlib
import sys

import gymnasium
import pytest

import expol_tf
from expol_tf.agents import DdpgAgent
from expol_tf.cli.commands.train import train_main
from expol_tf.errors import TaskError
from expol_tf.sweeps.process import failure

_MODULE = """
import sys
import gymnasium
import numpy as np
from gymnasium import spaces


class Valve(gymnasium.Env):
    observation_space = spaces.Box(-9, 9, (3,))
    action_space = spaces.Box(-1, 1, (2,))

    def __init__(self, fault):
        self.fault, self.count = fault, 0
        if fault == "maker":
            self.stick()
        if fault == "memory of the maker":
            raise MemoryError("no room")

    def stick(self):
        raise ValueError("stuck")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.count += 1
        if self.count == 2 and self.fault == "step":
            self.stick()
        if self.count == 2 and self.fault == "memory":
            raise MemoryError("no room")
        if self.count == 2 and self.fault == "exit":
            sys.exit(0)
        terminated = None if self.fault == "end" else self.count % 4 == 0
        return np.zeros(3, np.float32), 0.0, terminated, False, {}

    def close(self):
        if self.fault == "close":
            self.stick()


gymnasium.register("Valve-v0", Valve)
"""
_PLACE = "valve:Valve-v0, sub-environment 0"
_WORDS = {
    "maker": "The task 'valve:Valve-v0' cannot be made: its constructor raised ValueError: stuck.",
    "step": f"{_PLACE}, step 2: step() raised ValueError: stuck.",
    "exit": f"{_PLACE}, step 2: step() called sys.exit(0), which would end the program.",
    "end": f"{_PLACE}, step 1: terminated, which step() returns, must be True or False; got None.",
    "close": f"{_PLACE}: close() raised ValueError: stuck.",
    "memory": f"{_PLACE}, step 2: step() raised MemoryError: no room.",
    "memory of the maker": "The task 'valve:Valve-v0' cannot be made: its constructor raised MemoryError: no",
}


@pytest.fixture(autouse=True)
def _module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "valve.py").write_text(_MODULE)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("valve", None)
    gymnasium.registry.pop("Valve-v0", None)


@pytest.mark.parametrize("fault", _WORDS)
def test_fault_17_what_the_program_says(fault: str, capfd: pytest.CaptureFixture) -> None:
    bindings = [
        "train.task = 'valve:Valve-v0'", f"train.make_kwargs = {{'fault': '{fault}'}}",
        "train.agent = @DdpgAgent", "train.num_envs = 1", "train.num_env_steps = 8",
        "train.eval_interval = 0", "train.runner = @OffPolicyRunner", "OffPolicyRunner.iteration_steps = 8",
        "OffPolicyRunner.warm_up_steps = 100", "OffPolicyRunner.batch_size = 4",
        "OffPolicyRunner.replay_capacity = 100", "train.root_dir = 'run'",
    ]  # fmt: skip
    status = train_main(["expol-train", *(f"--gin_bindings={each}" for each in bindings)])
    error = capfd.readouterr().err
    assert status == (1 if "memory" in fault else 2)
    message = next(line for line in error.splitlines() if line.startswith("expol-train: error: "))
    assert message.removeprefix("expol-train: error: ").startswith(_WORDS[fault])
    assert failure(status, error) == f"exit status {status}: {message.removeprefix('expol-train: error: ')}"
    frames = [line.strip() for line in error.splitlines() if line.strip().startswith("File ")]
    assert all("valve.py" in frame for frame in frames) and bool(frames) == (fault != "end")


def test_fault_17_what_python_prints() -> None:
    sys.path.insert(0, ".")
    try:
        import valve  # type: ignore[import-not-found]
    finally:
        sys.path.remove(".")
    with pytest.raises(
        TaskError, match="^Valve, sub-environment 0, step 2: step.. raised ValueError: stuck"
    ) as caught:
        expol_tf.train(
            "run", lambda: valve.Valve("step"), agent=DdpgAgent, num_envs=1, num_env_steps=8, eval_interval=0
        )
    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["step", "stick"]
    assert not {"run_experiment", "iterate", "_advance"} & set(names), (
        "frames that the user can do nothing about"
    )
