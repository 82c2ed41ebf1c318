"""Checks that every run of a sweep can be configured, before any is started."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from expol_tf.checked import checked
from expol_tf.configuration import recorded_values
from expol_tf.errors import ConfigurationError
from expol_tf.sweeps.plan import SweepRun
from expol_tf.sweeps.process import failure, inherited_variables, python

# TensorFlow and gin's registry stay out of this process: the training program itself checks all runs, one
# after the other, in a process of its own.
_CHECK = """
import contextlib, io, json, sys
from expol_tf.cli.commands.train import train_main
results = []
for arguments in json.load(sys.stdin):
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        status = train_main(["expol-train", *arguments, "--print_config"])
    results.append([status, output.getvalue(), error.getvalue()])
    if status:
        break
json.dump(results, open(sys.argv[1], "w"))
"""


class CheckedRun(NamedTuple):
    """A run whose configuration was checked.

    Attributes:
      run: The run.
      text: Its complete configuration as a gin file; the seed is that of another run.
      num_env_steps: Its length in environment steps.
    """

    run: SweepRun
    text: str
    num_env_steps: int


@checked
def check_runs(runs: Sequence[SweepRun], device: str | None = None) -> list[CheckedRun]:
    """Returns the runs with their complete configurations, as `expol-train --print_config` gives them.

    Args:
      runs: The runs; see `plan_sweep`.
      device: `--device` of the runs.

    Raises:
      ConfigurationError: A gin name, parameter or value in some run is wrong, with the nearest known name.
    """
    devices = [] if device is None else [f"--device={device}"]
    arguments = {key: [*_arguments(key), *devices] for key in map(_key, runs)}
    distinct = list(arguments)
    results = _print_configs(list(arguments.values()))
    for key, (status, _, error) in zip(distinct, results, strict=False):
        if status:
            run = next(run for run in runs if _key(run) == key)
            problem = error.strip().removeprefix("expol-train: error: ")
            problem = re.sub(r"--gin_bindings:\d+", "a statement of the sweep", problem)
            raise ConfigurationError(
                f"the run {run.name} cannot be configured; nothing was started.\n{problem}"
            )
    texts = dict(zip(distinct, (text for _, text, _ in results), strict=True))
    lengths = {key: int(recorded_values(text)["train.num_env_steps"]) for key, text in texts.items()}
    return [CheckedRun(run, texts[_key(run)], lengths[_key(run)]) for run in runs]


def _key(run: SweepRun) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns what a configuration is made of; runs that differ only in the seed share it."""
    return run.gin_files, run.gin_bindings


def _arguments(key: tuple[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    files, statements = key
    return [*(f"--gin_file={path}" for path in files), *(f"--gin_bindings={text}" for text in statements)]


def _print_configs(arguments: list[list[str]]) -> list[tuple[int, str, str]]:
    """Returns the training program's exit status, output and message for each, up to the first failure."""
    with tempfile.NamedTemporaryFile(suffix=".json") as answer:
        done = subprocess.run(
            python("-c", _CHECK, answer.name),
            input=json.dumps(arguments), capture_output=True, text=True, check=False,
            env={**os.environ, **inherited_variables()},
        )  # fmt: skip
        if done.returncode:
            # Of a mistake in a configuration the program would have told: this ended the process itself.
            raise ConfigurationError(
                "the runs cannot be checked, so nothing was started. The program that checks them ended by "
                f"itself: {failure(done.returncode, done.stderr)}. Look at what the runs import.\n"
                f"{done.stderr.strip()}"
            )
        return [tuple(result) for result in json.load(answer)]  # type: ignore[misc]
