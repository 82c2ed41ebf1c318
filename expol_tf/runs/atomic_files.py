"""Files that are either the old or the new version, whenever the process is killed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Replaces the file `path` by `content`; readers and crashes see the old or the new, never a part.

    The temporary file has a fixed name beside the target, so that killed writers leave at most one behind and
    the next write reuses it; the caller is therefore the only writer (a run directory's lock sees to that).

    Raises:
      OSError: The file cannot be written (full disk, no permission); the old version is still there.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    data = content.encode() if isinstance(content, str) else content
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_path(path.parent)


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


def reason(error: Exception) -> str:
    """Returns what went wrong in one line, in the system's words: "No space left on device"."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    line = (str(error).splitlines() or [""])[0]
    # TensorFlow wraps the system's words: "{{function_node ...}} path; No space left on device [Op:SaveV2]".
    line = re.sub(r"\{\{.*?\}\} ?| ?\[Op:\w+\]$", "", line)
    return line.rpartition("; ")[2][:300] or type(error).__name__
