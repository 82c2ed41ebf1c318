"""Damage of every kind to the files of a run, at random places (item 14)."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile import programs
from tests.hostile.trial import LIMIT_S, Meant, Trial

_FILES = (
    "config.gin", "configuration.json", "environment.json", "fingerprint.json", "metrics.csv",
    "evaluation.csv",
)  # fmt: skip
# What each program reads of a run. What it does not read may be as it likes.
_READS = {
    "train": set(_FILES),
    "resume": set(_FILES),
    "python": set(_FILES),
    "evaluate": {"config.gin"},
    "report": {"configuration.json", "environment.json", "fingerprint.json", "metrics.csv", "evaluation.csv"},
    "figures": {"metrics.csv"},
}

_NOBODY = 65534
_FIGURE_S = 180.0
Damage = Callable[[Path, random.Random], None]


def _cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(1, max(2, len(content) - 1))])


def _empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def _directory(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _loop(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _unreadable(path: Path, rng: random.Random) -> None:
    """Takes all rights away; who runs as root becomes somebody who has none either."""
    path.chmod(0)
    if os.geteuid() == 0:
        for place, directories, files in os.walk("."):
            for name in (".", *directories, *files):
                os.chown(os.path.join(place, name), _NOBODY, _NOBODY, follow_symlinks=False)
        os.chown(os.environ["TMPDIR"], _NOBODY, _NOBODY)
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)


def _missing(path: Path, rng: random.Random) -> None:
    path.unlink()


def _fifo(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _binary(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(rng.randint(1, 3000)))


def _not_utf8(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    content[place:place] = rng.choice([b"\xff\xfe", b"\xc3\x28", b"\x80", b"\xed\xa0\x80"])
    path.write_bytes(bytes(content))


def _nul(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = rng.randrange(len(content))
    content[start : start + rng.randint(1, 400)] = b"\0" * rng.randint(1, 400)
    path.write_bytes(bytes(content))


def _bytes(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 6)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(bytes(content))


def _other_encoding(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_text().encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"])))


def _deep(path: Path, rng: random.Random) -> None:
    depth = rng.choice([100_000, 5_000])
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    path.write_text(opening * depth + "1" * (opening != "[") + closing * depth)


def _lines(path: Path, rng: random.Random) -> None:
    lines = path.read_text().splitlines(keepends=True)
    for _ in range(rng.randint(1, 3)):
        kind, place = rng.randrange(3), rng.randrange(len(lines))
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, rng.choice(lines))
        else:
            lines[place] = rng.choice(["\n", ",,,\n", "x\n", '"\n', "=\n", lines[place].upper()])
    path.write_text("".join(lines))


def _huge(path: Path, rng: random.Random) -> None:
    path.write_text("1" * rng.choice([5_000, 500_000]) + "\n")


def _json_value(path: Path, rng: random.Random) -> None:
    """Another value of another kind somewhere, or at the top."""
    other: Any = rng.choice([None, 3, "text", [], {}, True, 1e999, [1, 2], {"a": {}}, -1, ""])
    try:
        content = json.loads(path.read_text())
    except ValueError:
        content = None
    if not isinstance(content, dict) or not content or rng.random() < 0.3:
        path.write_text(json.dumps(other))
        return
    place, key = content, rng.choice(list(content))
    while isinstance(place[key], dict) and place[key] and rng.random() < 0.7:
        place = place[key]
        key = rng.choice(list(place))
    if rng.random() < 0.4:
        del place[key]
    else:
        place[key] = other
    path.write_text(json.dumps(content))


def _csv_cell(path: Path, rng: random.Random) -> None:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    row = rng.randrange(len(rows))
    cell = rng.randrange(len(rows[row]))
    rows[row][cell] = rng.choice(
        ["", "abc", "nan", "1e999", "-5", "1.5", '"', "1" * 5000, "é", "\x00", "None", "0x1"]
    )
    if rng.random() < 0.2:
        rows[row] = rows[row][: rng.randrange(len(rows[row])) + 1]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def _fewer_rows(path: Path, rng: random.Random) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: rng.randrange(1, len(lines))]))


# Damages by whether no reader can miss them.
_PLAIN: dict[str, tuple[Damage, bool]] = {
    "cut": (_cut, False),
    "empty": (_empty, True),
    "a directory": (_directory, True),
    "a dangling link": (_dangling, True),
    "a link to itself": (_loop, True),
    "unreadable": (_unreadable, True),
    "missing": (_missing, False),
    "a pipe": (_fifo, True),
    "random bytes": (_binary, True),
    "not UTF-8": (_not_utf8, True),
    "zeros inside": (_nul, True),
    "some bytes changed": (_bytes, False),
    "another encoding": (_other_encoding, False),
    "nested deeply": (_deep, True),
    "lines changed": (_lines, False),
    "a number of many digits": (_huge, True),
}
_JSON: dict[str, tuple[Damage, bool]] = {"another value inside": (_json_value, False)}
_CSV: dict[str, tuple[Damage, bool]] = {
    "a cell changed": (_csv_cell, False),
    "fewer rows": (_fewer_rows, True),
}

_LONGER = "--gin_bindings=NUM_ENV_STEPS = 160"
_SHORT = "--gin_bindings=EVAL_EPISODES = 1"


def _program(name: str, base: str, rng: random.Random) -> tuple[str, Callable[[], int | None]]:
    """Returns the command in words, and what runs it."""
    if name == "train":  # Resumed by the same flags, with more steps.
        arguments = [*programs.experiment(base, "CHECKPOINT_INTERVAL = 32", root=base), "--num_env_steps=160"]
        return f"expol-train (the same {base}, --num_env_steps=160)", programs.program("train", *arguments)
    if name == "resume":
        arguments = [f"--root_dir={base}", "--num_env_steps=160"]
        return programs.shown("train", *arguments), programs.program("train", *arguments)
    if name == "python":

        def call() -> None:
            import expol_tf

            policy = expol_tf.load_policy(base)
            policy.act([0.0, 0.0])

        return f"load_policy({base!r}).act(…)", programs.calling(call)
    if name == "evaluate":
        arguments = [f"--root_dir={base}", "--episodes=2"]
    elif name == "report":
        arguments = ["--root_dir=.", "--output_dir=out", "--repetitions=20"]
    else:
        # The other figure of runs computes for a minute before it is drawn.
        figure = "run_entropy" if base == "gaussian_ppo" or rng.random() < 0.7 else "multigoal"
        arguments = [f"--figure={figure}", f"--root_dir={base}", "--output_dir=out"]
    return programs.shown(name, *arguments), programs.program(name, *arguments)


def record(rng: random.Random) -> Trial:
    """A damaged record or table of a run, before any program."""
    name = rng.choice(["train", "train", "resume", "evaluate", "report", "report", "figures"])
    base = rng.choice(["ddpg", "ddpg", "ddpg", "gaussian_ppo"])
    file = rng.choice(_FILES)
    damages = _PLAIN | (_JSON if file.endswith(".json") else {}) | (_CSV if file.endswith(".csv") else {})
    kind = rng.choice(list(damages))
    damage, unmistakable = damages[kind]
    seed = rng.random()
    what, act = _program(name, base, rng)
    # A run that is resumed by its flags does not need the text of its own configuration.
    read = file in _READS[name] and not (file == "config.gin" and name == "train")
    mistakable = kind == "empty" and file in ("config.gin", "evaluation.csv") and name != "resume"
    mistakable |= kind == "nested deeply" and file == "config.gin"
    mistakable |= file == "configuration.json" and name in ("train", "resume")  # Written anew.
    # Programs that only read a table while its run goes on may meet any number of rows.
    mistakable |= kind == "fewer rows" and name not in ("train", "resume")
    nonsense = unmistakable and read and not mistakable
    prepare = functools.partial(damage, Path(base, file), random.Random(seed))
    return Trial(
        f"{what} with {base}/{file}: {kind}",
        programs.with_copies([base], prepare, act),
        Meant.NONSENSE if nonsense else Meant.EITHER,
        limit_s=_FIGURE_S if name == "figures" else LIMIT_S,
        word=file.partition(".")[0] if name in ("train", "resume") else file,
    )


def _newest(base: str) -> Path:
    return sorted(Path(base, "checkpoints").glob("checkpoint-????????????"))[-1]


def _checkpoint_files() -> Any:
    """Returns what writes the files of checkpoints; the trials run against older versions, too."""
    try:
        from expol_tf.training import checkpoint_files
    except ImportError:
        from expol_tf.training import checkpointing

        names = ("manifest_digest", "write_arrays", "describe_file")
        return types.SimpleNamespace(**{name: getattr(checkpointing, f"_{name}") for name in names})
    return checkpoint_files


def _in_manifest(base: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the manifest of the newest checkpoint, its own checksum kept right."""
    path = _newest(base) / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    if "sha256" in manifest:
        manifest["sha256"] = _checkpoint_files().manifest_digest(manifest)
    path.write_text(json.dumps(manifest))


def _change_manifest(base: str, rng: random.Random) -> None:
    other: Any = rng.choice([None, 3, "text", [], {}, True, -1, 1.5, [1], {"a": 1}, 1e300, 10**30])

    def change(manifest: dict[str, Any]) -> None:
        place, key = (
            manifest,
            rng.choice([key for key in manifest if key not in ("sha256", "format_version")]),
        )
        while isinstance(place[key], dict) and place[key] and rng.random() < 0.8:
            place = place[key]
            key = rng.choice(list(place))
        if rng.random() < 0.5:
            del place[key]
        else:
            place[key] = other

    _in_manifest(base, change)


def _change_arrays(base: str, rng: random.Random) -> None:
    """One array less, or another one under its name, the manifest's checksums kept right."""
    import numpy as np

    path = _newest(base) / "arrays.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = rng.choice(list(arrays))
    kind = rng.randrange(5)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = np.array(rng.choice(["text", "x" * 1000]))
    elif kind == 2:
        arrays[name] = np.zeros(
            rng.choice([(), (0,), (1,), (2, 2, 2), (7, 1)]), rng.choice(["f4", "f8", "i8", "?"])
        )
    elif kind == 3:
        arrays[name] = arrays[name][..., None].repeat(2, -1)
    else:
        arrays[name + "x"] = arrays.pop(name)
    _checkpoint_files().write_arrays(path, arrays)

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][path.name] = _checkpoint_files().describe_file(path)

    _in_manifest(base, change)


def _damage_file(base: str, rng: random.Random) -> None:
    directory = _newest(base)
    path = rng.choice(sorted(directory.iterdir()))
    kinds = [
        "cut", "empty", "a directory", "a dangling link", "missing", "random bytes", "some bytes changed",
        "zeros inside", "a pipe", "a link to itself",
    ]  # fmt: skip
    if path.name == "manifest.json":
        kinds += ["nested deeply", "not UTF-8", "another encoding", "a number of many digits"]
    _PLAIN[rng.choice(kinds)][0](path, rng)


def _damage_directory(base: str, rng: random.Random) -> None:
    directory = Path(base, "checkpoints")
    newest = _newest(base)
    kind = rng.randrange(6)
    if kind == 0:
        shutil.rmtree(newest)
        newest.write_text("x")
    elif kind == 1:
        shutil.rmtree(newest)
        newest.symlink_to("nowhere")
    elif kind == 2:
        shutil.rmtree(directory)
        rng.choice(
            [lambda: directory.write_text("x"), lambda: directory.symlink_to("nowhere"), lambda: None]
        )()
    elif kind == 3:
        (
            directory / rng.choice(["checkpoint-999999999999", "checkpoint-abc", "x", ".temporary-1", "é"])
        ).mkdir()
    elif kind == 4:
        for path in directory.iterdir():
            (path / "manifest.json").unlink()
    else:
        shutil.copytree(newest, directory / f"checkpoint-{rng.randint(100, 999):012d}")


_CHECKPOINT: dict[str, tuple[Callable[[str, random.Random], None], bool]] = {
    "the manifest, its checksum right": (_change_manifest, True),
    "the arrays, all checksums right": (_change_arrays, True),
    "a file": (_damage_file, True),
    "the directory": (_damage_directory, False),
}


def checkpoint(rng: random.Random) -> Trial:
    """A damaged newest checkpoint: set aside and said, never half restored."""
    kind = rng.choice(list(_CHECKPOINT))
    damage, certain = _CHECKPOINT[kind]
    base = rng.choice(["ddpg", "ddpg", "gaussian_ppo"])
    name = rng.choice(["train", "train", "resume", "figures"])
    seed = rng.random()
    prepare = functools.partial(damage, base, random.Random(seed))
    what, act = _program(name, base, random.Random(seed))
    return Trial(
        f"{what} with damage to {kind} of {base}'s newest checkpoint (drawn by {seed})",
        programs.with_copies([base], prepare, act),
        Meant.NONSENSE if certain and name != "figures" else Meant.EITHER,
        limit_s=_FIGURE_S,
        word="checkpoint|damaged",
    )


def exported(rng: random.Random) -> Trial:
    """A damaged exported policy."""
    seed, name = rng.random(), rng.choice(["python", "evaluate", "figures"])
    base = rng.choice(["ddpg", "gaussian_ppo"])

    def prepare() -> None:
        own = random.Random(seed)
        files = sorted(path for path in Path(base, "policy").rglob("*") if path.is_file())
        path = own.choice(files)
        kinds = [
            "cut",
            "empty",
            "a directory",
            "a dangling link",
            "missing",
            "random bytes",
            "zeros inside",
            "a link to itself",
        ]
        _PLAIN[own.choice(kinds)][0](path, own)

    what, act = _program(name, base, random.Random(seed))
    return Trial(
        f"{what} with damage to {base}/policy (drawn by {seed})",
        programs.with_copies([base], prepare, act),
        limit_s=_FIGURE_S,
    )
