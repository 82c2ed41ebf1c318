"""The directory of a run as version 0.1 left it, with what is characteristic of it."""

from __future__ import annotations

import hashlib
import json
import pathlib

CONFIG = """\
# The complete configuration of this run; train it again with --gin_file.

TASK = 'Pendulum-v1'
SEED = 3

train.task = %TASK
train.agent = @NameThatWentAgent
train.num_env_steps = 500
train.seed = %SEED
train.wrappers = ()  # default
train.make_kwargs = {'max_episode_steps': 20}

NameThatWentAgent.gamma = 0.98
"""


def write_run(root: pathlib.Path) -> pathlib.Path:
    """Writes record, rows, a checkpoint of format 1 with right checksums, a lock file and a file half written."""
    checkpoint = root / "checkpoints" / "checkpoint-000000000512"
    checkpoint.mkdir(parents=True)
    (root / ".lock").write_text('{"pid": 1, "host": "elsewhere", "started": "2024-01-01T00:00:00"}')
    (root / "config.gin").write_text(CONFIG)
    (root / "environment.json").write_text(json.dumps({"versions": {"expol_tf": "0.1.0"}, "seed": 3}))
    (root / "fingerprint.json").write_text(json.dumps({"train.task": "'Pendulum-v1'"}))
    (root / "metrics.csv").write_text(
        "iteration,env_step,wall_time_s,env_steps_per_s,episode_return_mean,episode_length_mean,episodes\n"
        "1,256,1.5,170.0,-1200.0,200.0,1\n2,512,3.0,170.0,-1100.0,200.0,2\n"
    )
    (root / "evaluation.csv").write_text(
        "env_step,return_mean,return_std,length_mean,episodes\n512,-1000.0,9.0,200.0,2\n"
    )
    (root / "checkpoints" / ".temporary-000000000600").mkdir()
    files = {name: name.encode() for name in ("arrays.npz", "variables.index")}
    manifest: dict = {"format_version": 1, "env_step": 512, "values": {}}
    manifest["files"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }
    manifest["sha256"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    for name, content in files.items():
        (checkpoint / name).write_bytes(content)
    return root


def content(root: pathlib.Path) -> dict[str, str]:
    """Returns every path below `root` with the SHA-256 of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in root.rglob("*")
    }
