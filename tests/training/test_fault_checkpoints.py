"""Checkpoints that lack something, or hold text for numbers, whoever made their checksums."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import CheckpointError, RunDirectoryError
from expol_tf.training import KeepBestPolicy, TrainingEvent, checkpoint_files
from expol_tf.training.checkpoint_check import problem_with
from expol_tf.training.checkpointing import CheckpointStore
from tests.runs.damage import ANY
from tests.training.forged import forge

GENERATOR = json.dumps(np.random.default_rng(0).bit_generator.state)
ARRAYS = {
    "environment/observation": np.zeros([2, 4], np.float32),
    "environment/elapsed_steps": np.zeros(2, np.int64),
    "environment/np_random": np.array([GENERATOR, GENERATOR]),
    "environment/0.OwnTask.own": np.zeros(3),
    "episode_return": np.zeros(2),
    "episode_length": np.zeros(2, np.int64),
    "counters": np.array([10, 3]),
    "warm_up_generator": np.array(GENERATOR),
    "replay/rows": np.zeros([0, 7], np.float32),
    "replay/appended": np.int64(0),
}
VALUES = {
    "iteration": 4,
    "wall_time_s": 1.5,
    "evaluated_at": 0,
    "episodes": {"episodes": 2, "recent": [1.0, 2.0], "returns": [2.0], "lengths": [9]},
    "tables": {"metrics.csv": {"columns": ["env_step"], "sha256": "0"}},
}


def listed(change: Any) -> Any:
    """The same, with the list of arrays changed to agree."""

    def both(manifest: dict, arrays: dict) -> None:
        change(manifest, arrays)
        manifest["arrays"] = {name: checkpoint_files.array_kind(array) for name, array in arrays.items()}

    return both


def without(name: str) -> Any:
    return lambda manifest, arrays: arrays.pop(name)


def text(name: str) -> Any:
    return lambda manifest, arrays: arrays.update({name: np.array("text")})


def entry(*path: str, value: Any = None) -> Any:
    """Removes an entry of the manifest, or gives it another value."""

    def change(manifest: dict, arrays: dict) -> None:
        place = manifest
        for name in path[:-1]:
            place = place[name]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


DAMAGES = {
    **{f"no {name}": without(name) for name in ARRAYS},
    **{f"text in {name}": text(name) for name in ARRAYS},
    **{f"no {name}, not listed": listed(without(name)) for name in ARRAYS if "OwnTask" not in name},
    **{f"text in {name}, listed": listed(text(name)) for name in ARRAYS if "OwnTask" not in name},
    **{f"no values.{name}": entry("values", name) for name in VALUES if name != "tables"},
    **{f"text in values.{name}": entry("values", name, value="text") for name in VALUES},
    **{f"no values.episodes.{name}": entry("values", "episodes", name) for name in VALUES["episodes"]},
    **{f"text in episodes.{n}": entry("values", "episodes", n, value="text") for n in VALUES["episodes"]},
    **{f"no {name}": entry(name) for name in ("env_step", "files", "values", "format_version")},
    **{f"text in {name}": entry(name, value="text") for name in ("env_step", "files", "values", "arrays")},
    "text among returns": entry("values", "episodes", "recent", value=["text"]),
    "negative iteration": entry("values", "iteration", value=-1),
    "half an iteration": entry("values", "iteration", value=0.5),
    "infinite wall time": entry("values", "wall_time_s", value=float("inf")),
    "another env_step": entry("env_step", value=100),
    "no file's size": entry("files", "variables.index", "bytes"),
    "text for a file's size": entry("files", "variables.index", "bytes", value="text"),
    "no variables": entry("files", "variables.index"),
    "no arrays": entry("forget", value=True),
    "a file elsewhere": entry("files", "../../outside", value={"bytes": 1, "sha256": "0"}),
    "no table's columns": entry("values", "tables", "metrics.csv", "columns"),
    "no table's checksum": entry("values", "tables", "metrics.csv", "sha256"),
}  # fmt: skip


@pytest.fixture
def store(tmp_path: pathlib.Path) -> CheckpointStore:
    """Two checkpoints, whose variable is 1 and 2."""
    store = CheckpointStore(tmp_path / "checkpoints")
    for value in (1, 2):
        store.save(100 * value, {"weight": tf.Variable(float(value))}, ARRAYS, VALUES | {"iteration": value})
    return store


def restore(store: CheckpointStore, weight: tf.Variable) -> Any:
    return store.restore({"weight": weight}, check=lambda restored: problem_with(restored, ARRAYS))


def test_a_whole_one_is_restored(store: CheckpointStore) -> None:
    weight = tf.Variable(0.0)
    assert restore(store, weight).values["iteration"] == 2 and weight.numpy() == 2.0
    # As the first runs of 0.2 left them.
    forge(store.paths()[-1], lambda manifest, arrays: manifest.pop("arrays"))
    forge(store.paths()[-1], entry("values", "tables"))
    assert restore(store, weight).values["iteration"] == 2 and not store.damaged


@pytest.mark.parametrize("damage", DAMAGES)
def test_fault_14_a_checkpoint_that_lacks_something_is_set_aside(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    newest = store.paths()[-1]
    forge(newest, DAMAGES[damage])
    weight = tf.Variable(0.0)
    restored = restore(store, weight)
    assert restored.env_step == 100 and restored.values["iteration"] == 1 and weight.numpy() == 1.0
    assert [path.name for path in store.damaged] == [f"{newest.name}.damaged"]
    assert f"{newest} is damaged (" in caplog.text and "set aside as" in caplog.text


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"", b"[]", b"3", b'{"a": "\\ud800"}'])
def test_fault_14_a_manifest_that_is_none(store: CheckpointStore, content: bytes) -> None:
    (store.paths()[-1] / "manifest.json").write_bytes(content)
    assert restore(store, tf.Variable(0.0)).env_step == 100 and len(store.damaged) == 1


@pytest.mark.parametrize("name", ["manifest.json", "arrays.npz", "variables.index"])
@pytest.mark.parametrize("kind", ["directory", "dangling", "link to itself", "pipe"])
def test_fault_14_a_file_of_a_checkpoint_that_is_none(store: CheckpointStore, name: str, kind: str) -> None:
    path = store.paths()[-1] / name
    if kind == "link to itself":
        path.unlink()
        path.symlink_to(path.name)
    else:
        ANY[kind][0](path)
    assert restore(store, tf.Variable(0.0)).env_step == 100 and len(store.damaged) == 1


def test_fault_14_variables_with_the_checksum_of_something_else(store: CheckpointStore) -> None:
    newest = store.paths()[-1]

    def spoil(manifest: dict, arrays: dict) -> None:
        for path in newest.glob("variables.*"):
            path.write_bytes(b"text")
            manifest["files"][path.name] = checkpoint_files.describe_file(path)

    forge(newest, spoil)
    weight = tf.Variable(0.0)
    assert restore(store, weight).env_step == 100 and weight.numpy() == 1.0 and len(store.damaged) == 1


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_fault_14_the_directory_of_checkpoints_is_none(tmp_path: pathlib.Path, kind: str) -> None:
    path = tmp_path / "checkpoints"
    if kind == "file":
        path.write_text("text")
    else:
        path.symlink_to("nowhere")
    with pytest.raises(CheckpointError, match=rf"must lie in a directory that can be read; {path}: "):
        restore(CheckpointStore(path), tf.Variable(0.0))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"return_mean": "high"}', b"\xff"])
def test_fault_14_the_score_of_the_best_policy(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "best_policy.json").write_bytes(content)
    event = TrainingEvent(100, None, {"return_mean": 1.0}, None, None, tmp_path)
    with pytest.raises(RunDirectoryError, match=r"best_policy\.json is damaged .*Remove it, and start the"):
        KeepBestPolicy()(event)
    assert not (tmp_path / "best_policy").exists()


@pytest.mark.parametrize("name", [".temporary-000000000300", ".temporary-removed-checkpoint-1"])
def test_fault_18_a_link_among_the_leftovers_is_not_followed(
    store: CheckpointStore, tmp_path: pathlib.Path, name: str
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").touch()
    (store.directory / name).symlink_to(mine)
    store.save(300, {"weight": tf.Variable(3.0)})
    assert (mine / "file").exists() and not (store.directory / name).exists()
