"""What all programs do alike, and in what words."""

from __future__ import annotations

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import gin
import pytest
from absl import flags

import expol_tf
from expol_tf.cli import programs
from expol_tf.cli.paths import shown, user_path
from expol_tf.cli.versions import installed_versions
from expol_tf.errors import ConfigurationError, OutOfMemoryError, TaskError
from expol_tf.suggestions import did_you_mean, nearest

HELP = "See expol-act --help.\n"


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer("count", 1, "How many.", lower_bound=1, flag_values=values)


def act(values: flags.FlagValues, arguments: list[str]) -> int:
    if values.count == 2:
        raise ConfigurationError("count must not be 2.\n  A second line.")
    if values.count == 3:
        raise KeyboardInterrupt
    if values.count == 4:
        raise ValueError("a defect")
    if values.count == 5:
        raise MemoryError("Unable to allocate 25.0 GiB\nfor an array")
    if values.count == 6:
        raise type("ResourceExhaustedError", (Exception,), {})("OOM when allocating")
    if values.count == 8:
        raise TaskError("step() raised MemoryError.", "Valve, step 3", MemoryError())
    print(values.count, arguments)
    return values.count


def run(*arguments: str) -> int:
    argv = ["anything", *arguments]
    packages = ("expol_tf", "numpy", "nosuch-package")
    return programs.run_program(
        "expol-act", define_flags, act, argv, packages=packages, interrupted="so be it.", more_help="\nMore."
    )


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (5, "this machine has too little memory for it (Unable to allocate 25.0 GiB). Lower"),
        (6, "this machine has too little memory for it (OOM when allocating). Lower"),
        (8, "Valve, step 3: step() raised MemoryError.\n"),
    ],
)
def test_fault_16_too_little_memory_is_said(count: int, words: str, capsys: pytest.CaptureFixture) -> None:
    """And has another status than a mistake has: a sweep tries the run again."""
    assert run(f"--count={count}") == programs.FAILURE == 1
    message = capsys.readouterr().err
    assert message.startswith(f"expol-act: error: {words}") and message.count("\n") == 1


def test_the_status_is_mains(capsys: pytest.CaptureFixture) -> None:
    assert run("--count=7") == 7 and run() == 1
    assert capsys.readouterr().out == "7 ['--count=7']\n1 []\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--count=2"], 2, "expol-act: error: count must not be 2.\n  A second line.\n"),
        (["--count=3"], 130, "expol-act: interrupted; so be it.\n"),
        (["7"], 2, "expol-act: Unexpected argument '7': every option starts with --.\n" + HELP),
        (["--cuont=7"], 2, "expol-act: Unknown command line flag 'cuont'. Did you mean: count ?\n" + HELP),
        (["--count=0"], 2, "expol-act: flag --count=0: 0 is not a positive integer\n" + HELP),
    ],
)
def test_a_mistake_is_one_message(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(*arguments) == status
    printed = capsys.readouterr()
    assert not printed.out and printed.err == message


@pytest.mark.parametrize(
    ("count", "error"), [(2, ConfigurationError), (3, KeyboardInterrupt), (5, OutOfMemoryError)]
)
def test_debug_shows_the_traceback(count: int, error: type[BaseException]) -> None:
    with pytest.raises(error):
        run(f"--count={count}", "--debug")


def test_a_defect_is_no_mistake_of_the_users() -> None:
    with pytest.raises(ValueError, match="a defect"):
        run("--count=4")


def test_help_and_version(capsys: pytest.CaptureFixture) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: expol-act [flags]\n") and text.endswith("\nMore.\n")
    for name in ("count", "[no]version", "[no]debug", "-h,--[no]help"):
        assert name in text
    assert run("--version") == 0
    numpy = installed_versions(["numpy"])["numpy"]
    assert capsys.readouterr().out.splitlines() == [
        f"expol_tf {expol_tf.__version__}",
        f"numpy {numpy}",
        "nosuch-package (not installed)",
    ]


@gin.configurable(module="programs_test")
def complain(required: int, other: int = 0) -> None:
    raise ConfigurationError(f"other must be positive; got {other}.\n  A second line.")


def test_messages_do_not_show_gins_call_stack() -> None:
    with pytest.raises(ConfigurationError) as caught, gin.config_scope("scope"):
        complain(1)
    assert "In call to configurable" in str(caught.value)
    assert programs.error_message(caught.value) == "other must be positive; got 0.\n  A second line."


def test_a_command_starts_as_the_user_typed_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY", raising=False)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/expol-act"])
    assert programs.command_start("expol-act") == ["expol-act"]
    monkeypatch.setattr(sys, "argv", ["binaries/act.py"])
    assert programs.command_start("expol-act") == ["python", "binaries/act.py"]
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path.parent))
    assert programs.command_start("expol-act") == ["../bazelw", "run", "//binaries:act", "--"]


def test_resume_command(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY", raising=False)
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/usr/bin/expol-train"])
    kept = ["--gin_file=gin/nfp_trpo.gin", "--gin_bindings=TASK = 'Hopper-v5'", "--gin_bindings=A = '$x\"'"]
    root = tmp_path / "old place"
    command = programs.resume_command("expol-train", root, [*kept, "--root_dir", "old place"])
    assert shlex.split(command) == ["expol-train", *kept, "--root_dir=old place"]
    assert "\"--gin_bindings=TASK = 'Hopper-v5'\"" in command
    command = programs.resume_command(
        "expol-train", pathlib.Path("/data/run"), ["--root_dir=/data/run", "--seed=3"]
    )
    assert command == "expol-train --seed=3 --root_dir=/data/run"


def test_resume_command_through_bazel(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    start = "run //binaries:train -- --seed=3 --root_dir=run"
    assert programs.resume_command("expol-train", tmp_path / "run", ["--seed=3"]) == f"./bazelw {start}"
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path.parent))
    assert programs.resume_command("expol-train", tmp_path / "run", ["--seed=3"]) == f"../bazelw {start}"


def test_paths_are_the_users(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("runs/a") == tmp_path / "runs" / "a"
    assert user_path("~/runs") == pathlib.Path("/home/me/runs")
    assert shown(tmp_path / "runs" / "a") == "runs/a" and shown(tmp_path.parent) == str(tmp_path.parent)


def test_the_nearest_name() -> None:
    known = ["NUM_ENVS", "NUM_ENV_STEPS", "SEED"]
    assert did_you_mean("num_env", known) == " Did you mean 'NUM_ENVS'?"
    assert did_you_mean("backend", known) == "" and did_you_mean("", []) == ""
    assert nearest("num_env", known, count=2) == ["NUM_ENVS", "NUM_ENV_STEPS"]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_fault_10_a_program_with_nothing_to_save_ends_where_it_is(
    number: signal.Signals, capsys: pytest.CaptureFixture
) -> None:
    def stopped(values: flags.FlagValues, arguments: list[str]) -> int:
        os.kill(os.getpid(), number)
        raise AssertionError("an instruction later")

    status = programs.run_program("expol-act", define_flags, stopped, ["anything"], interrupted="so be it.")
    assert status == 128 + number
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"stopping after the present operation ({number.name};")
    assert second == "expol-act: interrupted; so be it."


def test_fault_16_a_flagfile_that_is_no_text(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "flags").write_bytes(bytes(range(256)))
    status = programs.run_program(
        "expol-test", lambda values: None, lambda values, arguments: 0,
        ["expol-test", f"--flagfile={tmp_path / 'flags'}"], interrupted="",
    )  # fmt: skip
    assert status == programs.USAGE_ERROR
    assert "expol-test --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    "form", [["--flagfile={}"], ["-flagfile={}"], ["--flagfile", "{}"], ["-flagfile", "{}"]]
)
@pytest.mark.parametrize("kind", ["device", "pipe", "directory", "large", "named in a file"])
def test_fault_16_a_flag_file_has_an_end(
    form: list[str], kind: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "flags"
    if kind == "device":
        path = pathlib.Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "large":
        with path.open("w") as file:
            file.truncate(2**40)
    else:
        path.write_text("# flags\n--count=7\n--flagfile=/dev/zero\n")
    assert run(*(text.format(path) for text in form)) == 2
    message = capsys.readouterr().err
    assert message.startswith(
        "expol-act: --flagfile must name a regular file of at most 1,000,000 bytes; got"
    )
    assert message.endswith(HELP) and message.count("\n") == 2


def test_a_flag_file_holds_flags(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "inner").write_text("--count=7\n")
    (tmp_path / "outer").write_text(f"--flagfile={tmp_path}/inner\n--flagfile={tmp_path}/outer\n")
    assert run(f"--flagfile={tmp_path}/outer") == 7
    capsys.readouterr()
    assert run(f"--flagfile={tmp_path}/none") == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_fault_10_an_import_may_turn_a_stop_into_an_error_of_its_own(capsys: pytest.CaptureFixture) -> None:
    def imports(values: flags.FlagValues, arguments: list[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("you should not try to import numpy from its source directory") from error
        raise AssertionError("an instruction later")

    status = programs.run_program("expol-act", define_flags, imports, ["anything"], interrupted="so be it.")
    assert status == 130
    assert capsys.readouterr().err.endswith("expol-act: interrupted; so be it.\n")


def test_fault_10_a_stop_while_flags_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def stopped(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(programs, "installed_versions", stopped)
    assert run("--version") == 130
    assert capsys.readouterr().err.endswith("expol-act: interrupted; so be it.\n")


# Says when the import of the command begins, and takes its time.
_SLOW_IMPORT = """
import importlib, sys, time
from expol_tf import console

def import_module(name):
    print("begun", flush=True)
    try:
        time.sleep(60)
    except BaseException as error:
        raise ImportError("turned into another error") from error

importlib.import_module = import_module
sys.exit(getattr(console, sys.argv[1])())
"""


@pytest.mark.parametrize("program", ["train", "evaluate", "sweep", "report", "figures"])
def test_fault_10_a_stop_while_a_program_is_imported(program: str) -> None:
    """And where the signal is ignored, as in the background of a shell, it stays so."""
    for ignored in (False, True):
        with subprocess.Popen(
            [sys.executable, "-c", _SLOW_IMPORT, program],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:  # fmt: skip
            assert process.stdout is not None and process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGINT)
            if ignored:
                time.sleep(0.3)
                assert process.poll() is None
                process.kill()
            output, error = process.communicate(timeout=30)
            assert not output and not error
            assert process.returncode == (-signal.SIGKILL if ignored else -signal.SIGINT)
