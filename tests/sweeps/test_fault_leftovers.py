"""What sweeps leave on a machine, and what a user's directory may hold beside them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

from expol_tf.errors import ConfigurationError, DependencyError, RunDirectoryError
from expol_tf.runs import DirectoryLock
from expol_tf.sweeps import check, leftovers, ray_pool
from expol_tf.sweeps import process as sweep_process
from expol_tf.sweeps.process import Attempt, make_attempt
from expol_tf.sweeps.ray_pool import RayPool

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
# A driver with an agent of its own session, as Ray's are.
DRIVER = """
    import subprocess, sys, time, pathlib
    from expol_tf.sweeps import leftovers
    leftovers._short_directory = lambda: sys.argv[1]
    with leftovers.hangup_is_an_exit(), leftovers.RayDirectory() as path:
        agent = subprocess.Popen(["sleep", "60"], start_new_session=True)
        print(agent.pid, path, flush=True)
        time.sleep(60)
"""


def lives(process: int) -> bool:
    try:
        return "Z" not in pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of temporary directories."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(leftovers, "_short_directory", lambda: str(place))
    return place


@pytest.fixture
def driver(place: pathlib.Path):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DRIVER), str(place)],
        stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    agent, path = process.stdout.readline().split()
    yield process, int(agent), pathlib.Path(path)
    process.kill()
    process.communicate()
    if lives(int(agent)):
        os.kill(int(agent), signal.SIGKILL)


def test_fault_18_a_killed_sweep_is_cleaned_up_after_at_the_next_start(driver, place: pathlib.Path) -> None:
    process, agent, path = driver
    assert leftovers.clean() == [] and lives(agent) and path.is_dir()  # As long as it lives.
    process.kill()
    process.wait()
    assert lives(agent) and path.is_dir()
    assert leftovers.clean() == [path]
    assert not lives(agent) and not path.exists()
    assert leftovers.clean() == []


@pytest.mark.parametrize("number", [signal.SIGHUP])
def test_fault_18_a_hangup_cleans_up_at_once(driver, number: int) -> None:
    process, agent, path = driver
    process.send_signal(number)
    assert process.wait(timeout=30) == 128 + number
    assert not lives(agent) and not path.exists()


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leftovers.hangup_is_an_exit():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


def test_fault_18_runs_of_a_killed_sweep_may_save(
    place: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "expol-x"
    path.mkdir()
    (path / "owner.lock").touch()
    environment = {**os.environ, leftovers.OF_A_RUN: str(path)}
    run = subprocess.Popen(["sleep", "1"], env=environment, start_new_session=True)
    begun = time.monotonic()
    assert leftovers.clean() == [path]
    # Waited for, and not sent a second signal, which would end it before it has saved.
    assert run.wait() == 0 and time.monotonic() - begun > 0.2


@pytest.mark.parametrize("kind", ["no lock", "a link", "a file", "a link for a lock"])
def test_fault_18_what_is_not_a_sweeps_stays(place: pathlib.Path, tmp_path: pathlib.Path, kind: str) -> None:
    path, mine = place / "expol-y", tmp_path / "mine"
    mine.mkdir()
    (mine / "owner.lock").touch()
    if kind == "a link":
        path.symlink_to(mine)
    elif kind == "a file":
        path.touch()
    else:
        path.mkdir()
        if kind == "a link for a lock":
            (path / "owner.lock").symlink_to(mine / "owner.lock")
    assert leftovers.clean() == []
    assert os.path.lexists(path) and (mine / "owner.lock").exists()


@pytest.fixture
def shadowed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A user's directory with files that are called like modules of the standard library."""
    for name in ("json", "random", "types", "contextlib", "ctypes", "signal", "runpy", "io"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fault_18_the_check_of_a_sweep_beside_modules_of_the_users(
    shadowed: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import contextlib, io, json, random, sys, types; json.dump([[0, '', '']], open(sys.argv[1], 'w'))"
    )
    monkeypatch.setattr(check, "_CHECK", program)
    assert [list(result) for result in check._print_configs([["--seed=1"]])] == [[0, "", ""]]


def test_fault_18_a_run_of_a_sweep_beside_modules_of_the_users(
    shadowed: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_process, "TRAIN", "import json, random, types, signal")
    attempt = Attempt(
        (), shadowed / "run.log", shadowed / "stop", str(shadowed), sweep_process.inherited_variables(), "run"
    )
    result = make_attempt(attempt)
    assert result.returncode == 0, (shadowed / "run.log").read_text()


def test_fault_18_the_log_of_a_run_is_no_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").write_text("of the user")
    (tmp_path / "run.log").symlink_to(tmp_path / "mine")
    attempt = Attempt((), tmp_path / "run.log", tmp_path / "stop", str(tmp_path), {}, "run")
    with pytest.raises(OSError, match="symbolic links"):
        make_attempt(attempt)
    assert (tmp_path / "mine").read_text() == "of the user"


@contextlib.contextmanager
def cluster(directory: pathlib.Path) -> Iterator[str]:
    """The address of a cluster of one machine, started elsewhere than the sweep."""
    directory.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-c", "from ray.scripts.scripts import main; main()", "start", "--head"]
    command += [f"--port={port}", "--node-ip-address=127.0.0.1", "--block", "--num-cpus=1"]
    command += ["--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={directory}"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment[leftovers.OF_RAY] = str(directory)
    with open(directory / "log", "w") as log:
        head = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=directory, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in (directory / "log").read_text():
            assert head.poll() is None and time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        leftovers._end(directory)
        head.wait(60)


@pytest.fixture
def short_directory() -> Iterator[pathlib.Path]:
    """A directory whose name leaves room for the names of Ray's sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield pathlib.Path(directory)


@pytest.mark.slow
@pytest.mark.parametrize("joined", [False, True], ids=["own Ray", "a cluster"])
def test_fault_18_a_real_worker_beside_modules_of_the_users(
    shadowed: pathlib.Path, joined: bool, short_directory: pathlib.Path
) -> None:
    pytest.importorskip("ray")
    for name in ("shlex", "datetime", "subprocess", "expol_tf"):
        (shadowed / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    program = """
        import os, pathlib
        from expol_tf.sweeps import process
        from expol_tf.sweeps.ray_pool import RayPool
        process.TRAIN = ""
        here = os.getcwd()
        address = os.environ.pop("OF_THE_TEST", None)
        attempt = process.Attempt(
            (), pathlib.Path(here, "l"), pathlib.Path(here, "s"), here, process.inherited_variables(), "run"
        )
        with RayPool(address, 1, 1, 0.0) as pool:
            pool.submit("key", attempt)
            while pool.running:
                for _, result in pool.wait():
                    print("ended", result)
        print("in", os.getcwd() == here)
    """
    with cluster(short_directory / "r") if joined else contextlib.nullcontext() as address:
        variables = {**ENVIRONMENT, "OF_THE_TEST": address} if address else ENVIRONMENT
        done = subprocess.run(
            [sys.executable, "-P", "-c", textwrap.dedent(program)],
            capture_output=True, text=True, env=variables, check=False,
        )  # fmt: skip
    # The program is expol-train without a configuration.
    assert "in True" in done.stdout and "exit status 2: --gin_file must name" in done.stdout, done.stderr


RAY = """
    import os, sys, time
    from expol_tf.sweeps.ray_pool import RayPool
    with RayPool(None, 1, 1, 0.0) as pool:
        print(os.environ["EXPOL_SWEEP_RAY"], flush=True)
        time.sleep(300)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_fault_18_nothing_is_left_of_a_real_ray(number: int) -> None:
    pytest.importorskip("ray")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(RAY)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    path = pathlib.Path(process.stdout.readline().strip())
    assert leftovers._processes(leftovers.OF_RAY, path)
    process.send_signal(number)
    process.wait(timeout=120)
    if number == signal.SIGKILL:
        assert path in leftovers.clean()
    assert not leftovers._processes(leftovers.OF_RAY, path) and not path.exists()


def test_a_lock_that_is_held_is_not_opened_by_the_cleaning(place: pathlib.Path) -> None:
    path = place / "expol-z"
    path.mkdir()
    with DirectoryLock(path / "owner.lock"):
        assert leftovers.clean() == []
        with pytest.raises(RunDirectoryError):
            DirectoryLock(path / "owner.lock").acquire()


class Failing:
    """A Ray that raises `error` wherever it is asked for anything."""

    def __init__(self, error: Exception) -> None:
        ray = pytest.importorskip("ray")
        self.exceptions = ray.exceptions
        self._error = error

    def init(self, **options: Any) -> None:
        raise self._error

    def get(self, reference: object) -> None:
        raise self._error

    def shutdown(self) -> None:
        pass


def test_fault_18_a_ray_that_cannot_be_started(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(RuntimeError("\x1b[36mThe raylet\x1b[39m has gone.\nA second line."))
    monkeypatch.setattr(ray_pool, "import_ray", lambda local: failing)
    with pytest.raises(
        DependencyError, match=r"machine \(RuntimeError: The raylet has gone\)\. Free"
    ) as caught:
        RayPool(None, 1, 1, 0.0).__enter__()
    assert "second line" not in str(caught.value) and not list(place.iterdir())


def test_fault_18_an_attempt_that_cannot_be_made_says_why() -> None:
    """As where the run's log is a link, which is not followed."""
    ray = pytest.importorskip("ray")
    pool = RayPool(None, 1, 1, 0.0)
    cause = OSError(40, "Too many levels of symbolic links")
    for error, words in (
        (
            ray.exceptions.RayTaskError("make_attempt", "Traceback", cause),
            "the attempt could not be made: OSError: [Errno 40] Too many levels of symbolic links",
        ),
        (ray.exceptions.WorkerCrashedError(), "Ray lost the worker: WorkerCrashedError: "),
    ):
        pool._ray = Failing(error)
        result = pool._result(object())
        assert result.message.startswith(words) and result.retry and "\x1b" not in result.message


def test_fault_18_a_check_of_a_sweep_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a module of the user's that ends the process, or by the kernel when memory is short."""
    monkeypatch.setattr(check, "_CHECK", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ConfigurationError, match=r"so nothing was started.*killed by SIGKILL"):
        check._print_configs([["--seed=1"]])
