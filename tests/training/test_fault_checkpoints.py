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
from expol_tf.training.checkpointing import CheckpointStore, Restored
from tests.runs.damage import ANY, set_entry
from tests.training.forged import forge

GENERATOR = json.dumps(np.random.default_rng(0).bit_generator.state)
ARRAYS = {
    "environment/observation": np.zeros([2, 4], np.float32),
    "environment/elapsed_steps": np.zeros(2, np.int64),
    "environment/np_random": np.array([GENERATOR, GENERATOR]),
    "environment/0.OwnTask.own": np.zeros([2, 3]),
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
    "tables": {name: {"columns": ["env_step"], "sha256": "0"} for name in ("metrics.csv", "evaluation.csv")},
    "is_midway": False,
    "unseen": {"metrics": {"env_step": 100}, "evaluation": {"return_mean": 1.0}},
}
# A run that was saved now and then has these as well.
BESIDES = {
    "action": np.zeros([2, 1], np.float32),
    "finished_return": np.zeros(3),
    "finished_length": np.ones(3, np.int64),
    "iteration/counters": np.array([3, 7]),
    "iteration/metric_sums": np.zeros(4),
}
# Of an on-policy run.
SCALE = {"reward_scale/returns": np.zeros(2), "reward_scale/moments": np.array([0.0, 1.0, 1e-4])}
# No double has room for it.
HUGE = 10**400
NO_GENERATORS = ('{"bit_generator": "PCG64"}', '{"bit_generator": 5}', "[]", "[" * 10_000)
MAY_BE_MISSING = ("tables", "is_midway", "unseen")
COLUMNS = ("values", "tables", "metrics.csv", "columns")


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


def array(name: str, value: Any) -> Any:
    """Gives an array another value, and the list of arrays as well."""
    return listed(lambda manifest, arrays: arrays.update({name: np.asarray(value)}))


def entry(*path: str, value: Any = None) -> Any:
    """Removes an entry of the manifest, or gives it another value."""

    def change(manifest: dict, arrays: dict) -> None:
        set_entry(manifest, path, value)

    return change


DAMAGES = {
    **{f"no {name}": without(name) for name in ARRAYS},
    **{f"text in {name}": text(name) for name in ARRAYS},
    **{f"no {name}, not listed": listed(without(name)) for name in ARRAYS if "OwnTask" not in name},
    **{f"text in {name}, listed": listed(text(name)) for name in ARRAYS if "OwnTask" not in name},
    **{f"no values.{name}": entry("values", name) for name in VALUES if name not in MAY_BE_MISSING},
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
    **{f"huge {name}": entry("values", name, value=HUGE)
       for name in ("iteration", "wall_time_s", "evaluated_at")},
    **{f"huge in episodes.{name}": entry("values", "episodes", name, value=[HUGE])
       for name in ("recent", "returns", "lengths")},
    "2**53 + 1 iterations": entry("values", "iteration", value=2**53 + 1),
    "huge number of episodes": entry("values", "episodes", "episodes", value=HUGE),
    "negative wall time": entry("values", "wall_time_s", value=-1.0),
    "evaluated after it": entry("values", "evaluated_at", value=201),
    "more returns than lengths": entry("values", "episodes", "returns", value=[1.0, 2.0]),
    "more recent than all": entry("values", "episodes", "recent", value=[1.0, 2.0, 3.0]),
    "nothing unseen": entry("values", "unseen", value={}),
    "unseen without metrics": entry("values", "unseen", "metrics"),
    "unseen without evaluation": entry("values", "unseen", "evaluation"),
    "an evaluation without return": entry("values", "unseen", "evaluation", "return_mean"),
    "no table of evaluations": entry("values", "tables", "evaluation.csv"),
    **{f"columns {value}": entry(*COLUMNS, value=value)
       for value in (["a"], [], ["env_step", "env_step"], ["env_step", "a\nb"], ["env_step", "a\0b"])},
    **{f"a file named {name[:9]!r}": entry("files", name, value={"bytes": 1, "sha256": "0"})
       for name in ("a\0b", "..", "", "a" * 300, "\u00e4")},
    "three counters": array("counters", [10, 3, 0]),
    "a negative counter": array("counters", [10, -1]),
    "a huge counter": array("counters", [2**53 + 1, 3]),
    "more rows than appended": array("replay/rows", np.zeros([1, 7], np.float32)),
    "rows of other spaces": array("replay/rows", np.zeros([0, 9], np.float32)),
    "negative appended": array("replay/appended", -1),
    "observations of another size": array("environment/observation", np.zeros([2, 5], np.float32)),
    "observations of other environments": array("environment/observation", np.zeros([3, 4], np.float32)),
    "negative elapsed steps": array("environment/elapsed_steps", [-1, 0]),
    "a task's array of other environments": array("environment/0.OwnTask.own", np.zeros(5)),
    "a task's array of no environment": array("environment/0.OwnTask.own", 0.0),
    "a task's array of a third environment": array("environment/0.OwnTask.more#2", 0.0),
    **{f"{name} with the generator {state[:24]}": array(name, np.full(ARRAYS[name].shape, state))
       for name in ("warm_up_generator", "environment/np_random")
       for state in (*NO_GENERATORS, GENERATOR.replace("PCG64", "MT19937"))},
    **{f"text in {name}": array(name, "text") for name in BESIDES},
    **{f"a matrix in {name}": array(name, np.zeros([2, 2, 2], BESIDES[name].dtype)) for name in BESIDES},
    **{f"{name} alone": array(name, BESIDES[name]) for name in BESIDES if name != "action"},
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


def test_what_is_there_now_and_then_is_whole(store: CheckpointStore) -> None:
    newest = store.paths()[-1]
    forge(newest, listed(lambda manifest, arrays: arrays.update(BESIDES)))
    # One's own array of another size, and one for some of the sub-environments.
    forge(newest, array("environment/0.OwnTask.own", np.zeros([2, 5])))
    forge(newest, array("environment/0.OwnTask.more#1", 0.0))
    forge(newest, entry("values", "unseen", value={"metrics": None, "evaluation": None}))
    assert restore(store, tf.Variable(0.0)).env_step == 200 and not store.damaged


@pytest.mark.parametrize(
    "moments", [[0.0, 1.0], [0.0, np.nan, 1.0], [0.0, -1.0, 1.0], [np.inf, 1.0, 1.0], [0.0, 1.0, 0.0]]
)
def test_fault_14_moments_that_are_none(moments: list[float]) -> None:
    fresh = {**ARRAYS, **SCALE}
    assert problem_with(Restored(100, fresh, VALUES), fresh) is None
    damaged = {**fresh, "reward_scale/moments": np.array(moments)}
    assert "'reward_scale/moments' must be" in problem_with(Restored(100, damaged, VALUES), fresh)


def test_fault_14_what_only_its_owner_can_refuse_is_set_aside(store: CheckpointStore, caplog: Any) -> None:
    taken = []

    def rest(restored: Restored) -> None:
        if restored.env_step == 200:
            raise CheckpointError("The saved state needs 'own'.")
        taken.append(restored.env_step)

    weight = tf.Variable(0.0)
    assert store.restore({"weight": weight}, rest=rest, read_only=True).env_step == 100 and not store.damaged
    assert store.restore({"weight": weight}, rest=rest).env_step == 100 and weight.numpy() == 1.0
    assert taken == [100, 100] and [path.name for path in store.damaged] == [
        "checkpoint-000000000200.damaged"
    ]
    assert "is damaged (The saved state needs 'own'.); set aside as" in caplog.text


def test_fault_14_variables_of_another_shape_are_set_aside(tmp_path: pathlib.Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, {"weight": tf.Variable(tf.ones([3]))})
    store.save(2, {"weight": tf.Variable(tf.ones([4]))})
    weight = tf.Variable(tf.zeros([3]))
    assert store.restore({"weight": weight}).env_step == 1 and len(store.damaged) == 1
    np.testing.assert_array_equal(weight, np.ones(3))


def test_a_checkpoint_of_something_else_stays_where_no_older_one_is_taken(store: CheckpointStore) -> None:
    paths = store.paths()
    for path in paths:
        forge(path, array("environment/observation", np.zeros([2, 5], np.float32)))
    with pytest.raises(
        CheckpointError, match=r"0200 does not hold what this run saves \(arrays.npz: 'environment/"
    ) as it:
        restore(store, tf.Variable(0.0))
    assert "shape [2, 4]; got float32 [2, 5]), and there is no older one that does. Resume with" in str(
        it.value
    )
    assert store.paths() == paths and not store.damaged


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
