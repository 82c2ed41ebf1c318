"""Which modules a configuration may import, and that it is said."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from expol_tf.cli import import_user_module
from expol_tf.errors import ConfigurationError


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The user's directory, empty."""
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("fault_19"):
            del sys.modules[name]


def run(directory: pathlib.Path, *more: str) -> pathlib.Path:
    """Makes the directory of a run, and in it a stranger's module."""
    directory.mkdir(exist_ok=True)
    for name in ("config.gin", *more):
        (directory / name).touch()
    (directory / "fault_19_evil.py").write_text("import sys\nsys.fault_19 = True\n")
    return directory


def test_a_module_of_the_users_directory_is_imported_and_said(
    here: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    (here / "fault_19_mine.py").write_text("import fault_19_other\n")
    (here / "fault_19_other.py").write_text("")
    assert import_user_module("fault_19_mine")
    said = capsys.readouterr()
    assert said.err == "note: imported from your directory: fault_19_mine.py, fault_19_other.py\n"
    assert not said.out
    # Once, and nothing of what is installed.
    assert import_user_module("fault_19_mine") and import_user_module("colorsys")
    assert not import_user_module("fault_19_nowhere") and not capsys.readouterr().err
    # A gin file of that name alone is no run.
    (here / "config.gin").touch()
    (here / "fault_19_third.py").write_text("")
    assert import_user_module("fault_19_third")


@pytest.mark.parametrize(
    "more", ["fingerprint.json", "metrics.csv", "policy", "checkpoints", "configuration.json"]
)
def test_fault_19_nothing_is_imported_where_a_run_lies(here: pathlib.Path, more: str) -> None:
    run(here, more)
    with pytest.raises(ConfigurationError, match=r"fault_19_evil\.py lies in the directory of a run, .*copy"):
        import_user_module("fault_19_evil")
    assert not hasattr(sys, "fault_19") and "fault_19_evil" not in sys.modules


@pytest.mark.parametrize("way", ["below", "package", "deep", "link", "on_the_path"])
def test_fault_19_nothing_is_imported_from_inside_a_run(
    here: pathlib.Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    directory = run(here / "fault_19_run", "fingerprint.json")
    name = "fault_19_run.fault_19_evil"
    if way == "package":
        (directory / "__init__.py").write_text("import sys\nsys.fault_19 = True\n")
        name = "fault_19_run"
    elif way == "deep":
        (directory / "policy" / "fault_19_deep").mkdir(parents=True)
        (directory / "policy" / "fault_19_deep" / "__init__.py").write_text(
            "import sys\nsys.fault_19 = True\n"
        )
        name = "fault_19_run.policy.fault_19_deep"
    elif way == "link":
        (here / "fault_19_link.py").symlink_to(directory / "fault_19_evil.py")
        name = "fault_19_link"
    elif way == "on_the_path":
        monkeypatch.syspath_prepend(str(directory))
        name = "fault_19_evil"
    with pytest.raises(ConfigurationError, match="lies in the directory of a run"):
        import_user_module(name)
    assert not hasattr(sys, "fault_19")


@pytest.mark.slow
@pytest.mark.parametrize("program", ["train", "evaluate", "report", "sweep", "figures"])
def test_fault_18_programs_beside_modules_of_the_users(tmp_path: pathlib.Path, program: str) -> None:
    for name in ("json", "random", "types", "tempfile", "csv", "shlex", "signal", "socket", "copy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    # As pip's console script starts it, whose own directory alone goes in front of the standard library's.
    main = f"{program}_main"
    code = f"import sys; from expol_tf.cli.commands.{program} import {main}; sys.exit({main}())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "--help"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.startswith(f"usage: expol-{program}"), done.stderr


@pytest.mark.parametrize(
    "statement",
    ["import fault_19_evil", pytest.param("NUM_ENVS = 1", marks=pytest.mark.slow)],
)
def test_fault_19_evaluate_runs_nothing_of_a_strangers(tmp_path: pathlib.Path, statement: str) -> None:
    directory = run(tmp_path / "run", "fingerprint.json")
    (directory / "config.gin").write_text(f"{statement}\ntrain.task = 'fault_19_evil:Own-v0'\n")
    (directory / "policy").mkdir()
    (directory / "policy" / "saved_model.pb").touch()
    (directory / "fault_19_evil.py").write_text("open('ran', 'w')\n")
    code = "import sys; from expol_tf.cli.commands.evaluate import evaluate_main; sys.exit(evaluate_main())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(directory)])}
    environment.pop("BUILD_WORKING_DIRECTORY", None)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "--root_dir=."],
        cwd=directory, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not (directory / "ran").exists()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    if statement.startswith("import"):
        assert "lies in the directory of a run" in done.stderr
