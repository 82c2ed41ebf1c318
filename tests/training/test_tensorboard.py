import resource

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from expol_tf.errors import RunDirectoryError
from expol_tf.training.tensorboard import TensorBoardLog


def _read(directory, tag="train/return"):
    accumulator = event_accumulator.EventAccumulator(str(directory), size_guidance={"scalars": 0})
    accumulator.Reload()
    if tag not in accumulator.Tags()["scalars"]:
        return []
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def _write(log, steps, offset=0.0):
    for step in steps:
        values = {"train/return": step / 2 + offset, "train/kl": np.float32(0.01), "train/none": None}
        log.scalars(step, values)


def test_tensorboard_reads_the_points_while_they_are_written(tmp_path):
    log = TensorBoardLog(tmp_path / "tensorboard")
    assert not (tmp_path / "tensorboard").exists()
    _write(log, range(0, 50, 10))
    assert _read(tmp_path / "tensorboard") == [(step, step / 2) for step in range(0, 50, 10)]
    assert _read(tmp_path / "tensorboard", "train/none") == []


def test_later_points_go_and_earlier_ones_stay(tmp_path):
    first = TensorBoardLog(tmp_path)
    _write(first, [10, 20])
    first.close()
    second = TensorBoardLog(tmp_path)
    _write(second, [30, 40, 50])
    second.close()
    third = TensorBoardLog(tmp_path)
    _write(third, [60, 70])
    third.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    resumed = TensorBoardLog(tmp_path)
    resumed.truncate_after(30)
    assert _read(tmp_path) == [(10, 5.0), (20, 10.0), (30, 15.0)]
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        assert before[path].startswith(path.read_bytes())
    _write(resumed, [40, 50], offset=100.0)
    assert _read(tmp_path) == [(10, 5.0), (20, 10.0), (30, 15.0), (40, 120.0), (50, 125.0)]


def test_one_log_can_be_cut_and_go_on(tmp_path):
    log = TensorBoardLog(tmp_path)
    _write(log, [10, 20, 30])
    log.truncate_after(10)
    _write(log, [20], offset=1.0)
    assert _read(tmp_path) == [(10, 5.0), (20, 11.0)]


@pytest.mark.parametrize("missing", [1, 4, 20])
def test_a_record_that_a_kill_left_incomplete_is_dropped(tmp_path, missing):
    log = TensorBoardLog(tmp_path)
    _write(log, [10, 20, 30])
    log.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-missing])
    log = TensorBoardLog(tmp_path)
    log.truncate_after(1000)
    # Every byte left is a whole record with good checksums.
    assert len(list(tf.data.TFRecordDataset(str(path)))) == 3
    _write(log, [30])
    assert [step for step, _ in _read(tmp_path)] == [10, 20, 30]


def test_nothing_to_cut_changes_nothing(tmp_path):
    TensorBoardLog(tmp_path / "none").truncate_after(0)
    log = TensorBoardLog(tmp_path)
    _write(log, [10, 20])
    log.close()
    (path,) = tmp_path.iterdir()
    inode = path.stat().st_ino
    log.truncate_after(20)
    assert path.stat().st_ino == inode


def test_the_temporary_file_of_a_killed_truncation_is_removed(tmp_path):
    log = TensorBoardLog(tmp_path)
    _write(log, [10])
    log.close()
    (path,) = tmp_path.iterdir()
    path.with_name(f".{path.name}.tmp").write_bytes(path.read_bytes())
    log.truncate_after(10)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_message_and_later_points_are_readable(tmp_path):
    log = TensorBoardLog(tmp_path)
    _write(log, [10])
    (path,) = tmp_path.iterdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
        with pytest.raises(RunDirectoryError, match="TensorBoard events in .*File too large"):
            _write(log, [20])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    _write(log, [30])
    assert [step for step, _ in _read(tmp_path)] == [10, 30]
