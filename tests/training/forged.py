"""Checkpoints that somebody else has changed, with checksums that agree."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from expol_tf.training import checkpoint_files


def forge(checkpoint: pathlib.Path, change: Any) -> None:
    """Lets `change(manifest, arrays)` spoil a checkpoint, and makes all checksums agree with it."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    with np.load(checkpoint / "arrays.npz") as archive:
        arrays = dict(archive)
    change(manifest, arrays)
    (checkpoint / "arrays.npz").unlink()
    checkpoint_files.write_arrays(checkpoint / "arrays.npz", arrays)
    if isinstance(manifest.get("files"), dict):
        manifest["files"].pop("arrays.npz", None)
        if not manifest.pop("forget", False):
            manifest["files"]["arrays.npz"] = checkpoint_files.describe_file(checkpoint / "arrays.npz")
    manifest["sha256"] = checkpoint_files.manifest_digest(manifest)
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
