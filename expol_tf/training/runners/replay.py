"""Uniform replay in one block of memory."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from expol_tf.agents import Transitions
from expol_tf.argument_types import require
from expol_tf.configurable import configurable
from expol_tf.errors import CheckpointError, ConfigurationError, OutOfMemoryError
from expol_tf.number_types import Count
from expol_tf.saved_states import require_saved
from expol_tf.shapes import require_shapes

# Rows copied at once by `get_state` and `set_state`: large enough to be fast, and small beside the replay.
_CHUNK = 8192


@configurable
class UniformReplay(tf.Module):
    """The last `capacity` transitions, drawn uniformly, with replacement.

    They are the rows (s, a, r, discount, s′) of one float32 variable `[capacity, 2·O + A + 2]`, allocated
    when constructed and changed in place: 4 bytes a number and nothing else. `append` and `sample` are made
    to be called inside of somebody's `tf.function`.

    Nothing here may read the variable as a whole: TensorFlow would copy it.

    Example:

    ```python
    replay = UniformReplay(capacity=1_000_000, observation_size=17, action_size=6)
    replay.append(transitions)
    batch = replay.sample(256, seed=[0, 1])
    ```

    Args:
      capacity: Transitions kept.
      observation_size: O.
      action_size: A.

    Raises:
      ConfigurationError: If the capacity is not a positive integer.
      OutOfMemoryError: If this machine has not the memory.
    """

    def __init__(self, capacity: Count, observation_size: Count, action_size: Count) -> None:
        super().__init__(name="replay")
        self.capacity = int(capacity)
        self._sizes = [observation_size, action_size, 1, 1, observation_size]
        self.row_size = sum(self._sizes)
        self._check_memory(_available_memory())
        try:
            # On the host also where a GPU learns: batches are small, the replay may exceed the GPU's memory.
            with tf.device("CPU:0"):
                self._rows = tf.Variable(
                    tf.zeros([self.capacity, self.row_size]), trainable=False, name="rows"
                )
                self._appended = tf.Variable(0, trainable=False, dtype=tf.int64, name="appended")
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise self._too_large("the memory could not be had") from error

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return 4 * self.row_size * self.capacity

    @property
    def size(self) -> tf.Tensor:
        """The number of transitions held, int64 `[]`."""
        return tf.minimum(self._appended, self.capacity)

    @property
    def position(self) -> tf.Tensor:
        """The row that is written next, int64 `[]`."""
        return self._appended % self.capacity

    def append(self, transitions: Transitions) -> None:
        """Adds `transitions` (those that are `valid`), in place of the oldest if there is no room."""
        require("transitions", transitions, Transitions)
        size, action_size = self._sizes[:2]
        shapes = (f"N {size}", f"N {action_size}", "N", "N", f"N {size}", "N | None")
        dtypes = (*["any"] * 5, "bool")
        require_shapes(
            *(
                (f"transitions.{name}", getattr(transitions, name), shape, dtype)
                for name, shape, dtype in zip(Transitions._fields, shapes, dtypes, strict=True)
            )
        )
        rows = tf.concat(
            [
                tf.cast(transitions.observation, tf.float32),
                tf.cast(transitions.action, tf.float32),
                tf.cast(transitions.reward, tf.float32)[:, tf.newaxis],
                tf.cast(transitions.discount, tf.float32)[:, tf.newaxis],
                tf.cast(transitions.next_observation, tf.float32),
            ],
            axis=1,
        )
        if transitions.valid is not None:
            rows = tf.boolean_mask(rows, transitions.valid)
        self.append_rows(rows)

    def append_rows(self, rows: tf.Tensor) -> None:
        """Adds transitions as rows (s, a, r, discount, s′), float32 `[N, 2·O + A + 2]`."""
        require_shapes(("rows", rows, f"N {self.row_size}", "float32"))
        count = tf.shape(rows, tf.int64)[0]
        if rows.shape[0] is None or rows.shape[0] > self.capacity:
            # A row written twice by one call would hold either of both.
            rows = rows[-tf.minimum(count, self.capacity) :]
        end = self._appended.assign_add(count)
        kept = tf.shape(rows, tf.int64)[0]
        indices = (end - kept + tf.range(kept)) % self.capacity
        self._rows.scatter_update(tf.IndexedSlices(rows, indices))

    def sample(self, batch_size: int, seed: tf.Tensor) -> Transitions:
        """Returns `batch_size` transitions; undefined in a graph while there is none.

        Args:
          batch_size: N.
          seed: Stateless seed, int32 `[2]`.

        Raises:
          ConfigurationError: If there is none, outside of graphs.
        """
        require("batch_size", batch_size, Count)
        require_shapes(("seed", seed, "2", "int"))
        if tf.executing_eagerly() and not int(self._appended):
            raise ConfigurationError("the replay is empty: append transitions before the first sample.")
        indices = tf.random.stateless_uniform([batch_size], seed, 0, self.size, tf.int64)
        # These rows alone are read; indexing would first read the variable as a whole.
        rows = self._rows.sparse_read(indices)
        observation, action, reward, discount, next_observation = tf.split(rows, self._sizes, axis=1)
        return Transitions(observation, action, reward[:, 0], discount[:, 0], next_observation)

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns a copy of the filled rows and the number of transitions ever appended."""
        rows = np.empty([int(self.size), self.row_size], np.float32)
        for start in range(0, len(rows), _CHUNK):
            end = min(start + _CHUNK, len(rows))
            rows[start:end] = memoryview(self._rows.sparse_read(tf.range(start, end, dtype=tf.int64)))
        return {"rows": rows, "appended": self._appended.numpy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CheckpointError: If it is of another capacity or of other spaces.
        """
        remedy = "Restore what get_state returned."
        require_saved(state, {"appended": np.array(0)}, "the replay", remedy)
        appended = int(state["appended"])
        expected = (min(appended, self.capacity), self.row_size)
        rows = state.get("rows", np.zeros(0))
        if appended < 0 or np.shape(rows) != expected:
            raise CheckpointError(
                f"The saved replay has rows of shape {np.shape(rows)}, but after {appended} transitions this "
                f"one has {expected}. Resume with the run's own task and replay_capacity."
            )
        require_saved(state, {"rows": np.broadcast_to(np.float32(0), expected)}, "the replay", remedy)
        for start in range(0, len(rows), _CHUNK):
            chunk = tf.constant(rows[start : start + _CHUNK], tf.float32)
            indices = tf.range(start, start + len(chunk), dtype=tf.int64)
            self._rows.scatter_update(tf.IndexedSlices(chunk, indices))
        self._appended.assign(appended)

    def _check_memory(self, available: int | None) -> None:
        if available is not None and self.nbytes > available:
            raise self._too_large(f"this machine has {available / 1e9:.2f} GB left")

    def _too_large(self, reason: str) -> OutOfMemoryError:
        return OutOfMemoryError(
            f"replay_capacity: {self.capacity:,} transitions of {4 * self.row_size:,} bytes take "
            f"{self.nbytes / 1e9:.2f} GB; {reason}. Lower it (OffPolicyRunner.replay_capacity)."
        )


def _available_memory() -> int | None:
    """Returns the bytes that this process may still take, None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":") for line in file)
        available = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    # A container's limit is the kernel's to enforce, by killing.
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            with open(os.path.join("/sys/fs/cgroup", name), encoding="ascii") as file:
                available = min(available, int(file.read()))
        except (OSError, ValueError):
            continue
    return available
