"""One attempt: a real process, though not of the training program."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from expol_tf.errors import DependencyError
from expol_tf.sweeps import process as sweep_process
from expol_tf.sweeps.process import Attempt, AttemptResult, failure, make_attempt
from expol_tf.sweeps.ray_pool import import_ray


@pytest.fixture
def attempt(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    def attempt(program: str, variables: dict | None = None) -> AttemptResult:
        monkeypatch.setattr(sweep_process, "TRAIN", textwrap.dedent(program))
        inherited = sweep_process.inherited_variables() | (variables or {})
        arguments = ("--seed=3",)
        log = tmp_path / "logs" / "run.log"
        return make_attempt(
            Attempt(arguments, log, tmp_path / "stop", str(tmp_path), inherited, "run, attempt 1")
        )

    return attempt


def log(tmp_path: pathlib.Path) -> str:
    return (tmp_path / "logs" / "run.log").read_text()


def test_output_is_kept_and_appended(attempt, tmp_path: pathlib.Path) -> None:
    program = "import sys; print('hello', sys.argv[1:]); print('error', file=sys.stderr)"
    assert attempt(program) == AttemptResult(0, "", True, False)
    attempt(program)
    lines = log(tmp_path).splitlines()
    assert lines[0].startswith("--- run, attempt 1, ") and lines[1] == "expol-train --seed=3"
    assert lines.count("hello ['--seed=3']") == 2 and lines.count("error") == 2


def test_the_environment_is_the_sweeps(attempt, tmp_path: pathlib.Path, monkeypatch) -> None:
    # As Ray does in its workers: the run's threads must be as without Ray.
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("RAY_JOB_ID", "1")
    program = """
        import os, signal
        print(os.environ["OMP_NUM_THREADS"], os.environ.get("RAY_JOB_ID"), os.getcwd())
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getsid(0) == os.getpid())
    """
    attempt(program, {"OMP_NUM_THREADS": "2"})
    assert log(tmp_path).splitlines()[-2:] == [f"2 None {tmp_path}", "set() True"]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("raise RuntimeError('out of luck')", (1, "exit status 1: RuntimeError: out of luck", True)),
        (
            "import sys; print('expol-train: error: no task', 'x'); print('later'); sys.exit(2)",
            (2, "exit status 2: no task x", False),
        ),
        (
            "import sys; print('expol-train: error: root_dir r is in use by process 1.'); sys.exit(2)",
            (2, "exit status 2: root_dir r is in use by process 1.", True),
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            (-9, "killed by SIGKILL (out of memory?)", True),
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", (-11, "killed by SIGSEGV", True)),
        ("import os; os.kill(os.getpid(), 40)", (-40, "killed by signal 40", True)),
    ],
    ids=["exception", "mistake", "in use", "killed", "crash", "a signal without a name"],
)
def test_a_failure_is_told_in_a_line(attempt, program: str, expected: tuple) -> None:
    result = attempt(program)
    assert (result.returncode, result.message, result.retry) == expected and not result.stopped


def test_fault_16_a_run_that_finds_too_little_memory_is_tried_again(tmp_path: pathlib.Path) -> None:
    """The training program itself, with a replay of 336 GB."""
    arguments = (
        "--gin_file=gin/sac.gin",
        "--gin_bindings=OffPolicyRunner.replay_capacity = 2000000000",
        f"--root_dir={tmp_path}/run",
    )
    log, stop = tmp_path / "run.log", tmp_path / "stop"
    variables = sweep_process.inherited_variables()
    result = make_attempt(Attempt(arguments, log, stop, str(tmp_path), variables, "run, attempt 1"))
    assert (result.returncode, result.retry) == (1, True)
    assert result.message.startswith("exit status 1: replay_capacity: 2,000,000,000 transitions of 168 bytes")


def test_the_stop_file_is_one_signal(attempt, tmp_path: pathlib.Path) -> None:
    program = """
        import signal, sys, time
        count = []
        signal.signal(signal.SIGTERM, lambda *unused: count.append(1))
        print("ready", flush=True)
        while not count: time.sleep(0.01)
        time.sleep(0.7)
        sys.exit(40 + len(count))
    """

    def stop() -> None:
        while "ready" not in (log(tmp_path) if (tmp_path / "logs").exists() else ""):
            time.sleep(0.01)
        (tmp_path / "stop").touch()

    thread = threading.Thread(target=stop)
    thread.start()
    result = attempt(program)
    thread.join()
    assert (result.returncode, result.stopped) == (41, True)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_run_is_told_when_its_worker_is_killed(tmp_path: pathlib.Path) -> None:
    run = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *unused: sys.exit(print('saved'))); "
        "print('ready', flush=True); time.sleep(60)"
    )
    worker = (
        "import os, subprocess, sys; subprocess.Popen([sys.executable, '-m', "
        "'expol_tf.sweeps.launch', str(os.getpid()), sys.executable, '-c', sys.argv[1]]).wait()"
    )
    environment = os.environ | sweep_process.inherited_variables()
    with subprocess.Popen(
        [sys.executable, "-c", worker, run], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
        # The pipe closes when the run has ended, too.
        assert process.stdout.read() == "saved\n"


def test_a_run_whose_worker_is_gone_is_not_started() -> None:
    command = [
        sys.executable,
        "-m",
        "expol_tf.sweeps.launch",
        "1",
        sys.executable,
        "-c",
        "print(1)",
    ]
    environment = os.environ | sweep_process.inherited_variables()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == "" and "has ended" in done.stderr


def test_nothing_said_is_said() -> None:
    assert failure(1, "\n") == "exit status 1: no output"
    # A progress line is redrawn after carriage returns.
    assert failure(1, "10 %\r20 %\rError: broken\n") == "exit status 1: Error: broken"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"pip install 'expol-tf\[sweeps\]'"):
        import_ray(local=True)
