"""Flags of all programs: numbers out of range, text for numbers, odd paths (items 15 and 16)."""

from __future__ import annotations

import random

from tests.hostile import programs, values
from tests.hostile.trial import Meant, Trial

_NO_COUNT = ("0", "-1", "-17", "1.5", "nan", "inf", "1e3", "a", "", "0x", "1 2", "None")
_NO_NATURAL = ("-1", "-17", "1.5", "nan", "inf", "1e3", "a", "", "0x", "1 2", "None")
_NO_POSITIVE = ("0", "-0.5", "nan", "inf", "-inf", "a", "", "1,5")
# Per program: flags that it needs, and what cannot be meant of others.
_NUMBERS: dict[str, tuple[list[str], dict[str, tuple[str, ...]]]] = {
    "train": (
        programs.experiment("ddpg"),
        {
            "seed": _NO_NATURAL,
            "num_env_steps": _NO_COUNT,
            "device": ("", "cpu:x", "cpu:0", "gpu:-1", "tpu", "cpu:99999"),
        },
    ),
    "evaluate": (
        ["--root_dir=ddpg"],
        {"episodes": _NO_COUNT, "seed": _NO_NATURAL, "device": ("", "x", "gpu:9")},
    ),
    "report": (
        ["--root_dir=ddpg", "--output_dir=out"],
        {
            "repetitions": _NO_COUNT,
            "min_env_steps": _NO_NATURAL,
            "seed": _NO_NATURAL,
            "settings": ("", "x", "AUTO!", "3"),
        },
    ),
    "sweep": (
        ["--sweep_file=x.gin", "--dry_run"],
        {
            "max_parallel": _NO_COUNT,
            "cpus_per_run": _NO_COUNT,
            "gpus_per_run": ("-0.5", "nan", "inf", "-inf", "a", "", "1,5"),
            "retries": _NO_NATURAL,
            "device": ("", "tpu", "cpu:0", "gpu:-1", "x" * 300),
        },
    ),
    "figures": (
        ["--figure=multigoal", "--root_dir=ddpg", "--output_dir=out"],
        {
            "seed": _NO_NATURAL,
            "num_seeds": _NO_COUNT,
            "iterations": _NO_COUNT,
            "temperature": ("-1", "nan", "inf", "-inf", "a", ""),
            "discount": ("-1", "1.5", "nan", "inf", "-inf", "a", ""),
            "figure": ("x", "", "kl_balls", "no_module:x", ":", "os:path", "multigoal:", "a b:c"),
        },
    ),
}
_SWEEP = 'Sweep.experiments = {"a": "gin/ddpg.gin"}\nSweep.bindings = ["NUM_ENV_STEPS = 64"]\n'


def numbers(rng: random.Random) -> Trial:
    """One flag of some program that cannot be meant."""
    name = rng.choice(list(_NUMBERS))
    needed, flags = _NUMBERS[name]
    flag = rng.choice(list(flags))
    value = rng.choice(flags[flag])
    if flag in ("seed", "num_env_steps", "episodes", "repetitions") and rng.random() < 0.3:
        value = str(-rng.randint(1, 10 ** rng.randint(1, 30)))
    arguments = [text for text in needed if not text.startswith(f"--{flag}=")] + [f"--{flag}={value}"]
    act = programs.after_writing({"x.gin": _SWEEP}, programs.program(name, *arguments))
    act = programs.with_copies(["ddpg"], lambda: None, act)
    return Trial(programs.shown(name, *arguments), act, Meant.NONSENSE)


_PATHS = (
    "~nouser/x.gin", 'x' * 5000, "gin/sac.gin/", "gin/sac.gin/x", "/", "", ".", "..", "gin", "a\nb.gin", "~",
    "~/", "/proc/self/mem", "/dev/null", "/dev/zero", "nul\udcff.gin", "x.gin/../x.gin", "//", "gin/*.gin",
    "$HOME/x", "https://example.org/x.gin", "file:///x.gin", 'a' * 255 + '/b', '/'.join('d' * 3000),
    "link.gin", "loop.gin", "fifo.gin", "dir.gin", "locked.gin", "binary.gin",
)  # fmt: skip
_PATH_FLAGS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "train": (["--num_env_steps=64", "--gin_bindings=NUM_ENVS = 2"], ("gin_file", "root_dir")),
    "evaluate": ([], ("root_dir", "video_path")),
    "report": (["--output_dir=out"], ("root_dir", "peer_csv", "output_dir")),
    "sweep": (["--dry_run"], ("sweep_file", "root_dir")),
    "figures": (["--figure=run_entropy"], ("root_dir", "output_dir")),
}
# Those that only read: what is not there cannot be meant.
_READ = ("gin_file", "sweep_file", "peer_csv")


def _odd_files() -> None:
    import os

    os.symlink("nowhere", "link.gin")
    os.symlink("loop.gin", "loop.gin")
    os.mkdir("dir.gin")
    programs.write("locked.gin", "SEED = 1\n")
    programs.write("binary.gin", bytes(range(256)) * 20)
    programs.write("x.gin", _SWEEP)
    os.mkfifo("fifo.gin")


def paths(rng: random.Random) -> Trial:
    """An odd path for some flag of some program."""
    name = rng.choice(list(_PATH_FLAGS))
    needed, flags = _PATH_FLAGS[name]
    flag = rng.choice(flags)
    path = rng.choice(_PATHS)
    if rng.random() < 0.3:
        path = path + rng.choice(["/", " ", "\x01", "é", "/..", "\\"])
    if flag == "root_dir" and name == "train" and path.startswith(("/", "~")):
        path = "x" + path  # It may be writable.
    if flag == "output_dir" and path.startswith(("/", "~", "..")):
        path = "o" + path
    arguments = [f"--{flag}={path}", *needed]
    if flag != "root_dir" and name in ("evaluate", "report", "figures"):
        arguments.append("--root_dir=ddpg")
    if flag == "root_dir" and name == "train":
        arguments += programs.experiment("ddpg")[:-1]
        arguments = [text for text in arguments if text != "--root_dir=run"]
    if flag == "root_dir" and name == "sweep":
        arguments.append("--sweep_file=x.gin")
    good = path in (".", "gin") or "x.gin" in path
    meant = Meant.NONSENSE if flag in _READ and not good else Meant.EITHER
    act = programs.with_copies(["ddpg"], _odd_files, programs.program(name, *arguments))
    return Trial(programs.shown(name, *arguments), act, meant)


def command_lines(rng: random.Random) -> Trial:
    """A random command line of a random program."""
    name = rng.choice(["train", "evaluate", "report", "sweep", "figures"])
    known = [
        *_NUMBERS[name][1],
        *_PATH_FLAGS[name][1],
        "help",
        "version",
        "debug",
        "print_config",
        "dry_run",
        "check",
    ]
    arguments = []
    for _ in range(rng.randint(0, 5)):
        flag = rng.choice(
            [
                *known,
                "".join(rng.choices("abc_-=", k=rng.randint(0, 6))),
                "flagfile",
                "undefok",
                "gin_bindings",
            ]
        )
        if flag == "flagfile":
            arguments.append(
                f"--flagfile={rng.choice(['x.gin', 'binary.gin', 'nowhere', 'flags.txt', 'dir.gin'])}"
            )
            continue
        value = rng.choice(["1", "x", "", values.anything(rng), "é", "a=b", "-1", "nan"])
        dashes = rng.choice(["--", "--", "--", "-", "", "---"])
        arguments.append(f"{dashes}{flag}{rng.choice(['=' + value, '=' + value, '', ' '])}")
    arguments = [text.replace("\x00", "") for text in arguments]
    files: dict[str, str | bytes] = {"flags.txt": "--flagfile=flags.txt\n--seed=1\n"}
    act = programs.with_copies(
        [], _odd_files, programs.after_writing(files, programs.program(name, *arguments))
    )
    return Trial(programs.shown(name, *arguments), act)
