"""What becomes of a run in every case, with attempts that only pretend."""

from __future__ import annotations

import csv
import errno
import fcntl
import os
import pathlib
import signal
from collections.abc import Callable
from pathlib import PurePosixPath

import pytest

from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.sweeps import CheckedRun, SweepRun, check_runs, plan_sweep, run_sweep
from expol_tf.sweeps import runner as sweep_runner
from expol_tf.sweeps.process import Attempt, AttemptResult

DONE = AttemptResult(0, "", True, False)
KILLED = AttemptResult(-9, "killed by SIGKILL", True, False)
MISTAKE = AttemptResult(2, "exit status 2: no such task", False, False)


class Pool:
    """Two places; an attempt ends at the next `wait`, with what the test's function answers."""

    slots = 2

    def __init__(self, answer: Callable[[Attempt], AttemptResult]) -> None:
        self._answer = answer
        self._running: list[tuple[object, Attempt]] = []
        self.attempts: list[str] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *unused: object) -> None:
        pass

    @property
    def running(self) -> int:
        return len(self._running)

    def submit(self, key: object, attempt: Attempt) -> None:
        assert self.running < self.slots
        self._running.append((key, attempt))
        self.attempts.append(attempt.title)

    def wait(self) -> list[tuple[object, AttemptResult]]:
        running, self._running = self._running, []
        return [(key, self._answer(attempt)) for key, attempt in running]


def checked(seed: int, text: str = "text") -> CheckedRun:
    place = PurePosixPath("nfp", "Hopper-v4", f"seed{seed}")
    return CheckedRun(SweepRun("nfp", "Hopper-v4", {}, seed, place, (), ()), text, 1000)


def finish(attempt: Attempt, env_step: int = 1000) -> AttemptResult:
    """Leaves the files of a finished run."""
    (root,) = (argument.partition("=")[2] for argument in attempt.arguments if "--root_dir" in argument)
    directory = pathlib.Path(root)
    (directory / "policy").mkdir(parents=True, exist_ok=True)
    (directory / "policy" / "saved_model.pb").touch()
    (directory / "learning_curve.png").touch()
    (directory / "metrics.csv").write_text(f"iteration,env_step\n1,{env_step}\n")
    return DONE


@pytest.fixture
def sweep(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    def sweep(answer, runs, **options):
        pool = Pool(answer)
        monkeypatch.setattr(sweep_runner, "RayPool", lambda *arguments: pool)
        result = run_sweep(runs, tmp_path / "root", **options)
        return result, pool.attempts

    return sweep


def index(tmp_path: pathlib.Path) -> list[dict[str, str]]:
    with open(tmp_path / "root" / "sweep.csv") as file:
        return list(csv.DictReader(file))


def test_every_run_is_made_once_and_recorded(sweep, tmp_path: pathlib.Path) -> None:
    result, attempts = sweep(finish, [checked(seed) for seed in range(5)])
    assert attempts == [f"nfp/Hopper-v4/seed{seed}, attempt 1" for seed in range(5)]
    assert not result.failed and result.interrupted_by is None
    assert [(row["seed"], row["status"], row["env_step"]) for row in index(tmp_path)] == [
        (str(seed), "finished", "1000") for seed in range(5)
    ]
    # What was checked is what is run.
    assert (tmp_path / "root/logs/nfp/Hopper-v4/seed3.gin").read_text() == "text"


def test_a_killed_run_is_tried_again_and_given_up(sweep, tmp_path: pathlib.Path, capsys) -> None:
    def answer(attempt: Attempt) -> AttemptResult:
        return KILLED if "seed0" in attempt.title else finish(attempt)

    result, attempts = sweep(answer, [checked(0), checked(1), checked(2)], retries=2)
    assert [title for title in attempts if "seed0" in title] == [
        f"nfp/Hopper-v4/seed0, attempt {count}" for count in (1, 2, 3)
    ]
    # The others do not wait for it.
    assert attempts.index("nfp/Hopper-v4/seed2, attempt 1") < attempts.index("nfp/Hopper-v4/seed0, attempt 2")
    assert [state.name for state in result.failed] == ["nfp/Hopper-v4/seed0"]
    row = index(tmp_path)[0]
    assert (row["status"], row["attempts"], row["message"]) == ("failed", "3", "killed by SIGKILL")
    assert "logs/nfp/Hopper-v4/seed0.log" in capsys.readouterr().out


def test_a_mistake_is_not_tried_again(sweep, tmp_path: pathlib.Path) -> None:
    result, attempts = sweep(lambda attempt: MISTAKE, [checked(0)], retries=5)
    assert len(attempts) == len(result.failed) == 1
    assert index(tmp_path)[0]["message"] == "exit status 2: no such task"


def test_started_again_it_does_what_is_left(sweep, tmp_path: pathlib.Path) -> None:
    sweep(
        lambda attempt: KILLED if "seed1" in attempt.title else finish(attempt),
        [checked(0), checked(1)],
        retries=0,
    )
    result, attempts = sweep(finish, [checked(0), checked(1), checked(2)])
    # The attempts are counted over all starts.
    assert attempts == ["nfp/Hopper-v4/seed1, attempt 2", "nfp/Hopper-v4/seed2, attempt 1"]
    assert [row["status"] for row in index(tmp_path)] == ["finished"] * 3
    assert sweep(finish, [checked(0), checked(1), checked(2)])[1] == []


def test_a_finished_run_is_recognized_without_the_index(sweep, tmp_path: pathlib.Path) -> None:
    sweep(finish, [checked(0)])
    (tmp_path / "root" / "sweep.csv").unlink()
    assert sweep(finish, [checked(0)])[1] == []
    # A longer one is extended, one without its last file is ended properly.
    assert len(sweep(finish, [checked(0, "longer")._replace(num_env_steps=2000)])[1]) == 1
    (tmp_path / "root/nfp/Hopper-v4/seed0/learning_curve.png").unlink()
    assert len(sweep(finish, [checked(0)])[1]) == 1


def test_a_run_that_ended_early_by_itself_is_finished_until_it_is_another(sweep) -> None:
    assert len(sweep(lambda attempt: finish(attempt, 500), [checked(0)])[1]) == 1
    assert sweep(finish, [checked(0)])[1] == []
    assert len(sweep(finish, [checked(0, "other text")])[1]) == 1


def test_a_signal_stops_all_and_starts_none(sweep, tmp_path: pathlib.Path) -> None:
    stops = []

    def answer(attempt: Attempt) -> AttemptResult:
        stops.append(attempt.stop_file.exists())
        if len(stops) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            return KILLED
        if len(stops) == 2:
            return finish(attempt)
        raise AssertionError("started after the signal")

    handler = signal.getsignal(signal.SIGTERM)
    result, attempts = sweep(answer, [checked(seed) for seed in range(4)])
    assert result.interrupted_by == signal.SIGTERM and len(attempts) == 2
    assert [row["status"] for row in index(tmp_path)] == ["pending", "finished", "pending", "pending"]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not (tmp_path / "root" / ".stop").exists()
    assert len(sweep(finish, [checked(seed) for seed in range(4)])[1]) == 3


def test_runs_asked_to_end_are_interrupted(sweep, tmp_path: pathlib.Path) -> None:
    def answer(attempt: Attempt) -> AttemptResult:
        os.kill(os.getpid(), signal.SIGINT)
        return AttemptResult(143, "exit status 143", True, True)

    result, _ = sweep(answer, [checked(0)])
    assert result.interrupted_by == signal.SIGINT and not result.failed
    assert (index(tmp_path)[0]["status"], index(tmp_path)[0]["message"]) == ("interrupted", "")


def test_two_sweeps_cannot_share_a_directory(sweep, tmp_path: pathlib.Path) -> None:
    sweep(finish, [checked(0)])
    with open(tmp_path / "root" / ".sweep.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunDirectoryError, match="in use by another sweep"):
            sweep(finish, [checked(0)])
    assert sweep(finish, [checked(0)])[1] == []


def test_a_root_that_is_a_file_is_refused(sweep, tmp_path: pathlib.Path) -> None:
    (tmp_path / "root").touch()
    with pytest.raises(RunDirectoryError, match="cannot write in root_dir"):
        sweep(finish, [checked(0)])


def test_fault_18_a_stop_file_that_cannot_be_written_is_said(
    sweep, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = sweep_runner.atomic_files.write_atomically

    def full(path: pathlib.Path, text: str) -> None:
        if path.name == ".stop":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, text)

    def answer(attempt: Attempt) -> AttemptResult:
        os.kill(os.getpid(), signal.SIGTERM)
        return KILLED

    monkeypatch.setattr(sweep_runner.atomic_files, "write_atomically", full)
    with pytest.raises(
        RunDirectoryError, match=r"cannot write in root_dir: .*\.stop: No space left.*Make it"
    ):
        sweep(answer, [checked(0)])
    assert index(tmp_path)[0]["attempts"] == "1"


def test_fault_18_what_stands_in_the_place_of_the_stop_file_goes(sweep, tmp_path: pathlib.Path) -> None:
    def answer(attempt: Attempt) -> AttemptResult:
        attempt.stop_file.mkdir()
        return finish(attempt)

    sweep(answer, [checked(0)])
    assert not (tmp_path / "root" / ".stop").exists()
    assert sweep(finish, [checked(0), checked(1)])[1] == ["nfp/Hopper-v4/seed1, attempt 1"]


@pytest.mark.parametrize("call", [plan_sweep, check_runs])
@pytest.mark.parametrize("value", [None, 3, {"a"}], ids=str)
def test_fault_13_what_is_no_sweep(call: Callable, value: object) -> None:
    with pytest.raises(ConfigurationError, match="^(sweep|runs) must be .*; got"):
        call(value)
