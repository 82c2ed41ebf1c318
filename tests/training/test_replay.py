"""The replay against a slow one of NumPy, and its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import Transitions
from expol_tf.errors import CheckpointError, ConfigurationError, OutOfMemoryError
from expol_tf.training import UniformReplay
from expol_tf.training.runners import replay
from tests.damaged_states import refuse_damaged

OBSERVATION, ACTION = 3, 2


class SlowReplay:
    """A ring of rows, written one by one."""

    def __init__(self, capacity: int) -> None:
        self.rows: list[np.ndarray | None] = [None] * capacity
        self.position = self.size = 0

    def append(self, rows: np.ndarray) -> None:
        for row in rows:
            self.rows[self.position] = row
            self.position = (self.position + 1) % len(self.rows)
            self.size = min(self.size + 1, len(self.rows))


def make_transitions(first: int, count: int, valid: np.ndarray | None = None) -> Transitions:
    """Transitions whose every number tells which transition it is of, and which field and column."""

    def field(name: int, size: int) -> np.ndarray:
        return np.add.outer(np.arange(first, first + count) * 100.0, name * 10.0 + np.arange(size))

    return Transitions(
        *(tf.constant(each, tf.float32) for each in (field(1, OBSERVATION), field(2, ACTION))),
        tf.constant(field(3, 1)[:, 0], tf.float32),
        tf.constant(field(4, 1)[:, 0], tf.float32),
        tf.constant(field(5, OBSERVATION), tf.float32),
        None if valid is None else tf.constant(valid),
    )


def rows_of(transitions: Transitions) -> np.ndarray:
    """Packs transitions as the replay does."""
    columns = [transitions.reward[:, None], transitions.discount[:, None], transitions.next_observation]
    return np.concatenate([transitions.observation, transitions.action, *columns], axis=1)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "in a function"])
def test_rows_are_those_of_a_ring(compiled: bool) -> None:
    fast, slow = UniformReplay(7, OBSERVATION, ACTION), SlowReplay(7)
    append = tf.function(fast.append) if compiled else fast.append
    first = 0
    # One at a time, over the edge, as many as there is room for, none, and more.
    for count in (1, 1, 3, 4, 7, 0, 2, 16, 5):
        transitions = make_transitions(first, count)
        append(transitions)
        slow.append(rows_of(transitions))
        first += count
        assert int(fast.size) == slow.size and int(fast.position) == slow.position
        np.testing.assert_array_equal(fast.get_state()["rows"], slow.rows[: slow.size])


def test_frames_that_do_not_count_are_left_out() -> None:
    fast, slow = UniformReplay(5, OBSERVATION, ACTION), SlowReplay(5)
    valid = np.array([True, False, True, True, False])
    transitions = make_transitions(0, 5, valid)
    fast.append(transitions)
    slow.append(rows_of(transitions)[valid])
    np.testing.assert_array_equal(fast.get_state()["rows"], slow.rows[:3])


def test_samples_are_whole_transitions_drawn_uniformly_from_the_filled_rows() -> None:
    fast = UniformReplay(50, OBSERVATION, ACTION)
    fast.append(make_transitions(0, 20))
    count = 20_000
    sample = fast.sample(count, tf.constant([3, 4]))
    numbers = (sample.observation[:, 0].numpy() - 10).round().astype(int) // 100
    expected = make_transitions(0, 20)
    for got, known in zip(sample[:5], expected[:5], strict=True):
        assert got.shape == (count, *known.shape[1:])
        np.testing.assert_array_equal(got, known.numpy()[numbers])
    frequencies = np.bincount(numbers, minlength=20)
    # Chi-squared with 19 degrees of freedom exceeds 43.8 once in a thousand; the seed is fixed.
    assert len(frequencies) == 20 and ((frequencies - 1000) ** 2 / 1000).sum() < 43.8


def test_samples_follow_their_seed_alone() -> None:
    fast = UniformReplay(30, OBSERVATION, ACTION)
    fast.append(make_transitions(0, 30))
    sample = tf.function(lambda seed: fast.sample(8, seed).reward)
    one = sample(tf.constant([1, 2]))
    np.testing.assert_array_equal(one, sample(tf.constant([1, 2])))
    np.testing.assert_array_equal(one, fast.sample(8, tf.constant([1, 2])).reward)
    assert (one.numpy() != sample(tf.constant([1, 3])).numpy()).any()


@pytest.mark.parametrize("appended", [0, 4, 9, 23])
def test_a_restored_replay_goes_on_as_the_saved_one(appended: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_CHUNK", 4)
    saved, restored = UniformReplay(9, OBSERVATION, ACTION), UniformReplay(9, OBSERVATION, ACTION)
    if appended:
        saved.append(make_transitions(0, appended))
    state = saved.get_state()
    restored.append(make_transitions(500, 2))
    restored.set_state(state)
    # What was saved is a copy.
    saved.append(make_transitions(100, 3))
    restored.append(make_transitions(100, 3))
    for name, array in saved.get_state().items():
        np.testing.assert_array_equal(restored.get_state()[name], array)
    np.testing.assert_array_equal(*(rows_of(r.sample(5, [1, 2])) for r in (saved, restored)))


@pytest.mark.parametrize(
    ("capacity", "observation"), [(10, OBSERVATION), (5, OBSERVATION), (12, OBSERVATION + 1)]
)
def test_the_state_of_another_replay_is_refused(capacity: int, observation: int) -> None:
    saved, other = UniformReplay(9, OBSERVATION, ACTION), UniformReplay(capacity, observation, ACTION)
    saved.append(make_transitions(0, 12))
    with pytest.raises(CheckpointError, match="Resume with the run's own task and replay_capacity"):
        other.set_state(saved.get_state())


@pytest.mark.parametrize("appended", [4, 12])
def test_fault_13_damaged_states_of_a_replay(appended: int) -> None:
    saved = UniformReplay(9, OBSERVATION, ACTION)
    saved.append(make_transitions(0, appended))
    refuse_damaged(saved)
    with pytest.raises(CheckpointError, match="after -1 transitions"):
        saved.set_state({**saved.get_state(), "appended": np.array(-1)})


@pytest.mark.parametrize("capacity", [0, -3, 2.5, 1e6, True, "100"])
def test_a_capacity_is_a_positive_whole_number(capacity: object) -> None:
    with pytest.raises(ConfigurationError, match="capacity must be"):
        UniformReplay(capacity, OBSERVATION, ACTION)  # type: ignore[arg-type]


def test_a_replay_larger_than_the_machine_names_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    capacity, observation = 2**31 - 1, 10**6
    with pytest.raises(OutOfMemoryError, match=r"replay_capacity: 2,147,483,647 .*17179903\.54 GB.*Lower"):
        UniformReplay(capacity, observation, ACTION)

    def fail(shape: Any) -> None:
        # As TensorFlow does, after ten seconds.
        raise tf.errors.ResourceExhaustedError(None, None, f"OOM when allocating tensor with shape{shape}")

    # Where the system does not say what there is, TensorFlow finds out.
    monkeypatch.setattr(replay, "_available_memory", lambda: None)
    monkeypatch.setattr(tf, "zeros", fail)
    with pytest.raises(OutOfMemoryError, match=r"could not be had. Lower it"):
        UniformReplay(capacity, observation, ACTION)


_MEMORY = """
    import numpy as np, tensorflow as tf
    from expol_tf.training import UniformReplay

    def megabytes(name):
        with open("/proc/self/status") as file:
            return int(next(line for line in file if line.startswith(name)).split()[1]) / 1024

    append = tf.function(lambda rows: replay.append_rows(rows))
    sample = tf.function(lambda seed: replay.sample(256, seed).reward)
    rows = np.ones([1000, 42], np.float32)
    replay = UniformReplay(2000, 17, 6)
    append(rows), sample([0, 1]), replay.get_state()
    before = megabytes("VmRSS")
    replay = UniformReplay(1_000_000, 17, 6)
    append = tf.function(lambda rows: replay.append_rows(rows))
    sample = tf.function(lambda seed: replay.sample(256, seed).reward)
    for _ in range(20):
        append(rows), sample([0, 1])
    full, peak = megabytes("VmRSS"), megabytes("VmHWM")
    for _ in range(180):
        append(rows), sample([0, 1])
    state = replay.get_state()
    del state
    print(before, full, peak, megabytes("VmRSS"))
"""


def test_a_million_transitions_take_what_their_numbers_take() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", textwrap.dedent(_MEMORY)]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    before, full, peak, later = map(float, result.stdout.split()[-4:])
    numbers = 1_000_000 * 42 * 4 / 2**20
    assert numbers * 0.95 < full - before <= 1.15 * numbers
    # Never held twice, not even while it is made; and nothing is kept of what is copied to be saved.
    assert peak - before <= 1.15 * numbers
    assert later - full < 15
