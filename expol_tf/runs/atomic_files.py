"""Files that are either the old or the new version, whenever the process is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from expol_tf.tensorflow_texts import without_nodes


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Replaces the file `path` by `content`; readers and crashes see the old or the new, never a part.

    The temporary file has a fixed name beside the target, so that killed writers leave at most one behind,
    which the next write replaces; the caller is therefore the only writer (a run directory's lock sees to
    that). A link of that name is removed, and never written through.

    Raises:
      OSError: The file cannot be written (full disk, no permission); the old version is still there.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    data = content.encode() if isinstance(content, str) else content
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "wb", opener=_new_file) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_path(path.parent)


def _new_file(path: str, flags: int) -> int:
    """Makes a file that is not there yet; a link of that name is an error."""
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def remove(path: str | os.PathLike[str]) -> None:
    """Removes a file, a link (not what it leads to) or a directory with its content, if it is there.

    Raises:
      OSError: It cannot be removed.
    """
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_path(path: str | os.PathLike[str]) -> None:
    """Waits until the file's content, or the directory's list of names, is on the disk.

    A kill does not need this (the kernel keeps what was written); a power cut does.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_directory(path: str | os.PathLike[str], trash_name: str) -> None:
    """Removes a directory that others may read: first its name goes, in one step, then its content.

    Args:
      path: The directory.
      trash_name: The name, in the same parent, under which the content is deleted. A kill leaves it behind.
    """
    trash = Path(path).with_name(trash_name)
    os.rename(path, trash)
    shutil.rmtree(trash, ignore_errors=True)


def set_aside(path: str | os.PathLike[str]) -> Path:
    """Renames a damaged file or directory to `<name>.damaged`, or `….damaged-2` and so on; returns the new path.

    Raises:
      OSError: It cannot be renamed.
    """
    path = Path(path)
    target, number = path.with_name(f"{path.name}.damaged"), 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    os.rename(path, target)
    return target


def reason(error: Exception) -> str:
    """Returns what went wrong in one line, in the system's words: "No space left on device"."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # TensorFlow wraps the system's words: "{{function_node ...}} path; No space left on device [Op:SaveV2]".
    line = without_nodes((str(error).splitlines() or [""])[0])
    return line.rpartition("; ")[2][:300] or type(error).__name__
