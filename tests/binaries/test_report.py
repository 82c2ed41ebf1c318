"""The report program, from flags to files."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import expol_tf
from expol_tf.cli.commands.report import report_main
from tests.reports.synthetic import write_run, write_study

BINARY = pathlib.Path(expol_tf.__file__).absolute().parents[1] / "binaries" / "report.py"


def report(*arguments: str) -> int:
    return report_main(["expol-report", *arguments])


@pytest.fixture(name="directory")
def fixture_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The user's directory, with two experiments of two seeds in directories of their own."""
    levels = {"Hopper-v4": 2000.0, "Swimmer-v4": 100.0}
    write_study(tmp_path / "old", {"gaussian_trpo": levels}, seeds=(0, 1), rows=20)
    write_study(tmp_path / "new", {"nfp_trpo": levels}, seeds=(0, 1), rows=20)
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    return tmp_path


def test_the_program_writes_a_report_where_the_user_is(directory: pathlib.Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(BINARY.parents[1]), *sys.path])}
    command = ["--root_dir=old", "--root_dir=new", "--output_dir=out/report", "--repetitions=50"]
    done = subprocess.run(
        [sys.executable, BINARY, *command],
        capture_output=True,
        text=True,
        cwd="/",
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| Hopper-v4 | nfp_trpo | 2 |" in done.stdout and "Wrote out/report/report.md" in done.stdout
    page = (directory / "out" / "report" / "report.md").read_text()
    assert f"expol-report {' '.join(command)}" in page and str(directory) not in page
    assert len(list((directory / "out" / "report").iterdir())) == 12


def test_reports_do_not_wait_for_tensorflow(directory: pathlib.Path) -> None:
    program = (
        "import sys; from expol_tf.cli.commands import report; "
        "assert report.report_main(sys.argv) == 0; "
        "assert not {'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(BINARY.parents[1]), *sys.path])}
    arguments = ["--root_dir=new", "--output_dir=report", "--repetitions=20"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (directory / "report" / "report.md").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--output_dir must name the directory for the report; got none"),
        (("--output_dir=out",), "--root_dir must name a directory with runs; got none"),
        (("--output_dir=out", "--root_dir=empty"), "--root_dir must hold runs"),
        (("--output_dir=out", "--root_dir=nowhere"), "there is no directory"),
        (("--output_dir=out", "--root_dir=old", "--root_dir=other"), "must have a task in common"),
        (
            ("--output_dir=out", "--root_dir=old", "--min_env_steps=10000000"),
            "give a smaller --min_env_steps",
        ),
    ],
)
def test_mistakes_are_one_message(
    directory: pathlib.Path, capsys: pytest.CaptureFixture, arguments: tuple[str, ...], message: str
) -> None:
    (directory / "empty").mkdir()
    write_run(directory / "other" / "ppo" / "Ant-v4" / "seed0", "Ant-v4")
    assert report(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("expol-report: error: ") and message in captured.err
    assert "Traceback" not in captured.err and captured.out == ""
    assert not (directory / "out").exists()


@pytest.mark.parametrize("flag", ["--repetitions=0", "--settings=apart", "--root=runs", "runs"])
def test_wrong_flags_point_to_the_help(capsys: pytest.CaptureFixture, flag: str) -> None:
    assert report(flag) == 2
    assert "See expol-report --help." in capsys.readouterr().err


def test_help_and_versions(capsys: pytest.CaptureFixture) -> None:
    assert report("--help") == 0
    text = capsys.readouterr().out
    assert "--min_env_steps" in text and "--output_dir" in text
    assert report("--version") == 0
    assert f"expol_tf {expol_tf.__version__}" in capsys.readouterr().out


def test_debug_shows_where(directory: pathlib.Path) -> None:
    with pytest.raises(expol_tf.errors.ExpolError):
        report("--output_dir=out", "--root_dir=nowhere", "--debug")
