"""The files of one checkpoint: its manifest, its arrays, and whether they are what was written."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from expol_tf import __version__
from expol_tf.errors import CheckpointError, OutOfMemoryError
from expol_tf.runs import atomic_files, reading

# 1 was that of expol_tf 0.1, whose agents have variables of other names.
FORMAT_VERSION = 2

MANIFEST = "manifest.json"
ARRAYS = "arrays.npz"

_SCHEMA = reading.entries(
    env_step=reading.is_bounded_count,
    files=reading.mapping(reading.entries(bytes=reading.is_bounded_count, sha256=reading.is_text)),
    values=reading.is_object,
    # The first runs of 0.2 do not list them.
    arrays=reading.optional(reading.mapping(reading.is_text)),
)
# The names that TensorFlow gives its files; a path, or a name that no file can have, is none.
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


class Damaged(Exception):
    """The files of one checkpoint are not what its manifest says."""


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name, without pickle."""
    # np.savez pickles object arrays without asking, and takes the name "file" for its own argument.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def array_kind(array: np.ndarray) -> str:
    """Returns what the manifest says of an array: type and shape."""
    return f"{array.dtype.str} {list(array.shape)}"


def read_arrays(directory: Path, manifest: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns a checkpoint's arrays.

    Raises:
      Damaged: They are not there as the manifest lists them.
      CheckpointError: They cannot be read.
      OutOfMemoryError: They do not fit into the memory.
    """
    path = directory / ARRAYS
    _require_file(path)
    try:
        # Pickles are programs.
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise _read_failure(path, error) from error
    except MemoryError as error:
        raise OutOfMemoryError(f"cannot read {path}: it does not fit into the memory. Free some.") from error
    # NumPy reads foreign headers by Python's own parser, which may give up in more than one way.
    except Exception as error:
        raise Damaged(f"{path.name}: {atomic_files.reason(error)}") from error
    found = {name: array_kind(array) for name, array in arrays.items()}
    listed = found if manifest.get("arrays") is None else manifest["arrays"]
    for name in sorted(listed.keys() | found.keys()):
        if found.get(name) != listed.get(name):
            wanted, got = listed.get(name, "nothing"), found.get(name, "nothing")
            raise Damaged(f"{path.name}: {name!r} must be {wanted}; got {got}")
    return arrays


def describe_file(path: Path) -> dict[str, Any]:
    """Returns what the manifest says of a file: its size and its SHA-256."""
    _require_file(path)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the manifest's content (its own digest left out), whatever the layout."""
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """Returns the manifest of the checkpoint `path`.

    Raises:
      Damaged: It is not whole, or lacks an entry.
      CheckpointError: It is that of another version, or cannot be read.
    """
    _require_file(path / MANIFEST)
    try:
        manifest = reading.parse_json((path / MANIFEST).read_bytes())
    except reading.Damage as damage:
        raise Damaged(f"{MANIFEST}: {damage}") from None
    except OSError as error:
        raise _read_failure(path / MANIFEST, error) from error
    version = manifest.get("format_version")
    if version is not None and (version != FORMAT_VERSION or isinstance(version, bool)):
        # Another version's checkpoint is good, only not for us: setting it aside would throw work away.
        newer = isinstance(version, int | float) and version > FORMAT_VERSION
        range_of_ours = f"up to {FORMAT_VERSION}" if newer else f"from {FORMAT_VERSION} on"
        raise CheckpointError(
            f"checkpoint {path} has format version {version!r}; expol_tf {__version__} reads versions "
            f"{range_of_ours}. Resume with the version of expol_tf that wrote it, or give another root_dir."
        )
    if version is None or manifest.get("sha256") != manifest_digest(manifest):
        raise Damaged(f"{MANIFEST} does not match its own checksum")
    if problem := _SCHEMA(manifest):
        raise Damaged(f"{MANIFEST}: {problem}")
    missing = {ARRAYS, "variables.index"} - manifest["files"].keys()
    if missing or not all(map(_FILE.fullmatch, manifest["files"])):
        raise Damaged(f"{MANIFEST}: its files are {', '.join(map(repr, manifest['files']))[:300]}")
    return manifest


def verify_files(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raises `Damaged` if a file of the checkpoint `path` is not the one that the manifest is about."""
    for name, expected in manifest["files"].items():
        try:
            actual = describe_file(path / name)
        except OSError as error:
            raise _read_failure(path / name, error) from error
        if actual["bytes"] != expected["bytes"]:
            raise Damaged(f"{name} has {actual['bytes']} bytes instead of {expected['bytes']}")
        if actual["sha256"] != expected["sha256"]:
            raise Damaged(f"{name} does not match its checksum")


def _require_file(path: Path) -> None:
    """Raises `Damaged` for a pipe, for which readers would wait without end."""
    try:
        kind = path.stat().st_mode
    except OSError as error:
        raise _read_failure(path, error) from error
    if not stat.S_ISREG(kind):
        raise Damaged(f"{path.name} is {'a directory' if stat.S_ISDIR(kind) else 'no regular file'}")


def _read_failure(path: Path, error: OSError) -> Exception:
    """Returns what an unreadable file means: damage, or a condition under which good files cannot be read."""
    if isinstance(error, FileNotFoundError):
        return Damaged(f"{path.name} is missing")
    if isinstance(error, NotADirectoryError | IsADirectoryError) or error.errno in (errno.EIO, errno.ELOOP):
        return Damaged(f"{path.name}: {atomic_files.reason(error)}")
    return CheckpointError(
        f"cannot read {path}: {atomic_files.reason(error)}. Make it readable, then try again."
    )
