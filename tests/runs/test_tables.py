import os
import resource

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import RunDirectoryError
from expol_tf.runs.tables import CsvTable, read_columns, read_table

_COLUMNS = ("iteration", "env_step", "episode_return_mean", "note")


def _table(path, steps):
    table = CsvTable(path, _COLUMNS)
    for iteration, env_step in enumerate(steps):
        table.append({"iteration": iteration, "env_step": env_step, "episode_return_mean": env_step / 3})
    return table


def test_rows_come_back_as_written(tmp_path):
    table = CsvTable(tmp_path / "metrics.csv", _COLUMNS)
    table.append({"iteration": 0, "env_step": np.int64(2048), "episode_return_mean": None})
    row = {"iteration": 1, "env_step": tf.constant(4096), "episode_return_mean": 0.1 + 0.2}
    table.append({**row, "note": "a, b"})
    table.append({"iteration": 2, "env_step": 6144, "episode_return_mean": np.float32(0.1), "note": True})
    assert (tmp_path / "metrics.csv").read_text() == (
        "iteration,env_step,episode_return_mean,note\n"
        "0,2048,,\n"
        '1,4096,0.30000000000000004,"a, b"\n'
        "2,6144,0.10000000149011612,1\n"
    )
    rows = read_table(table.path)
    assert [row["env_step"] for row in rows] == [2048, 4096, 6144]
    assert rows[0]["episode_return_mean"] is None and rows[1]["episode_return_mean"] == 0.1 + 0.2
    assert np.float32(rows[2]["episode_return_mean"]) == np.float32(0.1)
    assert rows[1]["note"] == "a, b"


def test_every_row_is_visible_at_once_and_survives_without_close(tmp_path):
    table = _table(tmp_path / "metrics.csv", [10, 20])
    assert len(read_table(tmp_path / "metrics.csv")) == 2
    table.sync()
    table.append({"env_step": 30})
    assert len(read_table(tmp_path / "metrics.csv")) == 3


def test_truncated_and_continued_equals_uninterrupted(tmp_path):
    whole = _table(tmp_path / "whole.csv", [10, 20, 30, 40, 50])
    cut = _table(tmp_path / "cut.csv", [10, 20, 30, 40, 50])
    cut.truncate_after(30)
    for iteration, env_step in ((3, 40), (4, 50)):
        cut.append({"iteration": iteration, "env_step": env_step, "episode_return_mean": env_step / 3})
    assert cut.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.parametrize("length", range(1, 12))
def test_a_half_written_last_line_is_dropped(tmp_path, length):
    table = _table(tmp_path / "metrics.csv", [10, 20])
    table.close()
    whole = table.path.read_bytes()
    line = b"2,30,10.0,x\n"
    table.path.write_bytes(whole + line[:length])
    complete = length == len(line)
    assert len(read_table(table.path)) == 2 + complete
    # Half a line may even read as an earlier step ("3" of "30").
    table.truncate_after(1000)
    assert table.path.read_bytes() == whole


def test_appending_after_a_half_line_drops_it(tmp_path):
    table = _table(tmp_path / "metrics.csv", [10])
    table.close()
    with open(table.path, "ab") as file:
        file.write(b"1,2")
    table.append({"iteration": 1, "env_step": 20})
    assert [row["env_step"] for row in read_table(table.path)] == [10, 20]


@pytest.mark.parametrize("damage", [b"\0\0\0\0\n", b"1,2\n", b"\xff\xfe,1,2,3\n", b"\n"])
def test_lines_that_are_no_rows_are_dropped_by_who_resumes(tmp_path, damage):
    table = _table(tmp_path / "metrics.csv", [10])
    table.close()
    whole = table.path.read_bytes()
    table.path.write_bytes(whole + damage)
    with pytest.raises(RunDirectoryError, match="metrics.csv is damaged"):
        read_table(table.path)
    table.truncate_after(10)
    assert table.path.read_bytes() == whole


def test_a_half_written_header_begins_anew(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("iteration,env_")
    table = CsvTable(path, _COLUMNS)
    assert read_table(table.path) == []
    table.truncate_after(0)
    table.append({"iteration": 0, "env_step": 10})
    assert read_table(table.path) == [{"iteration": 0, "env_step": 10, "episode_return_mean": None, "note": None}]


def test_nothing_to_truncate_leaves_the_file_alone(tmp_path):
    table = CsvTable(tmp_path / "metrics.csv", _COLUMNS)
    table.truncate_after(0)
    assert not table.path.exists()
    table = _table(table.path, [10])
    inode = os.stat(table.path).st_ino
    table.truncate_after(10)
    assert os.stat(table.path).st_ino == inode


def test_other_columns_are_refused(tmp_path):
    _table(tmp_path / "metrics.csv", [10]).close()
    other = CsvTable(tmp_path / "metrics.csv", ["env_step", "q_mean"])
    for use in (lambda: other.append({"env_step": 20}), lambda: other.truncate_after(0)):
        with pytest.raises(RunDirectoryError, match="iteration,env_step.*env_step,q_mean"):
            use()
    assert len(read_table(tmp_path / "metrics.csv")) == 1


def test_mistakes_of_the_caller_are_errors(tmp_path):
    with pytest.raises(ValueError, match="must contain 'env_step'"):
        CsvTable(tmp_path / "metrics.csv", ["iteration"])
    table = CsvTable(tmp_path / "metrics.csv", _COLUMNS)
    with pytest.raises(ValueError, match="kl_divergence"):
        table.append({"env_step": 1, "kl_divergence": 0.1})
    with pytest.raises(ValueError, match="one line"):
        table.append({"env_step": 1, "note": "a\nb"})


def test_a_full_disk_is_one_message_and_leaves_whole_rows(tmp_path):
    table = _table(tmp_path / "metrics.csv", [10, 20])
    before = table.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # Room for three bytes of the next row.
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 3, limits[1]))
        with pytest.raises(RunDirectoryError, match="metrics.csv: File too large"):
            table.append({"iteration": 2, "env_step": 30})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert table.path.read_bytes() == before
    table.append({"iteration": 2, "env_step": 30})
    assert [row["env_step"] for row in read_table(table.path)] == [10, 20, 30]


def test_an_unwritable_place_is_one_message(tmp_path):
    table = CsvTable(tmp_path / "missing" / "metrics.csv", _COLUMNS)
    with pytest.raises(RunDirectoryError, match="cannot write .*No such file"):
        table.append({"env_step": 1})


def test_columns_that_are_not_there_are_nan(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("env_step\n1\n2\n")
    found = read_columns(path, ("env_step",), ("wall_time_s",))
    assert found["env_step"].tolist() == [1.0, 2.0] and np.isnan(found["wall_time_s"]).all()
