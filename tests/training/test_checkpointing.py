import errno
import json
import os
import resource
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import CheckpointError, ConfigurationError, OutOfMemoryError
from expol_tf.training import checkpoint_files
from expol_tf.training.checkpointing import FORMAT_VERSION, CheckpointStore


class _Experiment(tf.Module):
    """A variable, an optimizer with a slot and a generator, all a function of the steps taken."""

    def __init__(self, size=3):
        super().__init__()
        self.weights = tf.Variable(tf.zeros([size]))
        self.optimizer = tf.keras.optimizers.Adam(0.1)
        self.optimizer.build([self.weights])
        self.generator = tf.random.Generator.from_seed(5, alg="philox")

    def step(self):
        gradient = self.generator.normal(self.weights.shape)
        self.optimizer.apply_gradients([(gradient, self.weights)])
        return self.weights.numpy()


def _save_three(directory):
    store, experiment = CheckpointStore(directory), _Experiment()
    for env_step in (100, 200, 300):
        experiment.step()
        store.save(env_step, {"agent": experiment}, {"state": np.full(4, env_step)}, {"row": env_step})
    return store


def test_a_restored_experiment_continues_bit_for_bit(tmp_path):
    store, experiment = CheckpointStore(tmp_path / "checkpoints"), _Experiment()
    for _ in range(3):
        experiment.step()
    arrays = {
        "file": np.arange(6, dtype=np.float32).reshape(2, 3),
        "envs/0/state": np.array([np.nan, -0.0, 5e-324]),
        "flags": np.array([True, False]),
        "empty": np.zeros([0, 4]),
        "scalar": np.uint64(2**63),
    }
    values = {"state": 2**127 + 1, "wall_time_s": 0.1 + 0.2, "nothing": None, "n": np.int64(3)}
    store.save(300, {"agent": experiment}, arrays, values)
    expected = [experiment.step() for _ in range(3)]

    resumed = _Experiment()
    restored = CheckpointStore(tmp_path / "checkpoints").restore({"agent": resumed})

    assert restored.env_step == 300
    assert restored.values == {**values, "n": 3}
    assert restored.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert restored.arrays[name].dtype == array.dtype
        assert restored.arrays[name].tobytes() == np.asarray(array).tobytes()
        assert restored.arrays[name].shape == np.shape(array)
    np.testing.assert_array_equal([resumed.step() for _ in range(3)], expected)


def test_without_a_checkpoint_nothing_is_restored(tmp_path):
    assert CheckpointStore(tmp_path / "none").restore({"agent": _Experiment()}) is None
    assert CheckpointStore(tmp_path / "none").arrays() is None and not (tmp_path / "none").exists()


def test_the_arrays_alone_are_those_of_the_newest_good_checkpoint(tmp_path):
    newest = _save_three(tmp_path).paths()[-1]
    np.testing.assert_array_equal(CheckpointStore(tmp_path).arrays()["state"], np.full(4, 300))
    (newest / "arrays.npz").write_bytes(b"damaged")
    before = sorted(tmp_path.iterdir())
    np.testing.assert_array_equal(CheckpointStore(tmp_path).arrays()["state"], np.full(4, 200))
    assert sorted(tmp_path.iterdir()) == before


def test_the_last_ones_are_kept(tmp_path):
    store, weight = CheckpointStore(tmp_path, max_to_keep=2), tf.Variable(0.0)
    for env_step in (5, 10, 1000, 999_999_999_999):
        store.save(env_step, {"weight": weight})
    assert [path.name for path in store.paths()] == ["checkpoint-000000001000", "checkpoint-999999999999"]
    assert sorted(os.listdir(tmp_path)) == [path.name for path in store.paths()]


def test_a_removal_that_was_killed_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    store, weight = CheckpointStore(tmp_path, max_to_keep=1), tf.Variable(0.0)
    store.save(1, {"weight": weight})
    with monkeypatch.context() as patched:
        # As a kill would: the removal has begun and does not end.
        patched.setattr("shutil.rmtree", lambda path, **_: os.unlink(path / "arrays.npz"))
        store.save(2, {"weight": weight})
    assert [path.name for path in store.paths()] == ["checkpoint-000000000002"]
    store.save(3, {"weight": weight})
    assert os.listdir(tmp_path) == ["checkpoint-000000000003"]


def test_a_second_checkpoint_of_the_same_step_counts_as_newer(tmp_path):
    store, weight = CheckpointStore(tmp_path, max_to_keep=2), tf.Variable(0.0)
    for value in range(12):
        weight.assign(value)
        store.save(7, {"weight": weight}, values={"value": value})
    assert len(store.paths()) == 2
    weight.assign(-1.0)
    assert store.restore({"weight": weight}).values == {"value": 11}
    assert weight.numpy() == 11.0


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "emptied"])
@pytest.mark.parametrize("pattern", ["manifest.json", "arrays.npz", "variables.index", "variables.data-*"])
def test_a_damaged_newest_checkpoint_is_set_aside(tmp_path, caplog, pattern, damage):
    store = _save_three(tmp_path)
    newest = store.paths()[-1]
    (path,) = newest.glob(pattern)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[:-1])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()

    experiment = _Experiment()
    restored = store.restore({"agent": experiment})

    assert restored.env_step == 200
    np.testing.assert_array_equal(restored.arrays["state"], [200] * 4)
    assert experiment.optimizer.iterations.numpy() == 2
    assert [path.name for path in store.paths()] == ["checkpoint-000000000100", "checkpoint-000000000200"]
    assert (tmp_path / f"{newest.name}.damaged").is_dir()
    assert path.name in caplog.text and "set aside" in caplog.text


def test_all_damaged_is_as_none(tmp_path):
    store = _save_three(tmp_path)
    for path in store.paths():
        (path / "manifest.json").write_text("[]")
    assert store.restore({"agent": _Experiment()}) is None
    assert len(list(tmp_path.glob("*.damaged"))) == 3


def test_the_same_checkpoint_may_be_damaged_twice(tmp_path):
    store, weight = CheckpointStore(tmp_path), tf.Variable(0.0)
    for _ in range(2):
        path = store.save(1, {"weight": weight})
        (path / "arrays.npz").unlink()
        assert store.restore({"weight": weight}) is None
    assert len(list(tmp_path.glob("*.damaged*"))) == 2


def test_a_newer_format_is_refused_by_name_and_stays(tmp_path):
    store = _save_three(tmp_path)
    newest = store.paths()[-1]
    manifest = json.loads((newest / "manifest.json").read_text())
    (newest / "manifest.json").write_text(json.dumps({**manifest, "format_version": FORMAT_VERSION + 1}))
    with pytest.raises(CheckpointError, match=f"version {FORMAT_VERSION + 1}.*up to {FORMAT_VERSION}"):
        store.restore({"agent": _Experiment()})
    assert newest in store.paths()


def test_reading_beside_a_training_process_changes_nothing(tmp_path):
    store = _save_three(tmp_path)
    (store.paths()[-1] / "arrays.npz").unlink()
    (tmp_path / ".temporary-000000000400").mkdir()
    before = sorted(os.listdir(tmp_path))
    assert store.restore({"agent": _Experiment()}, read_only=True).env_step == 200
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "trackables",
    [
        {"weight": tf.Variable(tf.zeros([2]))},
        {"weight": tf.Variable(tf.zeros([3], tf.float64))},
        {"weight": tf.Variable(tf.zeros([3])), "more": tf.Variable(0.0)},
        {"other": tf.Variable(tf.zeros([3]))},
        {},
    ],
    ids=["shape", "dtype", "more", "renamed", "fewer"],
)
def test_other_variables_are_an_error_and_the_checkpoint_stays(tmp_path, trackables):
    store = CheckpointStore(tmp_path)
    path = store.save(1, {"weight": tf.Variable(tf.ones([3]))})
    with pytest.raises(CheckpointError, match="does not fit"):
        store.restore(trackables)
    assert store.paths() == [path]


def test_nothing_in_a_checkpoint_is_pickled(tmp_path):
    store, weight = CheckpointStore(tmp_path), tf.Variable(0.0)
    with pytest.raises(TypeError, match="arrays\\['state'\\].*object"):
        store.save(1, {"weight": weight}, {"state": np.array([{}], dtype=object)})
    with pytest.raises(TypeError, match="values must be JSON"):
        store.save(1, {"weight": weight}, values={"state": object()})
    assert store.paths() == []


def test_a_pickle_smuggled_in_with_matching_checksums_is_not_loaded(tmp_path, monkeypatch):
    store, weight = CheckpointStore(tmp_path), tf.Variable(0.0)

    def savez(path, arrays):
        with open(path, "wb") as file:
            np.savez(file, state=np.array([{}], dtype=object))

    monkeypatch.setattr("expol_tf.training.checkpoint_files.write_arrays", savez)
    store.save(1, {"weight": weight})
    assert store.restore({"weight": weight}) is None


def test_a_full_disk_is_one_message_and_leaves_the_last_checkpoint(tmp_path):
    store, weight = CheckpointStore(tmp_path), tf.Variable(tf.zeros([4096]))
    store.save(1, {"weight": weight})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # A file-size limit fails a write as a full disk does, and needs no file system of its own.
        for limit, trackables in ((100, {"weight": weight}), (1500, {})):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
            with pytest.raises(CheckpointError, match="File too large; the last one, .*0001, is untouched"):
                store.save(2, trackables, {"state": np.zeros(4096)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["checkpoint-000000000001"]
    assert store.restore({"weight": weight}).env_step == 1


def test_an_unwritable_directory_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write the checkpoint of env step 3.*Not a directory"):
        CheckpointStore(tmp_path / "file" / "checkpoints").save(3, {"weight": tf.Variable(0.0)})


def test_at_least_one_is_kept(tmp_path):
    with pytest.raises(ConfigurationError, match="max_to_keep must be 1 or more; got 0"):
        CheckpointStore(tmp_path, max_to_keep=0)


# Each forked child resumes, checks that the parts of the checkpoint belong together, then saves without pause
# until it is killed. TensorFlow is imported once, and used only in the children.
_KILLED_WRITERS = """
    import os, signal, sys, time
    import numpy as np, tensorflow as tf
    from expol_tf.training.checkpointing import CheckpointStore

    directory = sys.argv[1]

    def write(confirmed, ready):
        store = CheckpointStore(directory, max_to_keep=2)
        trackables = {str(i): tf.Variable(tf.zeros([100])) for i in range(5)}
        restored = store.restore(trackables)
        step = 0 if restored is None else restored.env_step
        assert step >= confirmed, (step, confirmed)
        if restored is not None:
            assert restored.values == {"step": step}
            assert (restored.arrays["state"] == step).all()
            assert all((v.numpy() == step).all() for v in trackables.values())
        while True:
            step += 1
            for variable in trackables.values():
                variable.assign(tf.fill([100], float(step)))
            store.save(step, trackables, {"state": np.full(5000, step)}, {"step": step})
            os.write(ready, b"%d\\n" % step)

    confirmed = interrupted = 0
    for kill in range(10):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write(confirmed, writer)
            finally:
                os._exit(1)
        os.close(writer)
        received = os.read(reader, 100)
        time.sleep(0.0037 * kill)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the child failed before it was killed"
        while part := os.read(reader, 100):
            received += part
        confirmed = int(received.split()[-1])
        interrupted += any(name.startswith(".temporary") for name in os.listdir(directory))
    print(confirmed, interrupted, *(name for name in os.listdir(directory) if "damaged" in name))
"""


def test_killed_writers_always_leave_the_newest_whole(tmp_path):
    tmp_path = tmp_path / "checkpoints"
    tmp_path.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", textwrap.dedent(_KILLED_WRITERS), str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    confirmed, interrupted, *damaged = result.stdout.split()
    assert int(interrupted) >= 1, "no kill came inside a write"
    assert not damaged

    trackables = {str(i): tf.Variable(tf.zeros([100])) for i in range(5)}
    restored = CheckpointStore(tmp_path).restore(trackables)
    assert restored.env_step >= int(confirmed)
    assert not list(tmp_path.glob(".temporary*"))


class _Gate:
    """Holds back the writing of arrays until it is opened, as a slow disk would."""

    def __init__(self, monkeypatch):
        self.open, self.reached = threading.Event(), threading.Event()
        write = checkpoint_files.write_arrays

        def held_back(path, arrays):
            self.reached.set()
            assert self.open.wait(60)
            write(path, arrays)

        monkeypatch.setattr(checkpoint_files, "write_arrays", held_back)


def test_training_goes_on_while_arrays_are_written(tmp_path, monkeypatch):
    store, weight, gate = CheckpointStore(tmp_path), tf.Variable(1.0), _Gate(monkeypatch)
    path = store.save(1, {"weight": weight}, {"state": np.arange(3)}, {"row": [1]}, wait=False)
    assert gate.reached.wait(60)
    # Not there until it is whole; what it holds is of the moment it was asked for.
    assert not path.exists() and store.paths() == []
    weight.assign(2.0)
    gate.open.set()
    store.wait()
    assert store.paths() == [path]
    restored = store.restore({"weight": weight})
    assert weight.numpy() == 1.0 and restored.arrays["state"].tolist() == [0, 1, 2]
    assert restored.values == {"row": [1]}


def test_the_next_checkpoint_waits_for_the_last(tmp_path, monkeypatch):
    store, weight, gate = CheckpointStore(tmp_path), tf.Variable(1.0), _Gate(monkeypatch)
    store.save(1, {"weight": weight}, wait=False)
    second = threading.Thread(target=store.save, args=(2, {"weight": weight}))
    second.start()
    second.join(0.2)
    assert second.is_alive() and store.paths() == []
    gate.open.set()
    second.join(60)
    assert [path.name[-1] for path in store.paths()] == ["1", "2"]


@pytest.mark.parametrize(
    ("raised", "error", "words"),
    [
        (MemoryError("no room"), OutOfMemoryError, "too little memory .*no room"),
        (KeyError("a defect"), KeyError, "a defect"),
    ],
)
def test_no_error_in_the_thread_is_lost(tmp_path, monkeypatch, raised, error, words):
    store, weight = CheckpointStore(tmp_path), tf.Variable(1.0)

    def fail(path, arrays):
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_files, "write_arrays", fail)
        store.save(2, {"weight": weight}, wait=False)
        with pytest.raises(error, match=words):
            store.wait()
    assert os.listdir(tmp_path) == []
    store.save(3, {"weight": weight})


def test_a_checkpoint_that_does_not_fit_into_the_memory_is_not_set_aside(tmp_path, monkeypatch):
    store, weight = CheckpointStore(tmp_path), tf.Variable(1.0)
    store.save(1, {"weight": weight}, {"rows": np.zeros(3)})

    def fail(*arguments, **keywords):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(np, "load", fail)
        with pytest.raises(OutOfMemoryError, match="cannot read .*does not fit into the memory"):
            store.restore({"weight": weight})
    assert store.restore({"weight": weight}) is not None


@pytest.mark.parametrize("opportunity", ["check", "wait", "save", "restore"])
def test_a_failure_in_the_thread_is_raised_at_the_next_opportunity(tmp_path, monkeypatch, opportunity):
    store, weight = CheckpointStore(tmp_path), tf.Variable(1.0)
    store.save(1, {"weight": weight})

    def fail(path, arrays):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_files, "write_arrays", fail)
        store.save(2, {"weight": weight}, wait=False)
        store._writer.join()
    call = {"save": lambda: store.save(3, {"weight": weight}), "restore": lambda: store.restore({})}
    with pytest.raises(CheckpointError, match="env step 2.*No space left on device.*0001, is untouched"):
        call.get(opportunity, getattr(store, opportunity))()
    # Once; and nothing is left of it.
    store.wait()
    assert os.listdir(tmp_path) == ["checkpoint-000000000001"]
    store.save(3, {"weight": weight})
