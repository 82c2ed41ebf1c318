"""Every Python block of the pages and of the README runs, and every command of theirs is understood.

A page is one fresh process in an empty directory, with the environment of a user. Nothing but the lengths of
runs is replaced.
"""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
import tensorflow as tf
from absl import flags

from expol_tf.cli.commands import evaluate, figures, report, sweep, train
from expol_tf.configuration import check_macros, gin_syntax, resolve
from expol_tf.papers import FIGURES
from expol_tf.sweeps import find_file
from tests.docs.run_page import blocks

ROOT = pathlib.Path(__file__).absolute().parents[2]
PAGES = {path.name: path for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]}
WITH_CODE = [name for name, path in PAGES.items() if blocks(path.read_text(encoding="utf-8"))]

# What stands in a page's code about lengths, and for what it is replaced. Runs of `expol_tf.train` without a
# length of their own end with their first iteration.
LENGTHS = {
    "bandits.md": {"iterations=200": "iterations=2"},
    "sweeps.md": {"seeds=(0, 1, 2),": 'seeds=(0,), bindings=["NUM_ENV_STEPS = 1", "EVAL_INTERVAL = 0"],'},
}
# What only a machine with GPUs can run.
ON_GPUS = {"devices.md": {'"cpu:2"': '"gpus"', '["CPU:0", "CPU:1"]': "None"}}


# What a page tells the reader to write before a command.
FILES = {
    "runs.md": {"my_settings.gin": "NUM_ENVS = 16\n"},
    "results.md": {
        "runs/first/config.gin": "include 'nfp_trpo.gin'\n",
        "trpo.gin": "Sweep.experiments = ['nfp_trpo.gin']\n",
    },
}


def run(page: str, directory: pathlib.Path, replacements: dict[str, str]) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "OMP_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *map(os.path.abspath, sys.path)])
    words = [word for pair in replacements.items() for word in pair]
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.run_page", str(PAGES[page]), *words],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@pytest.mark.parametrize("page", WITH_CODE)
def test_fault_11_the_code_of_a_page_runs(page: str, tmp_path: pathlib.Path) -> None:
    output = run(page, tmp_path, LENGTHS.get(page, {}))
    count = len(blocks(PAGES[page].read_text(encoding="utf-8")))
    assert output.endswith(f"{page}: {count} blocks ran\n")


@pytest.mark.parametrize("page", list(ON_GPUS))
def test_fault_11_what_a_page_says_of_gpus_runs(page: str, tmp_path: pathlib.Path) -> None:
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip(f"{page} with {', '.join(ON_GPUS[page].values())} was left out: there is no GPU here")
    run(page, tmp_path, ON_GPUS[page])


def test_only_lengths_of_pages_that_are_there_are_replaced() -> None:
    assert LENGTHS.keys() | ON_GPUS.keys() <= set(WITH_CODE)


def commands(page: str) -> Iterator[tuple[str, list[str]]]:
    """The programs that a page's shell blocks call, each with its arguments."""
    for block in re.findall(r"^```\w*\n(.*?)^```", PAGES[page].read_text(encoding="utf-8"), re.M | re.S):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            called = re.match(
                r"(?:\./bazelw run //binaries:|expol-)(train|evaluate|sweep|report|figures) ", line
            )
            if called:
                # <what the reader has to fill in>
                arguments = shlex.split(re.sub(r"<[^<>]*>", "X", line), comments=True)[1:]
                yield called[1], arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments


PROGRAMS = {
    "evaluate": evaluate._define_flags,
    "figures": figures._define_flags,
    "report": report._define_flags,
    "sweep": sweep._define_flags,
    "train": train._define_flags,
}
WITH_COMMANDS = [name for name in PAGES if list(commands(name))]


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_commands_of_a_page_are_understood(
    page: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags, files and bindings: what a run would be made of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for block in blocks(PAGES[page].read_text(encoding="utf-8")):
        if file := re.match(r"# (\w+)\.py\n", block):
            (tmp_path / f"{file[1]}.py").write_text(block, encoding="utf-8")
    # Files that the page tells the reader to write.
    for name, text in FILES.get(page, {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    train.import_library()
    for program, arguments in commands(page):
        values = flags.FlagValues()
        PROGRAMS[program](values)
        assert values(["program", *arguments])[1:] == [], arguments
        if program == "train" and not values.list_experiments:
            statements = gin_syntax.read_files(values.gin_file) + gin_syntax.read_bindings(
                values.gin_bindings
            )
            check_macros(statements)
            assert resolve(statements).value("train.task") is not None
        elif program == "sweep" and values.sweep_file != "…":
            assert find_file(values.sweep_file, "--sweep_file").is_file()
        elif program == "figures" and ":" not in values.figure:
            assert values.figure in FIGURES
