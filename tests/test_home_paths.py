"""`~` in a path is the user's home, in Python as on the command line."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

import expol_tf
from expol_tf.configuration import read_files
from expol_tf.errors import ConfigurationError, ExpolError
from expol_tf.papers import make_figure
from expol_tf.reports import find_runs, read_peer_curves, write_report
from expol_tf.runs import RunFiles, read_lines, read_table, write_table
from expol_tf.sweeps import read_sweep, run_sweep
from expol_tf.training import CheckpointStore, Records, check_video_path, record_video

# Calls that take a path.
TAKERS: dict[str, Callable[[str], Any]] = {
    "train": lambda path: expol_tf.train(path, "Hopper-v5"),
    "Records": Records,
    "RunFiles": RunFiles,
    "load_policy": expol_tf.load_policy,
    "CheckpointStore": CheckpointStore,
    "check_video_path": lambda path: check_video_path(f"{path}.gif"),
    "record_video": lambda path: record_video(lambda _: 0, "Hopper-v5", f"{path}.gif"),
    "write_report": lambda path: write_report([path], "somewhere"),
    "find_runs": lambda path: find_runs([path]),
    "read_peer_curves": read_peer_curves,
    "make_figure, root_dirs": lambda path: make_figure("multigoal", root_dirs=[path]),
    "make_figure, output_dir": lambda path: make_figure("kl_ball", path, iterations=1, num_seeds=1),
    "run_sweep": lambda path: run_sweep([], path),
    "read_sweep": read_sweep,
    "read_files": lambda path: read_files([path]),
    "write_table": lambda path: write_table(path, [{"a": 1}]),
    "read_table": read_table,
}


@pytest.mark.parametrize("name", TAKERS)
def test_fault_12_the_home_of_nobody_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="~nobody_of_that_name"):
        TAKERS[name]("~nobody_of_that_name/run")


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The user's home; the current directory is another one."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.parametrize("name", ["load_policy", "find_runs", "read_peer_curves", "make_figure, root_dirs"])
def test_fault_12_what_is_read_is_looked_for_in_the_home(name: str, home: pathlib.Path) -> None:
    with pytest.raises(ExpolError) as caught:
        TAKERS[name]("~/none")
    assert f"{home}/none" in str(caught.value)


def test_fault_12_what_is_written_lies_in_the_home(home: pathlib.Path) -> None:
    assert RunFiles("~/run").root == home / "run"
    assert CheckpointStore("~/run/checkpoints").directory == home / "run" / "checkpoints"
    assert check_video_path("~/film.gif") == home / "film.gif"
    write_table("~/table.csv", [{"a": 1}])
    assert (home / "table.csv").read_text() == "a\n1\n"
    assert read_table("~/table.csv") == [{"a": 1}] and read_lines("~/table.csv") == [["a"], ["1"]]
    assert not list(pathlib.Path().iterdir())
