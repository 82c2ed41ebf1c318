"""Scalars for TensorBoard that can be cut back to a step when a run resumes."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import message
from tensorboard.compat.proto import event_pb2, summary_pb2

from expol_tf.cli import home_path
from expol_tf.errors import RunDirectoryError
from expol_tf.runs import atomic_files, reading


class TensorBoardLog:
    """Event files in `directory`, made with the first scalar.

    Args:
      directory: The directory that TensorBoard is pointed at.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        self._directory = home_path(directory)
        self._writer: tf.io.TFRecordWriter | None = None
        self._num_files = 0

    def scalars(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes one point of each named curve and hands it to the system; values that are None are left out.

        Raises:
          RunDirectoryError: The file cannot be written.
        """
        summary = summary_pb2.Summary()
        for tag, value in values.items():
            if value is not None:
                summary.value.add(tag=tag, simple_value=float(value))
        event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
        try:
            if self._writer is None:
                self._open()
            assert self._writer is not None
            self._writer.write(event.SerializeToString())
            self._writer.flush()
        except (OSError, tf.errors.OpError) as error:
            # What follows a broken record in a file is never read: a later scalar begins another file.
            with contextlib.suppress(OSError, tf.errors.OpError):
                self.close()
            self._writer = None
            raise RunDirectoryError(self._cannot_write(error)) from error

    def truncate_after(self, step: int) -> None:
        """Removes the points after `step`, and a record that a kill left incomplete; the rest stays as it is.

        Raises:
          RunDirectoryError: A file cannot be read or written.
        """
        self.close()
        try:
            for path in sorted(self._directory.glob("*tfevents*")):
                if path.name.startswith("."):
                    # The temporary file of a killed truncation, which TensorBoard would read.
                    path.unlink()
                else:
                    _truncate_file(path, step)
        except (OSError, reading.Damage) as error:
            raise RunDirectoryError(self._cannot_write(error)) from error

    def flush(self) -> None:
        """Hands what was written to the system."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Closes the file; the next scalar opens another, as TensorBoard expects."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        while True:
            # TensorBoard reads the files of a directory in the order of their names.
            name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
            path = self._directory / f"{name}.{self._num_files}"
            self._num_files += 1
            if not reading.is_there(path):
                break
        self._writer = tf.io.TFRecordWriter(str(path))
        version = event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2")
        self._writer.write(version.SerializeToString())

    def _cannot_write(self, error: Exception) -> str:
        return (
            f"cannot write the TensorBoard events in {self._directory}: {atomic_files.reason(error)}. "
            "Free space or make the directory writable, then start the same command again."
        )


def _truncate_file(path: Path, step: int) -> None:
    """Drops the later events of one file, and the file if nothing but its header would remain."""
    content = reading.read_bytes(path)
    kept: list[bytes] = []
    num_points = 0
    for record, payload in _records(content):
        try:
            event = event_pb2.Event.FromString(payload)
        except message.DecodeError:
            break
        if event.step <= step:
            kept.append(record)
            num_points += not event.file_version
    if num_points == 0:
        path.unlink()
    elif sum(map(len, kept)) < len(content):
        atomic_files.write_atomically(path, b"".join(kept))


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (record, payload) of TFRecords: length (uint64), checksum (uint32), payload, checksum."""
    start = 0
    while start + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + 12 + length + 4
        if end > len(content):
            return
        yield content[start:end], content[start + 12 : end - 4]
        start = end
