import json
import logging
import os
import resource
import signal
import time

import pytest

from expol_tf.errors import RunDirectoryError
from expol_tf.runs.environment_record import describe_environment
from expol_tf.runs.run_directory import RunDirectory

_FINGERPRINT = {"TASK": "'Hopper-v5'", "TrpoAgent.max_kl": "0.01"}


def _fork(body):
    """Runs `body(report)` in a child and returns (pid, first report)."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            body(lambda text: os.write(writer, text.encode()))
        finally:
            os._exit(0)
    os.close(writer)
    report = os.read(reader, 1000).decode()
    os.close(reader)
    return pid, report


def _kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_new_run_is_recorded_and_an_old_one_recognized(tmp_path):
    root = tmp_path / "runs" / "seed0"
    with RunDirectory(root) as run:
        assert not run.exists
        assert run.prepare("TASK = 'Hopper-v5'\n", {"a.b": 1}, _FINGERPRINT, describe_environment(0)) is False
        assert run.exists
    assert run.config.read_text() == "TASK = 'Hopper-v5'\n"
    assert json.loads(run.environment.read_text())["seed"] == 0
    assert run.read_values() == {"a.b": 1} and run.read_fingerprint() == _FINGERPRINT
    assert sorted(os.listdir(root)) == [
        ".lock", "config.gin", "configuration.json", "environment.json", "fingerprint.json"
    ]  # fmt: skip

    with RunDirectory(root) as run:
        assert run.prepare("other", {}, dict(reversed(_FINGERPRINT.items())), describe_environment(0)) is True
        assert run.config.read_text() == "TASK = 'Hopper-v5'\n"
        run.write_config("other", {"a.b": 2})
        assert run.config.read_text() == "other" and run.read_values() == {"a.b": 2}


def test_another_experiment_is_refused_with_the_difference(tmp_path):
    with RunDirectory(tmp_path) as run:
        run.prepare("", {}, {**_FINGERPRINT, "Old.setting": "1"}, describe_environment(0))
    ours = {**_FINGERPRINT, "TrpoAgent.max_kl": "0.02", "New.setting": "2"}
    with RunDirectory(tmp_path) as run, pytest.raises(RunDirectoryError) as raised:
        run.prepare("", {}, ours, {})
    message = str(raised.value)
    assert "TrpoAgent.max_kl: 0.01 → 0.02" in message
    assert "New.setting: (default) → 2" in message
    assert "Old.setting: 1 → (default)" in message
    assert "TASK" not in message
    assert "another root_dir" in message


def test_other_conditions_are_warned_of(tmp_path, caplog):
    environment = describe_environment(seed=0)
    with RunDirectory(tmp_path) as run:
        run.prepare("", {}, _FINGERPRINT, environment)
        with caplog.at_level(logging.WARNING):
            run.prepare("", {}, _FINGERPRINT, {**environment, "command": ["other"], "host": "elsewhere"})
        assert caplog.text == ""
        other = {**environment["versions"], "tensorflow": "9.9"}
        run.prepare("", {}, _FINGERPRINT, {**environment, "versions": other})
    assert f"tensorflow: {environment['versions']['tensorflow']} → 9.9" in caplog.text


def test_a_directory_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunDirectoryError, match="holds other files .thesis.tex.*another root_dir"):
        RunDirectory(tmp_path).__enter__()
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(RunDirectoryError, match="is a file"):
        RunDirectory(tmp_path / "thesis.tex").__enter__()


def test_a_run_killed_while_it_was_prepared_begins_anew(tmp_path):
    for name in (".lock", "config.gin", "configuration.json", ".environment.json.tmp"):
        (tmp_path / name).write_text("half")
    with RunDirectory(tmp_path) as run:
        assert run.prepare("whole", {}, _FINGERPRINT, {}) is False
        assert run.config.read_text() == "whole"


def test_prepare_needs_the_lock(tmp_path):
    with pytest.raises(RuntimeError, match="with RunDirectory"):
        RunDirectory(tmp_path).prepare("", {}, {}, {})


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    def own(report):
        with RunDirectory(tmp_path):
            report("owned")
            time.sleep(60)

    pid, report = _fork(own)
    try:
        assert report == "owned"
        with pytest.raises(RunDirectoryError, match=f"in use by process {pid} on "):
            RunDirectory(tmp_path).__enter__()
    finally:
        _kill(pid)
    # The lock file still names the dead owner.
    with RunDirectory(tmp_path) as run:
        assert not run.exists


def test_two_runs_in_one_process_are_refused_too(tmp_path):
    with RunDirectory(tmp_path):
        with pytest.raises(RunDirectoryError, match="in use"):
            RunDirectory(tmp_path).__enter__()
    with RunDirectory(tmp_path):
        pass


def test_a_worker_that_outlives_a_killed_owner_does_not_keep_the_lock(tmp_path):
    def own(report):
        with RunDirectory(tmp_path):
            worker = os.fork()
            if worker == 0:
                report(str(os.getpid()))
                time.sleep(60)
                os._exit(0)
            time.sleep(60)

    owner, worker = _fork(own)
    try:
        with pytest.raises(RunDirectoryError, match=f"process {owner}"):
            RunDirectory(tmp_path).__enter__()
        _kill(owner)
        with RunDirectory(tmp_path):
            pass
    finally:
        os.kill(int(worker), signal.SIGKILL)


def test_a_reused_process_id_does_not_hold_the_lock(tmp_path):
    (tmp_path / ".lock").write_text(json.dumps({"pid": os.getppid(), "host": os.uname().nodename}))
    with RunDirectory(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_a_place_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="Not a directory"):
        RunDirectory(tmp_path / "file" / "run").__enter__()
    # The process file system takes no directories, also not from root.
    with pytest.raises(RunDirectoryError, match="cannot write in root_dir /proc/expol"):
        RunDirectory("/proc/expol").__enter__()


def test_a_full_disk_is_one_message_and_leaves_the_directory_fresh(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RunDirectory(tmp_path) as run:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
            with pytest.raises(RunDirectoryError, match="File too large.*free space"):
                run.prepare("x" * 100, {}, _FINGERPRINT, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with RunDirectory(tmp_path) as run:
        assert run.prepare("x" * 100, {}, _FINGERPRINT, {}) is False


def test_the_files_have_their_documented_names(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.metrics_csv == tmp_path / "metrics.csv"
    assert run.evaluation_csv == tmp_path / "evaluation.csv"
    assert run.tensorboard == tmp_path / "tensorboard"
    assert run.checkpoints == tmp_path / "checkpoints"
    assert run.policy == tmp_path / "policy"
    assert run.learning_curve == tmp_path / "learning_curve.png"
