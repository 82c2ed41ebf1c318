import os

import pytest

from expol_tf.runs import atomic_files


def test_the_old_version_is_there_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_files.write_atomically(path, "old")

    def full(source, target):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_files.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
    monkeypatch.undo()
    atomic_files.write_atomically(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_reasons_are_one_line_in_the_systems_words():
    assert atomic_files.reason(OSError(28, os.strerror(28), "/a/b")) == "No space left on device"
    tensorflow = "{{function_node __wrapped__SaveV2}} /a/b; No space left on device [Op:SaveV2]"
    assert atomic_files.reason(RuntimeError(tensorflow)) == "No space left on device"
    assert atomic_files.reason(ValueError("first\nsecond")) == "first"
    assert atomic_files.reason(KeyboardInterrupt()) == "KeyboardInterrupt"
