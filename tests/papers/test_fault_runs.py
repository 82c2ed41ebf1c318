"""Figures of runs whose files are no files of a run."""

from __future__ import annotations

import pathlib

import pytest

from expol_tf.errors import RunDirectoryError
from expol_tf.papers import make_figure
from tests.reports.synthetic import write_run
from tests.runs import damage


@pytest.mark.parametrize("name", ["environment.json", "fingerprint.json", "metrics.csv"])
@pytest.mark.parametrize("kind", ["directory", "dangling", "not_utf_8"])
def test_fault_14_a_figure_of_a_damaged_run(tmp_path: pathlib.Path, name: str, kind: str) -> None:
    run = write_run(tmp_path / "run", "Pendulum-v1")
    change, words = (damage.ANY | damage.NOT_UTF_8)[kind]
    change(run / name)
    with pytest.raises(RunDirectoryError) as raised:
        make_figure("run_entropy", tmp_path / "out", root_dirs=[run])
    assert str(run / name) in str(raised.value) and words in str(raised.value)


def test_fault_18_a_figure_writes_through_no_link(tmp_path: pathlib.Path) -> None:
    run = write_run(tmp_path / "run", "Pendulum-v1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".writable").symlink_to(tmp_path / "mine")
    with pytest.raises(Exception, match="policy"):
        make_figure("run_entropy", tmp_path / "out", root_dirs=[run])
    assert not (tmp_path / "mine").exists()
